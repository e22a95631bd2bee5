/*
 * The limit of servers that share a port: two processes that echo, each with a listener of its own
 * (SO_REUSEPORT), and the client that every implementation is measured with.
 */
#include "limit.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

enum { WORKERS = 2, MOST_AT_ONCE = 64, ADDRESSES = 16, SIZE = 64 };

static struct sockaddr_in inet(uint32_t host) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(number("port", 0)), .sin_addr.s_addr = htonl(host)};
}

static void work(void) {
  struct sockaddr_in a = inet(INADDR_ANY);
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), set = open_set();
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0) die("bind");
  if (listen(listener, 511) < 0) die("listen");
  watch(set, listener, listener);
  for (;;) {
    struct epoll_event events[128];
    int count = epoll_wait(set, events, 128, -1);
    for (int e = 0; e < count; e++) {
      int fd = events[e].data.u32;
      char bytes[1024];
      if (fd == listener) {
        int fresh = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fresh < 0) die("accept4");
        watch(set, fresh, fresh);
        continue;
      }
      ssize_t got = read(fd, bytes, sizeof bytes);
      if (got <= 0 || send(fd, bytes, got, MSG_NOSIGNAL) != got) close(fd);
    }
  }
}

/* A primary that has nothing to do. */
static void serve(void) {
  sigset_t stop;
  int signal_number;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, NULL);
  for (int i = 0; i < WORKERS; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work();
  }
  usleep(100000); /* until they listen */
  double begin = now(), used = cpu_ms();
  say("\"ready\":true");
  sigwait(&stop, &signal_number);
  say("\"primary\":%.2f", (cpu_ms() - used) / (now() - begin) / 10);
}

/* One that connects, sends, and has everything to read before it closes. */
static int open_connection(uint32_t host) {
  static const char message[SIZE];
  struct sockaddr_in a = inet(host);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) die("connect");
  if (send(fd, message, sizeof message, MSG_NOSIGNAL) != SIZE) die("send");
  shutdown(fd, SHUT_WR);
  return fd;
}

static int answered(int fd) {
  char bytes[1024];
  ssize_t sum = 0, got;
  while ((got = read(fd, bytes, sizeof bytes)) > 0) sum += got;
  close(fd);
  return got == 0 && sum == SIZE;
}

static void run_client(void) {
  int at_once = number("atOnce", 16), fds[MOST_AT_ONCE];
  double warm = now() + number("warmUp", 0.5), stop = warm + number("duration", 1), begin = 0, t;
  uint32_t done = 0, failed = 0, next = 0;
  while ((t = now()) < stop) {
    if (!begin && t >= warm) begin = t;
    /* Of several addresses, so that the ports of closed connections do not run out. */
    for (int i = 0; i < at_once; i++)
      fds[i] = open_connection(INADDR_LOOPBACK + next++ % ADDRESSES);
    for (int i = 0; i < at_once; i++) {
      int good = answered(fds[i]);
      if (!good) failed++;
      else if (begin) done++;
    }
  }
  say("\"rate\":%.1f,\"failed\":%u", done / (t - begin), failed);
}

const struct program reuseport_programs[] = {
    {"reuseport", "serve", serve},
    {"reuseport", "connect", run_client},
    {0},
};
