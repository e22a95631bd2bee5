/*
 * The limit: what a plain C program does in each case of the bench, on this machine, in this run.
 *
 *   limit CASE ROLE [name=value …]
 *
 * Takes the same arguments and prints the same lines as the JavaScript roles in cases/:
 * `{"ready":true}` once others may start, then one line with the result. This file has what all roles
 * share; the roles themselves are in limit-KIND.c.
 */
#include "limit.h"
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

/* ---- arguments, output, clocks, memory ------------------------------------------------------- */

static char **arguments;

void die(const char *what) {
  fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
  exit(1);
}

const char *text(const char *name, const char *otherwise) {
  size_t length = strlen(name);
  for (char **a = arguments; *a; a++)
    if (strncmp(*a, name, length) == 0 && (*a)[length] == '=') return *a + length + 1;
  return otherwise;
}

double number(const char *name, double otherwise) {
  const char *value = text(name, NULL);
  return value ? atof(value) : otherwise;
}

void say(const char *members, ...) {
  va_list rest;
  va_start(rest, members);
  putchar('{');
  vprintf(members, rest);
  puts("}");
  fflush(stdout);
  va_end(rest);
}

double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double micros(struct timeval t) { return t.tv_sec * 1e6 + t.tv_usec; }

struct mark mark(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (struct mark){now(), micros(use.ru_utime), micros(use.ru_stime)};
}

double cpu_ms(void) {
  struct mark m = mark();
  return (m.user + m.system) / 1e3;
}

static const char *interval(struct mark begin, struct mark end, double operations) {
  static char members[128];
  snprintf(members, sizeof members, "\"rate\":%.1f,\"user\":%.4f,\"system\":%.4f",
           operations / (end.time - begin.time), (end.user - begin.user) / operations,
           (end.system - begin.system) / operations);
  return members;
}

const char *measured(struct mark begin, double operations) {
  return interval(begin, mark(), operations);
}

double resident_kib(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%*d %ld", &pages) != 1) die("/proc/self/statm");
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024.0);
}

/* ---- sockets and messages -------------------------------------------------------------------- */

struct sockaddr_un address(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof a.sun_path) {
    errno = ENAMETOOLONG;
    die(path);
  }
  strcpy(a.sun_path, path);
  return a;
}

int open_socket(int type) {
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  return fd;
}

int bound(int type, struct sockaddr_un a) {
  int fd = open_socket(type);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) die(a.sun_path);
  return fd;
}

int listening(int type) {
  int fd = bound(type, address(text("path", "")));
  if (listen(fd, BACKLOG) < 0) die("listen");
  return fd;
}

int accepted(int server) {
  int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) die("accept");
  return fd;
}

int connection(int type) {
  struct sockaddr_un to = address(text("path", ""));
  int fd = open_socket(type);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  return fd;
}

int send_all(int fd, const void *data, size_t size) {
  for (const char *from = data; size > 0;) {
    ssize_t sent = send(fd, from, size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EPIPE && errno != ECONNRESET) die("send");
      return 0;
    }
    from += sent;
    size -= sent;
  }
  return 1;
}

int open_set(void) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) die("epoll_create1");
  return set;
}

void watch(int set, int fd, uint32_t id) {
  struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = id};
  if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted) < 0) die("epoll_ctl");
}

/* What the receiver of numbered messages saw. */
static struct {
  uint32_t expected[MAX_SOCKETS];
  uint32_t received, misplaced, warm_up;
  int streams, ended;
  struct mark first, begin, end;
} meter;

void meter_open(int streams) {
  meter.streams = streams;
  meter.warm_up = number("warmUp", WARM_UP);
}

int take(int stream, const char *message) {
  uint32_t n;
  memcpy(&n, message, sizeof n);
  if (n == END) {
    meter.end = mark();
    return ++meter.ended < meter.streams;
  }
  if (n != meter.expected[stream]) meter.misplaced++;
  meter.expected[stream] = n + 1;
  if (++meter.received == meter.warm_up) meter.begin = mark();
  if (meter.received == 1) meter.first = mark();
  return 1;
}

const char *meter_members(void) {
  static char members[256];
  int warm = meter.received > 2 * meter.warm_up;
  double operations = meter.received - (warm ? meter.warm_up : 1);
  snprintf(members, sizeof members, "\"received\":%u,\"misplaced\":%u,%s", meter.received,
           meter.misplaced, interval(warm ? meter.begin : meter.first, meter.end, operations));
  return members;
}

void say_meter(void) { say("%s", meter_members()); }

/* ---- roles ----------------------------------------------------------------------------------- */

static const struct program *find(const char *name, const char *role) {
  const struct program *tables[] = {
      dgram_programs, seqpacket_programs, stream_programs,    accept_programs,
      posix_programs, reuseport_programs, http_programs,      fds_programs};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const struct program *p = tables[i]; p->name; p++)
      if (!strcmp(p->name, name) && !strcmp(p->role, role)) return p;
  return NULL;
}

int main(int count, char **argv) {
  const struct program *program = count >= 3 ? find(argv[1], argv[2]) : NULL;
  if (!program) {
    fprintf(stderr, "usage: limit CASE ROLE [name=value …]\n");
    return 2;
  }
  arguments = argv + 3;
  alarm(number("timeout", 60)); /* nothing outlives a bench that was killed */
  program->run();
  return 0;
}
