/* The roles of the dgram cases; see limit.h for the manner. */
#include "limit.h"
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

/* The path of the i-th receiver in the directory of the trial; cases/ use the same names. */
static struct sockaddr_un numbered(int i) {
  char path[256];
  snprintf(path, sizeof path, "%s/r%d", text("dir", "."), i);
  return address(path);
}

/*
 * Sends one message to the address, or to the peer of a connected socket when there is none.
 * False when it would block (MSG_DONTWAIT) or when its reader is gone.
 */
static int send_to(int fd, const void *data, size_t size, int flags, const struct sockaddr_un *to) {
  socklen_t length = to ? sizeof *to : 0;
  for (;;) {
    if (sendto(fd, data, size, flags | MSG_NOSIGNAL, (const struct sockaddr *)to, length) >= 0)
      return 1;
    if (errno == EAGAIN || errno == ECONNREFUSED || errno == ENOTCONN) return 0;
    if (errno != EINTR) die("sendto");
  }
}

/* ---- dgram-oneway ---------------------------------------------------------------------------- */

/* With `connect=1` the peer is named once, otherwise in every message (a look-up each). */
static void dgram_oneway_send(void) {
  size_t size = number("size", 64);
  struct sockaddr_un peer = address(text("path", "")), *to = &peer;
  int fd = open_socket(SOCK_DGRAM), alive = 1;
  if (number("connect", 0)) {
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0) die("connect");
    to = NULL;
  }
  char *message = calloc(1, size);
  double stop = now() + number("duration", 1);
  struct mark begin = mark();
  uint32_t n = 0;
  while (alive && now() < stop)
    for (int i = 0; alive && i < WINDOW; i++) {
      memcpy(message, &n, sizeof n);
      if ((alive = send_to(fd, message, size, 0, to))) n++;
    }
  memcpy(message, &END, sizeof END);
  send_to(fd, message, size, 0, to);
  say("\"sent\":%u,%s", n, measured(begin, n));
}

static void dgram_oneway_receive(void) {
  static char message[BUFFER];
  struct sockaddr_un from;
  int fd = bound(SOCK_DGRAM, address(text("path", "")));
  meter_open(1);
  say("\"ready\":true");
  do {
    socklen_t length = sizeof from;
    if (recvfrom(fd, message, sizeof message, 0, (struct sockaddr *)&from, &length) < 0)
      die("recvfrom");
  } while (take(0, message));
  say_meter();
}

/* ---- dgram-rtt ------------------------------------------------------------------------------- */

static void dgram_rtt_answer(void) {
  static char message[BUFFER];
  struct sockaddr_un from;
  int fd = bound(SOCK_DGRAM, address(text("path", "")));
  say("\"ready\":true");
  for (;;) {
    socklen_t length = sizeof from;
    ssize_t size = recvfrom(fd, message, sizeof message, 0, (struct sockaddr *)&from, &length);
    if (size < 0) die("recvfrom");
    send_to(fd, message, size, 0, &from);
  }
}

static void dgram_rtt_ask(void) {
  static char message[BUFFER];
  struct sockaddr_un to = address(text("path", "")), from;
  int fd = bound(SOCK_DGRAM, address(text("own", "")));
  size_t size = number("size", 64);
  uint32_t warm_up = number("warmUp", 0), trips = 0;
  double duration = number("duration", 1);
  struct mark begin = mark();
  do {
    socklen_t length = sizeof from;
    memcpy(message, &trips, sizeof trips);
    send_to(fd, message, size, 0, &to);
    if (recvfrom(fd, message, sizeof message, 0, (struct sockaddr *)&from, &length) < 0)
      die("recvfrom");
    if (memcmp(message, &trips, sizeof trips) != 0) die("wrong answer");
    if (++trips == warm_up) begin = mark();
  } while (trips < warm_up || now() - begin.time < duration);
  say("%s", measured(begin, trips - warm_up));
}

/* ---- dgram-rtt-connected --------------------------------------------------------------------- */

/* Bound to one path and connected to another, which has to be bound by then. */
static int bound_and_connected(const char *own, const char *to) {
  struct sockaddr_un peer = address(text(to, ""));
  int fd = bound(SOCK_DGRAM, address(text(own, "")));
  say("\"ready\":true");
  while (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0) {
    if (errno != ENOENT && errno != ECONNREFUSED) die("connect");
    usleep(1000);
  }
  return fd;
}

static void dgram_rtt_connected_answer(void) {
  static char message[BUFFER];
  int fd = bound_and_connected("path", "own");
  for (ssize_t size; (size = recv(fd, message, sizeof message, 0)) >= 0;)
    send_to(fd, message, size, 0, NULL);
}

static void dgram_rtt_connected_ask(void) {
  static char message[BUFFER];
  int fd = bound_and_connected("own", "path");
  size_t size = number("size", 64);
  uint32_t warm_up = number("warmUp", 0), trips = 0;
  double duration = number("duration", 1);
  struct mark begin = mark();
  do {
    memcpy(message, &trips, sizeof trips);
    send_to(fd, message, size, 0, NULL);
    if (recv(fd, message, sizeof message, 0) < 0) die("recv");
    if (memcmp(message, &trips, sizeof trips) != 0) die("wrong answer");
    if (++trips == warm_up) begin = mark();
  } while (trips < warm_up || now() - begin.time < duration);
  say("%s", measured(begin, trips - warm_up));
}

/* ---- dgram-fanout ---------------------------------------------------------------------------- */

static void dgram_fanout_send(void) {
  size_t size = number("size", 64);
  int receivers = number("receivers", 100), fd = open_socket(SOCK_DGRAM);
  int stalled_most = number("stalledMost", 0), stalled_sent = 0;
  const char *stalled_path = text("stalled", "");
  struct sockaddr_un *to = calloc(receivers + 1, sizeof *to), stalled = address(stalled_path);
  for (int i = 0; i < receivers; i++) to[i] = numbered(i);
  char *message = calloc(1, size);
  double stop = now() + number("duration", 1);
  struct mark begin = mark();
  uint32_t n = 0;
  for (; now() < stop; n++) {
    memcpy(message, &n, sizeof n);
    for (int i = 0; i < receivers; i++) send_to(fd, message, size, 0, &to[i]);
    /* A plain loop has no queue: what the stalled receiver cannot take is dropped here. */
    if (*stalled_path && stalled_sent++ < stalled_most)
      send_to(fd, message, size, MSG_DONTWAIT, &stalled);
  }
  memcpy(message, &END, sizeof END);
  for (int i = 0; i < receivers; i++) send_to(fd, message, size, 0, &to[i]);
  say("\"sent\":%u,%s", n * receivers, measured(begin, n * receivers));
}

static void dgram_fanout_receive(void) {
  static char message[BUFFER];
  static int fds[MAX_SOCKETS];
  struct epoll_event events[128];
  struct sockaddr_un from;
  int set = open_set(), receivers = number("receivers", 100), more = 1;
  meter_open(receivers);
  for (int i = 0; i < receivers; i++) {
    fds[i] = bound(SOCK_DGRAM, numbered(i));
    watch(set, fds[i], i);
  }
  say("\"ready\":true");
  while (more) {
    int count = epoll_wait(set, events, 128, -1);
    for (int e = 0; e < count; e++) {
      int i = events[e].data.u32;
      socklen_t length = sizeof from;
      if (recvfrom(fds[i], message, sizeof message, 0, (struct sockaddr *)&from, &length) < 0)
        die("recvfrom");
      more = take(i, message) && more;
    }
  }
  say_meter();
}

/* ---- dgram-stalled-cpu ----------------------------------------------------------------------- */

/* Fills the queue of a reader that never reads, then waits for room as a C program would. */
static void dgram_stalled_cpu_send(void) {
  char message[64] = {0};
  struct sockaddr_un to = address(text("path", ""));
  int fd = open_socket(SOCK_DGRAM);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  while (send(fd, message, sizeof message, MSG_DONTWAIT) >= 0)
    ;
  struct pollfd writable = {.fd = fd, .events = POLLOUT};
  double before = cpu_ms();
  poll(&writable, 1, number("duration", 1) * 1e3);
  say("\"cpu\":%.3f", cpu_ms() - before);
}

/* ---- dgram-idle-memory ----------------------------------------------------------------------- */

static void dgram_idle_memory_open(void) {
  int sockets = number("sockets", 10000);
  double before = resident_kib();
  for (int i = 0; i < sockets; i++) bound(SOCK_DGRAM, numbered(i));
  say("\"each\":%.4f", (resident_kib() - before) / sockets);
}

/* ---- dgram-flood-timer ----------------------------------------------------------------------- */

/* Reads a flood and looks at its timer between two messages. */
static void dgram_flood_timer_receive(void) {
  static char message[BUFFER];
  int fd = bound(SOCK_DGRAM, address(text("path", "")));
  double period = number("period", 5) / 1e3, worst = 0, stop, due;
  uint32_t received = 0;
  say("\"ready\":true");
  if (recv(fd, message, sizeof message, 0) < 0) die("recv");
  due = now() + period;
  stop = now() + number("duration", 2);
  for (double time; (time = now()) < stop;) {
    if (time >= due) {
      if (time - due > worst) worst = time - due;
      due = time + period;
    }
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    struct timespec wait = {.tv_nsec = (due - time) * 1e9};
    if (due > time && ppoll(&readable, 1, &wait, NULL) > 0) {
      if (recv(fd, message, sizeof message, 0) < 0) die("recv");
      received++;
    }
  }
  say("\"late\":%.3f,\"rate\":%.1f", worst * 1e3, received / number("duration", 2));
}

/* ---- roles that every case may use ----------------------------------------------------------- */

/* A reader that never reads: binds and waits to be ended. */
static void any_stalled(void) {
  bound(SOCK_DGRAM, address(text("path", "")));
  say("\"ready\":true");
  for (;;) pause();
}

const struct program dgram_programs[] = {
    {"any", "stalled", any_stalled},
    {"dgram-oneway", "send", dgram_oneway_send},
    {"dgram-oneway", "receive", dgram_oneway_receive},
    {"dgram-sendto", "send", dgram_oneway_send},
    {"dgram-sendto", "receive", dgram_oneway_receive},
    {"dgram-rtt", "ask", dgram_rtt_ask},
    {"dgram-rtt", "answer", dgram_rtt_answer},
    {"dgram-rtt-connected", "ask", dgram_rtt_connected_ask},
    {"dgram-rtt-connected", "answer", dgram_rtt_connected_answer},
    {"send-cost", "send", dgram_oneway_send},
    {"dgram-fanout", "send", dgram_fanout_send},
    {"dgram-fanout", "receive", dgram_fanout_receive},
    {"dgram-stalled-cpu", "send", dgram_stalled_cpu_send},
    {"dgram-idle-memory", "open", dgram_idle_memory_open},
    {"dgram-flood-timer", "receive", dgram_flood_timer_receive},
    {0},
};
