// Owns: faults at the system-call boundary without ptrace(2): preloaded into a trial (LD_PRELOAD), it
// makes chosen calls on Unix sockets fail. Compiled by cases/faults.js.
//
// The trial commands it with paths for access(2), which exist nowhere:
//   /afunix-faults/on/CALL/ERRNO/PATTERN/SEED   PATTERN: first, third (every third), random, ever
//   /afunix-faults/off
// CALL may be `sends` or `receives` too: all that send, or receive.
// Each fault is a line in the file that AFUNIX_FAULTS_LOG names.
//
// Only the main thread, only AF_UNIX sockets other than the standard streams, and calls on names that take a folder,
// which Node itself does not use. close(2) closes before it
// fails, as Linux does. epoll_ctl(2) fails only where libuv can bear it: see is_probe().

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
  int armed;
  char call[16];
  int error;
  char pattern[8];
  unsigned int random;
  unsigned long seen;
} fault;

static int log_fd = -1;

#define REAL(name)                              \
  static __typeof__(&name) real;                \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void open_log(void) {
  const char *path = getenv("AFUNIX_FAULTS_LOG");
  if (path) log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_due(void) {
  fault.seen++;
  if (strcmp(fault.pattern, "ever") == 0) return 1;
  if (strcmp(fault.pattern, "first") == 0) return fault.seen == 1;
  if (strcmp(fault.pattern, "third") == 0) return fault.seen % 3 == 0;
  fault.random ^= fault.random << 13;
  fault.random ^= fault.random >> 17;
  fault.random ^= fault.random << 5;
  return fault.random % 3 == 0;
}

static int is_meant(const char *call) {
  if (strcmp(fault.call, "sends") == 0) return strncmp(call, "send", 4) == 0;
  if (strcmp(fault.call, "receives") == 0) return strncmp(call, "recv", 4) == 0;
  return strcmp(fault.call, call) == 0;
}

/* Whether this call fails; errno is set then. */
static int strikes(const char *call) {
  char line[64];
  int length;
  if (!fault.armed || !is_meant(call)) return 0;
  if (syscall(SYS_gettid) != getpid() || !is_due()) return 0;
  /* For ever is reported once in a thousand: a call that is repeated without a pause would fill the disk. */
  if (strcmp(fault.pattern, "ever") == 0 && fault.seen % 1000 != 1) {
    errno = fault.error;
    return 1;
  }
  length = snprintf(line, sizeof line, "%s %d %lu\n", call, fault.error, fault.seen);
  if (write(log_fd, line, length) != length) abort();
  errno = fault.error;
  return 1;
}

static int is_unix(int fd) {
  int domain = 0, kept = errno;
  socklen_t length = sizeof domain;
  int status = syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
  errno = kept;
  return fd > 2 && status == 0 && domain == AF_UNIX;
}

#define STRIKES(call, fd) (fault.armed && is_unix(fd) && strikes(call))

int access(const char *path, int mode) {
  REAL(access);
  if (strncmp(path, "/afunix-faults/", 15) != 0) return real(path, mode);
  fault.armed = 0;
  if (sscanf(path + 15, "on/%15[^/]/%d/%7[^/]/%u", fault.call, &fault.error, fault.pattern,
             &fault.random) == 4) {
    fault.random |= 1;
    fault.seen = 0;
    fault.armed = 1;
  }
  return 0;
}

ssize_t recvmsg(int fd, struct msghdr *header, int flags) {
  REAL(recvmsg);
  return STRIKES("recvmsg", fd) ? -1 : real(fd, header, flags);
}

int recvmmsg(int fd, struct mmsghdr *headers, unsigned int count, int flags,
             struct timespec *timeout) {
  REAL(recvmmsg);
  return STRIKES("recvmmsg", fd) ? -1 : real(fd, headers, count, flags, timeout);
}

ssize_t recv(int fd, void *room, size_t length, int flags) {
  REAL(recv);
  return STRIKES("recvfrom", fd) ? -1 : real(fd, room, length, flags);
}

ssize_t recvfrom(int fd, void *room, size_t length, int flags, struct sockaddr *name,
                 socklen_t *name_length) {
  REAL(recvfrom);
  return STRIKES("recvfrom", fd) ? -1 : real(fd, room, length, flags, name, name_length);
}

ssize_t sendmsg(int fd, const struct msghdr *header, int flags) {
  REAL(sendmsg);
  return STRIKES("sendmsg", fd) ? -1 : real(fd, header, flags);
}

int sendmmsg(int fd, struct mmsghdr *headers, unsigned int count, int flags) {
  REAL(sendmmsg);
  return STRIKES("sendmmsg", fd) ? -1 : real(fd, headers, count, flags);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
  REAL(send);
  return STRIKES("sendto", fd) ? -1 : real(fd, bytes, length, flags);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to,
               socklen_t to_length) {
  REAL(sendto);
  return STRIKES("sendto", fd) ? -1 : real(fd, bytes, length, flags, to, to_length);
}

int accept4(int fd, struct sockaddr *name, socklen_t *name_length, int flags) {
  REAL(accept4);
  return STRIKES("accept4", fd) ? -1 : real(fd, name, name_length, flags);
}

int connect(int fd, const struct sockaddr *to, socklen_t length) {
  REAL(connect);
  return STRIKES("connect", fd) ? -1 : real(fd, to, length);
}

int bind(int fd, const struct sockaddr *to, socklen_t length) {
  REAL(bind);
  return STRIKES("bind", fd) ? -1 : real(fd, to, length);
}

int socket(int domain, int type, int protocol) {
  REAL(socket);
  if (domain == AF_UNIX && strikes("socket")) return -1;
  /* sock_diag(7), by which a socket is asked for its file. */
  if (domain == AF_NETLINK && strikes("netlink")) return -1;
  return real(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int fds[2]) {
  REAL(socketpair);
  return domain == AF_UNIX && strikes("socketpair") ? -1 : real(domain, type, protocol, fds);
}

int listen(int fd, int backlog) {
  REAL(listen);
  return STRIKES("listen", fd) ? -1 : real(fd, backlog);
}

int shutdown(int fd, int how) {
  REAL(shutdown);
  return STRIKES("shutdown", fd) ? -1 : real(fd, how);
}

int getsockname(int fd, struct sockaddr *name, socklen_t *length) {
  REAL(getsockname);
  return STRIKES("getsockname", fd) ? -1 : real(fd, name, length);
}

int getpeername(int fd, struct sockaddr *name, socklen_t *length) {
  REAL(getpeername);
  return STRIKES("getpeername", fd) ? -1 : real(fd, name, length);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
  REAL(getsockopt);
  return STRIKES("getsockopt", fd) ? -1 : real(fd, level, name, value, length);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
  REAL(setsockopt);
  return STRIKES("setsockopt", fd) ? -1 : real(fd, level, name, value, length);
}

int close(int fd) {
  REAL(close);
  int fails = STRIKES("close", fd), error = errno, status = real(fd);
  if (!fails) return status;
  errno = error;
  return -1;
}

/* uv_poll_init() asks in this way whether a descriptor can be watched, and reports a failure. Where
   libuv begins to watch, it aborts the process on any failure: nothing that uses libuv survives. */
static int is_probe(int op, const struct epoll_event *event) {
  return op == EPOLL_CTL_ADD && event && event->data.fd == -1;
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
  REAL(epoll_ctl);
  int fails = is_probe(op, event) && STRIKES("epoll_ctl", fd);
  return fails ? -1 : real(epoll, op, fd, event);
}

static int strikes_fcntl(int fd, int command) {
  int is_dup = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  /* What is duplicated is any file. */
  return is_dup ? strikes("dup") : STRIKES("fcntl", fd);
}

int fcntl(int fd, int command, ...) {
  REAL(fcntl);
  va_list list;
  va_start(list, command);
  long arg = va_arg(list, long);
  va_end(list);
  return strikes_fcntl(fd, command) ? -1 : real(fd, command, arg);
}

int fcntl64(int fd, int command, ...) {
  REAL(fcntl64);
  va_list list;
  va_start(list, command);
  long arg = va_arg(list, long);
  va_end(list);
  return strikes_fcntl(fd, command) ? -1 : real(fd, command, arg);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {
  REAL(poll);
  return count > 0 && STRIKES("poll", fds[0].fd) ? -1 : real(fds, count, timeout);
}

int ioctl(int fd, unsigned long request, ...) {
  REAL(ioctl);
  va_list list;
  va_start(list, request);
  void *arg = va_arg(list, void *);
  va_end(list);
  return request == FIONBIO && STRIKES("ioctl", fd) ? -1 : real(fd, request, arg);
}

int openat(int at, const char *path, int flags, ...) {
  REAL(openat);
  va_list list;
  va_start(list, flags);
  mode_t mode = va_arg(list, mode_t);
  va_end(list);
  return strikes("openat") ? -1 : real(at, path, flags, mode);
}

int fstatat(int at, const char *path, struct stat *found, int flags) {
  REAL(fstatat);
  return strikes("fstatat") ? -1 : real(at, path, found, flags);
}

int renameat(int from, const char *old, int to, const char *new) {
  REAL(renameat);
  return strikes("renameat") ? -1 : real(from, old, to, new);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
  REAL(linkat);
  return strikes("linkat") ? -1 : real(from, old, to, new, flags);
}

int unlinkat(int at, const char *path, int flags) {
  REAL(unlinkat);
  return strikes("unlinkat") ? -1 : real(at, path, flags);
}

int mknodat(int at, const char *path, mode_t mode, dev_t device) {
  REAL(mknodat);
  return strikes("mknodat") ? -1 : real(at, path, mode, device);
}

int fchownat(int at, const char *path, uid_t user, gid_t group, int flags) {
  REAL(fchownat);
  return strikes("fchownat") ? -1 : real(at, path, user, group, flags);
}

int fchmod(int fd, mode_t mode) {
  REAL(fchmod);
  return STRIKES("fchmod", fd) ? -1 : real(fd, mode);
}

int chmod(const char *path, mode_t mode) {
  REAL(chmod);
  return strikes("chmod") ? -1 : real(path, mode);
}

int flock(int fd, int operation) {
  REAL(flock);
  return strikes("flock") ? -1 : real(fd, operation);
}

/* Calls for which the C library has no function, or not everywhere. */
long syscall(long number, ...) {
  REAL(syscall);
  va_list list;
  long args[6];
  va_start(list, number);
  for (int at = 0; at < 6; at++) args[at] = va_arg(list, long);
  va_end(list);
  if (number == SYS_memfd_create && strikes("memfd_create")) return -1;
  if (number == SYS_pidfd_open && strikes("pidfd_open")) return -1;
  return real(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
