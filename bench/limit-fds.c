/* The roles of fds and fds-bytes: descriptors over a stream; see limit.h for the manner. */
#include "limit.h"
#include <fcntl.h>
#include <sys/stat.h>

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
  struct mark begin = mark();
  uint32_t n = 0;
  while (alive && now() < stop)
    for (int i = 0; alive && i < WINDOW; i++) {
      memcpy(message, &n, sizeof n);
      if ((alive = send_with_fd(fd, message, size, sent))) n++;
    }
  memcpy(message, &END, sizeof END);
  send_with_fd(fd, message, size, sent);
  say("\"sent\":%u,%s", n, measured(begin, n));
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

/* One-byte messages that nobody numbers, each with a descriptor, then the end. */
static void bytes_send(void) {
  int fd = connection(SOCK_STREAM), alive = 1, sent = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (sent < 0) die("/dev/null");
  char message = 0;
  double stop = now() + number("duration", 1);
  struct mark begin = mark();
  uint32_t n = 0;
  while (alive && now() < stop)
    for (int i = 0; alive && i < WINDOW; i++)
      if ((alive = send_with_fd(fd, &message, sizeof message, sent))) n++;
  say("\"sent\":%u,%s", n, measured(begin, n));
}

/* Counts them to the end. */
static void bytes_receive(void) {
  union control control;
  uint32_t warm_up = number("warmUp", 0), descriptors = 0;
  int server = listening(SOCK_STREAM), socket;
  struct mark begin = mark();
  say("\"ready\":true");
  socket = accepted(server);
  for (;;) {
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = sizeof byte};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0) die("recvmsg");
    if (received == 0) break;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS) continue;
    int fd;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    close(fd);
    if (++descriptors == warm_up || descriptors == 1) begin = mark();
  }
  int warm = descriptors > warm_up;
  say("\"descriptors\":%u,\"bytes\":%u,%s", descriptors, descriptors,
      measured(begin, descriptors - (warm ? warm_up : 1)));
}

const struct program fds_programs[] = {
    {"fds", "send", fds_send},
    {"fds", "receive", fds_receive},
    {"fds-bytes", "send", bytes_send},
    {"fds-bytes", "receive", bytes_receive},
    {0},
};
