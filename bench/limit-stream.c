/* The roles of the stream cases; see limit.h for the manner. */
#include "limit.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

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
  double duration = number("duration", 1), begin = now(), time;
  do {
    memcpy(message, &trips, sizeof trips);
    send_all(fd, message, size);
    if (!receive_all(fd, message, size) || memcmp(message, &trips, sizeof trips) != 0)
      die("wrong answer");
    time = now();
    if (++trips == warm_up) begin = time;
  } while (trips < warm_up || time - begin < duration);
  say("\"rate\":%.1f", (trips - warm_up) / (time - begin));
}

/* ---- stream-oneway --------------------------------------------------------------------------- */

/* As many messages as JavaScript has at once, in turn, so that as much memory is touched. */
static void oneway_send(void) {
  size_t size = number("size", BUFFER);
  uint32_t window = number("window", WINDOW), n = 0;
  int fd = connection(SOCK_STREAM), alive = 1;
  char *messages = calloc(window, size);
  double stop = now() + number("duration", 1);
  while (alive && now() < stop)
    for (uint32_t i = 0; alive && i < window; i++) {
      char *message = messages + i * size;
      memcpy(message, &n, sizeof n);
      if ((alive = send_all(fd, message, size))) n++;
    }
  memcpy(messages, &END, sizeof END);
  send_all(fd, messages, size);
  say("\"sent\":%u", n);
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

/* ---- fds ------------------------------------------------------------------------------------- */

/* Room for the control data of one descriptor. */
union control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_with_fd(int socket, char *data, size_t size, int fd) {
  union control control = {.header = {.cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS,
                                      .cmsg_len = CMSG_LEN(sizeof fd)}};
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  struct iovec part = {.iov_base = data, .iov_len = size};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
  if (sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return 1;
  if (errno != EPIPE && errno != ECONNRESET) die("sendmsg");
  return 0;
}

static void fds_send(void) {
  size_t size = number("size", 8);
  int fd = connection(SOCK_STREAM), alive = 1, sent = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (sent < 0) die("/dev/null");
  char *message = calloc(1, size);
  double stop = now() + number("duration", 1);
  uint32_t n = 0;
  while (alive && now() < stop)
    for (int i = 0; alive && i < WINDOW; i++) {
      memcpy(message, &n, sizeof n);
      if ((alive = send_with_fd(fd, message, size, sent))) n++;
    }
  memcpy(message, &END, sizeof END);
  send_with_fd(fd, message, size, sent);
  say("\"sent\":%u", n);
}

/* Of every 256th descriptor: is it the one that was sent? */
static void check_kind(int fd, dev_t wanted) {
  struct stat found;
  if (fstat(fd, &found) < 0 || found.st_rdev != wanted) die("another descriptor came");
}

static void fds_receive(void) {
  char bytes[64];
  union control control;
  struct stat null;
  size_t size = number("size", 8);
  uint32_t descriptors = 0;
  int server = listening(SOCK_STREAM), socket, more = 1;
  if (stat("/dev/null", &null) < 0) die("/dev/null");
  meter_open(1);
  say("\"ready\":true");
  socket = accepted(server);
  while (more) {
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0) die("recvmsg");
    if (received == 0) break;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS) {
      int fd;
      memcpy(&fd, CMSG_DATA(header), sizeof fd);
      if ((descriptors++ & 255) == 0) check_kind(fd, null.st_rdev);
      close(fd);
    }
    /* The kernel never joins bytes that came with descriptors to others. */
    if ((size_t)received != size) die("a part of a message");
    more = take(0, bytes);
  }
  say("%s,\"descriptors\":%u", meter_members(), descriptors);
}

/* ---- http: the client ------------------------------------------------------------------------ */

struct exchange {
  int fd;
  uint32_t asked;
  size_t have;
  char answer[4096];
};

static void http_ask(struct exchange *x, uint32_t n) {
  static const char form[] = "GET /%u HTTP/1.1\r\nHost: localhost\r\n\r\n";
  char request[128];
  x->asked = n;
  x->have = 0;
  if (!send_all(x->fd, request, snprintf(request, sizeof request, form, n))) die("server gone");
}

/* Reads what there is; true once the answer is whole. An answer other than that is the end. */
static int http_hear(struct exchange *x) {
  ssize_t received = recv(x->fd, x->answer + x->have, sizeof x->answer - 1 - x->have, 0);
  if (received <= 0) die("no answer");
  x->have += received;
  x->answer[x->have] = 0;
  char *body = strstr(x->answer, "\r\n\r\n");
  if (!body) return 0;
  body += 4;
  char *length = strcasestr(x->answer, "\r\nContent-Length:");
  if (strncmp(x->answer, "HTTP/1.1 200 ", 13) != 0 || !length || length > body)
    die("another kind of answer");
  size_t size = atoi(length + 17), body_have = x->have - (body - x->answer);
  if (body_have < size) return 0;
  char wanted[32];
  snprintf(wanted, sizeof wanted, "{\"n\":%u,", x->asked);
  if (body_have > size || strncmp(body, wanted, strlen(wanted)) != 0) die("wrong answer");
  return 1;
}

/* One request at a time on each of so many connections. */
static void http_load(void) {
  int connections = number("connections", 16), set = open_set();
  struct epoll_event events[128];
  struct exchange *all = calloc(connections, sizeof *all);
  uint32_t warm_up = number("warmUp", 0), answered = 0, asked = 0;
  double duration = number("duration", 1), begin = 0, time;
  for (int i = 0; i < connections; i++) {
    all[i].fd = connection(SOCK_STREAM);
    watch(set, all[i].fd, i);
  }
  for (int i = 0; i < connections; i++) http_ask(&all[i], asked++);
  for (;;) {
    int count = epoll_wait(set, events, 128, -1);
    for (int e = 0; e < count; e++) {
      struct exchange *x = &all[events[e].data.u32];
      if (!http_hear(x)) continue;
      if (++answered == warm_up) begin = now();
      http_ask(x, asked++);
    }
    if (answered > warm_up && (time = now()) - begin >= duration) break;
  }
  say("\"rate\":%.1f,\"answered\":%u", (answered - warm_up) / (time - begin), answered);
}

const struct program stream_programs[] = {
    {"stream-rtt", "ask", rtt_ask},
    {"stream-rtt", "answer", rtt_answer},
    {"stream-oneway", "send", oneway_send},
    {"stream-oneway", "receive", oneway_receive},
    {"fds", "send", fds_send},
    {"fds", "receive", fds_receive},
    {"http", "load", http_load},
    {0},
};
