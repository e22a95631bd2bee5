/* The roles of seq-accept and stream-accept, by kind of socket; see limit.h for the manner. */
#include "limit.h"

/* Reads one connection after the other to its end; a message is the number of those before it. */
static void serve(int type) {
  uint32_t warm_up = number("warmUp", 0), accepts = 0, opened = 0;
  int server = listening(type);
  double first = 0, begin = 0;
  ssize_t size;
  say("\"ready\":true");
  do {
    char message[16];
    int fd = accepted(server);
    accepts++;
    if (accepts == 1) first = now();
    if (accepts == warm_up) begin = now();
    size = recv(fd, message, sizeof message, 0);
    if (size < 0) die("recv");
    if (size) memcpy(&opened, message, sizeof opened);
    close(fd);
  } while (size == 0);
  int warm = accepts > 2 * warm_up;
  double seconds = now() - (warm ? begin : first);
  say("\"accepted\":%u,\"rate\":%.1f,\"missing\":%d", accepts,
      (accepts - (warm ? warm_up : 1)) / seconds, (int)(opened + 1 - accepts));
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

static void seq_serve(void) { serve(SOCK_SEQPACKET); }
static void seq_connect(void) { connect_many(SOCK_SEQPACKET); }
static void stream_serve(void) { serve(SOCK_STREAM); }
static void stream_connect(void) { connect_many(SOCK_STREAM); }

const struct program accept_programs[] = {
    {"seq-accept", "serve", seq_serve},
    {"seq-accept", "connect", seq_connect},
    {"stream-accept", "serve", stream_serve},
    {"stream-accept", "connect", stream_connect},
    {0},
};
