/* The roles of the stream cases; see limit.h for the manner. */
#include "limit.h"

/* ---- stream-rtt ------------------------------------------------------------------------------ */

/* So many bytes, or false at the end. */
static int receive_all(int fd, char *to, size_t size) {
  while (size > 0) {
    ssize_t received = recv(fd, to, size, 0);
    if (received < 0) die("recv");
    if (received == 0) return 0;
    to += received;
    size -= received;
  }
  return 1;
}

static void rtt_answer(void) {
  static char bytes[BUFFER];
  int server = listening(SOCK_STREAM), fd;
  say("\"ready\":true");
  fd = accepted(server);
  for (ssize_t size; (size = recv(fd, bytes, sizeof bytes, 0));) {
    if (size < 0) die("recv");
    send_all(fd, bytes, size);
  }
}

static void rtt_ask(void) {
  static char message[BUFFER];
  int fd = connection(SOCK_STREAM);
  size_t size = number("size", 64);
  uint32_t warm_up = number("warmUp", 0), trips = 0;
  double duration = number("duration", 1);
  struct mark begin = mark();
  do {
    memcpy(message, &trips, sizeof trips);
    send_all(fd, message, size);
    if (!receive_all(fd, message, size) || memcmp(message, &trips, sizeof trips) != 0)
      die("wrong answer");
    if (++trips == warm_up) begin = mark();
  } while (trips < warm_up || now() - begin.time < duration);
  say("%s", measured(begin, trips - warm_up));
}

/* ---- stream-oneway --------------------------------------------------------------------------- */

/* As many messages as JavaScript has at once, in turn, so that as much memory is touched. */
static void oneway_send(void) {
  size_t size = number("size", BUFFER);
  uint32_t window = number("window", WINDOW), n = 0;
  int fd = connection(SOCK_STREAM), alive = 1;
  char *messages = calloc(window, size);
  double stop = now() + number("duration", 1);
  struct mark begin = mark();
  while (alive && now() < stop)
    for (uint32_t i = 0; alive && i < window; i++) {
      char *message = messages + i * size;
      memcpy(message, &n, sizeof n);
      if ((alive = send_all(fd, message, size))) n++;
    }
  memcpy(messages, &END, sizeof END);
  send_all(fd, messages, size);
  say("\"sent\":%u,%s", n, measured(begin, n));
}

/* Reads what there is and cuts it at every `size` bytes; keeps only the number of a message. */
static void oneway_receive(void) {
  static char bytes[BUFFER];
  char head[sizeof END];
  size_t size = number("size", BUFFER), at = 0;
  int server = listening(SOCK_STREAM), fd, more = 1;
  meter_open(1);
  say("\"ready\":true");
  fd = accepted(server);
  while (more) {
    ssize_t received = recv(fd, bytes, sizeof bytes, 0);
    if (received < 0) die("recv");
    if (received == 0) break;
    for (char *from = bytes, *end = bytes + received; more && from < end;) {
      size_t left = end - from;
      size_t upto = at < sizeof head ? sizeof head : size;
      size_t some = upto - at < left ? upto - at : left;
      if (at < sizeof head) memcpy(head + at, from, some);
      at += some;
      from += some;
      if (at == size) {
        at = 0;
        more = take(0, head);
      }
    }
  }
  say_meter();
}

const struct program stream_programs[] = {
    {"stream-rtt", "ask", rtt_ask},
    {"stream-rtt", "answer", rtt_answer},
    {"stream-oneway", "send", oneway_send},
    {"stream-oneway", "receive", oneway_receive},
    {0},
};
