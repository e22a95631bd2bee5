// Kills its process at a system call, for cases/death.js: loaded with LD_PRELOAD.
//
// DEATH_CALL: the function. DEATH_NTH: which call of it on a Unix socket (or, for unlinkat, of a
// socket file that has been moved aside). DEATH_WHEN: "before" or "after" the kernel has done it.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int counted;

static int is_unix_socket(int fd) {
  int domain = 0;
  socklen_t len = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

static int is_due(const char *call, int concerned) {
  const char *wanted = getenv("DEATH_CALL"), *nth = getenv("DEATH_NTH");
  if (wanted == NULL || nth == NULL || !concerned || strcmp(wanted, call) != 0) return 0;
  return ++counted == atoi(nth);
}

static void die(const char *when) {
  if (strcmp(getenv("DEATH_WHEN"), when) == 0) kill(getpid(), SIGKILL);
}

#define WRAP(type, name, concerned, parameters, arguments)      \
  type name parameters {                                        \
    type (*real) parameters = dlsym(RTLD_NEXT, #name);          \
    int due = is_due(#name, concerned);                         \
    if (due) die("before");                                     \
    type result = real arguments;                               \
    if (due) die("after");                                      \
    return result;                                              \
  }

WRAP(int, bind, is_unix_socket(fd), (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, connect, is_unix_socket(fd), (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, listen, is_unix_socket(fd), (int fd, int n), (fd, n))
WRAP(int, accept4, is_unix_socket(fd), (int fd, struct sockaddr *a, socklen_t *n, int f),
     (fd, a, n, f))
WRAP(ssize_t, send, is_unix_socket(fd), (int fd, const void *b, size_t n, int f), (fd, b, n, f))
WRAP(ssize_t, sendto, is_unix_socket(fd),
     (int fd, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l),
     (fd, b, n, f, a, l))
WRAP(ssize_t, recvfrom, is_unix_socket(fd),
     (int fd, void *b, size_t n, int f, struct sockaddr *a, socklen_t *l), (fd, b, n, f, a, l))
WRAP(ssize_t, sendmsg, is_unix_socket(fd), (int fd, const struct msghdr *m, int f), (fd, m, f))
WRAP(ssize_t, recvmsg, is_unix_socket(fd), (int fd, struct msghdr *m, int f), (fd, m, f))
WRAP(int, sendmmsg, is_unix_socket(fd), (int fd, struct mmsghdr *m, unsigned n, int f),
     (fd, m, n, f))
WRAP(int, recvmmsg, is_unix_socket(fd),
     (int fd, struct mmsghdr *m, unsigned n, int f, struct timespec *t), (fd, m, n, f, t))
WRAP(int, shutdown, is_unix_socket(fd), (int fd, int how), (fd, how))
WRAP(int, fchmod, is_unix_socket(fd), (int fd, mode_t mode), (fd, mode))
WRAP(int, close, is_unix_socket(fd), (int fd), (fd))
WRAP(int, unlinkat, strncmp(path, ".afunix-", 8) == 0, (int at, const char *path, int f),
     (at, path, f))
