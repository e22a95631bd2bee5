/* The roles of the -accept cases, connection-cost and connect-storm; see limit.h for the manner. */
#include "limit.h"

/* Reads one connection after the other to its end; a message is the number of those before it. */
static void serve(int type) {
  uint32_t warm_up = number("warmUp", 0), accepts = 0, opened = 0;
  int server = listening(type);
  struct mark first = {0}, begin = {0};
  ssize_t size;
  say("\"ready\":true");
  do {
    char message[16];
    int fd = accepted(server);
    accepts++;
    if (accepts == 1) first = mark();
    if (accepts == warm_up) begin = mark();
    size = recv(fd, message, sizeof message, 0);
    if (size < 0) die("recv");
    if (size) memcpy(&opened, message, sizeof opened);
    close(fd);
  } while (size == 0);
  int warm = accepts > 2 * warm_up;
  say("\"accepted\":%u,\"missing\":%d,%s", accepts, (int)(opened + 1 - accepts),
      measured(warm ? begin : first, accepts - (warm ? warm_up : 1)));
}

static void connect_many(int type) {
  uint32_t at_once = number("atOnce", 16), opened = 0;
  int *fds = calloc(at_once, sizeof *fds);
  double stop = now() + number("duration", 1);
  while (now() < stop) {
    for (uint32_t i = 0; i < at_once; i++) fds[i] = connection(type);
    for (uint32_t i = 0; i < at_once; i++) close(fds[i]);
    opened += at_once;
  }
  send_all(connection(type), &opened, sizeof opened);
  say("\"opened\":%u", opened);
}

/* ---- connection-cost ------------------------------------------------------------------------- */

/* The argument `kind` says which; 'stream' otherwise. */
static int wanted_type(void) {
  return strcmp(text("kind", ""), "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_STREAM;
}

/* Reads each connection to its end and closes it, for `duration` seconds after the warm-up. */
static void cost_serve(void) {
  uint32_t warm_up = number("warmUp", 0), closed = 0;
  int server = listening(wanted_type());
  double duration = number("duration", 1);
  struct mark begin = mark();
  say("\"ready\":true");
  while (closed < warm_up || now() - begin.time < duration) {
    char bytes[16];
    int fd = accepted(server);
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
      ;
    close(fd);
    if (++closed == warm_up) begin = mark();
  }
  say("\"done\":%u,%s", closed, measured(begin, closed - warm_up));
}

static void cost_connect(void) { connect_many(wanted_type()); }

/* ---- roles that every case may use ----------------------------------------------------------- */

/* A server with a short backlog that never accepts: waits to be ended. */
static void any_stuck(void) {
  int fd = bound(wanted_type(), address(text("path", "")));
  if (listen(fd, number("backlog", 8)) < 0) die("listen");
  say("\"ready\":true");
  for (;;) pause();
}

static void seq_serve(void) { serve(SOCK_SEQPACKET); }
static void seq_connect(void) { connect_many(SOCK_SEQPACKET); }
static void stream_serve(void) { serve(SOCK_STREAM); }
static void stream_connect(void) { connect_many(SOCK_STREAM); }

const struct program accept_programs[] = {
    {"seq-accept", "serve", seq_serve},
    {"seq-accept", "connect", seq_connect},
    {"stream-accept", "serve", stream_serve},
    {"stream-accept", "connect", stream_connect},
    {"connection-cost", "serve", cost_serve},
    {"connection-cost", "connect", cost_connect},
    {"any", "stuck", any_stuck},
    {0},
};
