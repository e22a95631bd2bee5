/*
 * The C side of the posix cases: two processes that talk over a blocking stream.
 */
#include "limit.h"

enum { RTT_WARM_UP = 2016, BETWEEN_LOOKS = 32 };

/* ---- posix-rtt ------------------------------------------------------------------------------- */

static void posix_rtt_answer(void) {
  char message[BUFFER];
  int listener = bound(SOCK_STREAM, address(text("path", "")));
  if (listen(listener, 1) < 0) die("listen");
  say("\"ready\":true");
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) die("accept");
  for (ssize_t size; (size = recv(fd, message, sizeof message, 0)) > 0;)
    if (send(fd, message, size, MSG_NOSIGNAL) != size) die("send");
}

static void posix_rtt_ask(void) {
  char request[BUFFER] = {0}, response[BUFFER];
  size_t size = number("size", 64);
  double duration = number("duration", 1);
  struct mark begin = mark();
  struct sockaddr_un to = address(text("path", ""));
  int fd = open_socket(SOCK_STREAM);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  for (uint32_t trips = 0;;) {
    memcpy(request, &trips, sizeof trips);
    if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size) die("send");
    if (recv(fd, response, size, MSG_WAITALL) != (ssize_t)size) die("recv");
    if (memcmp(request, response, size) != 0) die("wrong answer");
    if (++trips % BETWEEN_LOOKS != 0) continue;
    if (trips == RTT_WARM_UP) begin = mark();
    if (trips > RTT_WARM_UP && now() - begin.time >= duration) {
      say("%s", measured(begin, trips - RTT_WARM_UP));
      return;
    }
  }
}

const struct program posix_programs[] = {
    {"posix-rtt", "ask", posix_rtt_ask},
    {"posix-rtt", "answer", posix_rtt_answer},
    {0},
};
