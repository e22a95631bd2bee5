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

double cpu_ms(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
         (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3;
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
  uint32_t received, misplaced;
  int streams, ended;
  double first, begin, end;
} meter;

void meter_open(int streams) { meter.streams = streams; }

int take(int stream, const char *message) {
  uint32_t n;
  memcpy(&n, message, sizeof n);
  if (n == END) {
    meter.end = now();
    return ++meter.ended < meter.streams;
  }
  if (n != meter.expected[stream]) meter.misplaced++;
  meter.expected[stream] = n + 1;
  if (++meter.received == WARM_UP) meter.begin = now();
  if (meter.received == 1) meter.first = now();
  return 1;
}

void say_meter(void) {
  int warm = meter.received > 2 * WARM_UP;
  double seconds = meter.end - (warm ? meter.begin : meter.first);
  say("\"received\":%u,\"misplaced\":%u,\"rate\":%.1f", meter.received, meter.misplaced,
      (meter.received - (warm ? WARM_UP : 1)) / seconds);
}

/* ---- roles ----------------------------------------------------------------------------------- */

static const struct program *find(const char *name, const char *role) {
  const struct program *tables[] = {dgram_programs, seqpacket_programs};
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
