/*
 * What the roles in limit-KIND.c share. The manner of all of them: an honest plain loop, blocking
 * sockets, one system call a message, no sendmmsg, and epoll only where one process reads many
 * sockets. Messages are laid out and numbered as in lib/sequence.js.
 */
#ifndef LIMIT_H
#define LIMIT_H

#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WINDOW = 64, WARM_UP = 80 * 256 + 1, BUFFER = 65536, MAX_SOCKETS = 16384, BACKLOG = 511 };

/* The number of the last message of a stream. */
static const uint32_t END = 0xffffffff;

/* A role of a case; the tables end with one without a name. */
struct program {
  const char *name, *role;
  void (*run)(void);
};
extern const struct program accept_programs[], dgram_programs[], fds_programs[], http_programs[],
  posix_programs[], reuseport_programs[], seqpacket_programs[], stream_programs[];

/* Arguments of the form name=value. */
const char *text(const char *name, const char *otherwise);
double number(const char *name, double otherwise);

/* One line for the parent: a JSON object with the given members. */
__attribute__((format(printf, 1, 2))) void say(const char *members, ...);

/* Ends with `what` and errno. */
__attribute__((noreturn)) void die(const char *what);

double now(void); /* seconds */
double cpu_ms(void);

/* A moment: the time in seconds and the CPU used until then in µs; the twin of lib/marks.js. */
struct mark {
  double time, user, system;
};
struct mark mark(void);
/* Members for say(): operations a second since `begin`, and µs of CPU for each. */
const char *measured(struct mark begin, double operations);
double resident_kib(void);

struct sockaddr_un address(const char *path);
int open_socket(int type);
int bound(int type, struct sockaddr_un a);

/* Connections to, or of, the server that the argument `path` names. */
int listening(int type);
int accepted(int server);
int connection(int type);
/* All of the bytes; false when the reader is gone. */
int send_all(int fd, const void *data, size_t size);

/* A set for epoll, and a descriptor to be read in it; its events carry `id`. */
int open_set(void);
void watch(int set, int fd, uint32_t id);

/* Counts numbered messages: the twin of `Meter` in lib/sequence.js, `warmUp` an argument. */
void meter_open(int streams);
int take(int stream, const char *message); /* false once every stream has ended */
const char *meter_members(void); /* for say() */
void say_meter(void);

#endif
