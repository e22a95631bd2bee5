/* The roles of the seqpacket cases; see limit.h for the manner. */
#include "limit.h"
#include <sys/epoll.h>

/* The size of a message, or 0 at the end: no case sends an empty one. */
static size_t receive_message(int fd, char *message) {
  ssize_t size = recv(fd, message, BUFFER, 0);
  if (size < 0) die("recv");
  return size;
}

/* ---- seq-oneway, seq-oneway-8k --------------------------------------------------------------- */

static void oneway_send(void) {
  size_t size = number("size", 64);
  int fd = connection(SOCK_SEQPACKET), alive = 1;
  char *message = calloc(1, size);
  double stop = now() + number("duration", 1);
  struct mark begin = mark();
  uint32_t n = 0;
  while (alive && now() < stop)
    for (int i = 0; alive && i < WINDOW; i++) {
      memcpy(message, &n, sizeof n);
      if ((alive = send_all(fd, message, size))) n++;
    }
  memcpy(message, &END, sizeof END);
  send_all(fd, message, size);
  say("\"sent\":%u,%s", n, measured(begin, n));
}

static void oneway_receive(void) {
  static char message[BUFFER];
  int server = listening(SOCK_SEQPACKET), fd;
  meter_open(1);
  say("\"ready\":true");
  fd = accepted(server);
  while (receive_message(fd, message) && take(0, message))
    ;
  say_meter();
}

/* ---- seq-rtt --------------------------------------------------------------------------------- */

static void rtt_answer(void) {
  static char message[BUFFER];
  int server = listening(SOCK_SEQPACKET), fd;
  say("\"ready\":true");
  fd = accepted(server);
  for (size_t size; (size = receive_message(fd, message));) send_all(fd, message, size);
}

static void rtt_ask(void) {
  static char message[BUFFER];
  int fd = connection(SOCK_SEQPACKET);
  size_t size = number("size", 64);
  uint32_t warm_up = number("warmUp", 0), trips = 0;
  double duration = number("duration", 1);
  struct mark begin = mark();
  do {
    memcpy(message, &trips, sizeof trips);
    send_all(fd, message, size);
    if (receive_message(fd, message) != size || memcmp(message, &trips, sizeof trips) != 0)
      die("wrong answer");
    if (++trips == warm_up) begin = mark();
  } while (trips < warm_up || now() - begin.time < duration);
  say("%s", measured(begin, trips - warm_up));
}

/* ---- seq-idle-memory ------------------------------------------------------------------------- */

/* Accepts so many connections and gets ready to read them. */
static void idle_memory_open(void) {
  int connections = number("connections", 10000), set = open_set();
  int server = listening(SOCK_SEQPACKET);
  double before = resident_kib();
  int *fds = calloc(connections, sizeof *fds);
  say("\"ready\":true");
  for (int i = 0; i < connections; i++) {
    fds[i] = accepted(server);
    watch(set, fds[i], i);
  }
  say("\"each\":%.4f", (resident_kib() - before) / connections);
}

/* ---- seq-idle-throughput --------------------------------------------------------------------- */

/* As seq-oneway, but of a server that reads all of its connections. */
static void idle_throughput_receive(void) {
  static char message[BUFFER];
  struct epoll_event events[128];
  int server = listening(SOCK_SEQPACKET), set = open_set(), more = 1;
  watch(set, server, server);
  meter_open(1);
  say("\"ready\":true");
  while (more) {
    int count = epoll_wait(set, events, 128, -1);
    for (int e = 0; e < count; e++) {
      int fd = events[e].data.u32;
      if (fd == server) {
        int fresh = accepted(server);
        watch(set, fresh, fresh);
      } else if (receive_message(fd, message)) {
        more = take(0, message) && more;
      } else {
        close(fd);
      }
    }
  }
  say_meter();
}

/* ---- roles that every case may use ----------------------------------------------------------- */

/*
 * A process with many connections that nothing happens on: waits to be ended. Gives up when the
 * server leaves its backlog full for `patience` seconds.
 */
static void any_hold(void) {
  int connections = number("connections", 10000);
  struct sockaddr_un to = address(text("path", ""));
  struct timeval patience = {.tv_sec = number("patience", 2)};
  for (int i = 0; i < connections; i++) {
    int fd = open_socket(SOCK_SEQPACKET);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) continue;
    fprintf(stderr, "limit: %d of %d connections made: %s\n", i, connections, strerror(errno));
    exit(1);
  }
  say("\"ready\":true");
  for (;;) pause();
}

const struct program seqpacket_programs[] = {
    {"any", "hold", any_hold},
    {"seq-oneway", "send", oneway_send},
    {"seq-oneway", "receive", oneway_receive},
    {"seq-oneway-8k", "send", oneway_send},
    {"seq-oneway-8k", "receive", oneway_receive},
    {"seq-rtt", "ask", rtt_ask},
    {"seq-rtt", "answer", rtt_answer},
    {"seq-idle-memory", "open", idle_memory_open},
    {"seq-idle-throughput", "send", oneway_send},
    {"seq-idle-throughput", "receive", idle_throughput_receive},
    {0},
};
