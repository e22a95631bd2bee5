/* The clients of http and http-short, the same for every server; see limit.h for the manner. */
#include "limit.h"
#include <sys/epoll.h>

struct exchange {
  int fd;
  uint32_t asked;
  size_t have;
  int whole;
  char answer[4096];
};

/* `headers` are further lines, each with its end. */
static void http_ask(struct exchange *x, uint32_t n, const char *headers) {
  static const char form[] = "GET /%u HTTP/1.1\r\nHost: localhost\r\n%s\r\n";
  char request[128];
  x->asked = n;
  x->have = 0;
  int size = snprintf(request, sizeof request, form, n, headers);
  if (!send_all(x->fd, request, size)) die("server gone");
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
  for (int i = 0; i < connections; i++) http_ask(&all[i], asked++, "");
  for (;;) {
    int count = epoll_wait(set, events, 128, -1);
    for (int e = 0; e < count; e++) {
      struct exchange *x = &all[events[e].data.u32];
      if (!http_hear(x)) continue;
      if (++answered == warm_up) begin = now();
      http_ask(x, asked++, "");
    }
    if (answered > warm_up && (time = now()) - begin >= duration) break;
  }
  say("\"rate\":%.1f,\"answered\":%u", (answered - warm_up) / (time - begin), answered);
}

/* ---- http-short ------------------------------------------------------------------------------ */

static void http_open(struct exchange *x, int set, int id, uint32_t n) {
  x->fd = connection(SOCK_STREAM);
  watch(set, x->fd, id);
  http_ask(x, n, "Connection: close\r\n");
}

/* A connection for each request, so many at once; each is read to the server's end. */
static void http_short_load(void) {
  int connections = number("connections", 16), set = open_set();
  struct epoll_event events[128];
  struct exchange *all = calloc(connections, sizeof *all);
  uint32_t warm_up = number("warmUp", 0), answered = 0, asked = 0;
  double duration = number("duration", 1), begin = 0, time;
  for (int i = 0; i < connections; i++) http_open(&all[i], set, i, asked++);
  for (;;) {
    int count = epoll_wait(set, events, 128, -1);
    for (int e = 0; e < count; e++) {
      int id = events[e].data.u32;
      struct exchange *x = &all[id];
      char rest[16];
      /* After the answer there is nothing but the end. */
      if (!x->whole) {
        x->whole = http_hear(x);
        continue;
      }
      if (recv(x->fd, rest, sizeof rest, 0) != 0) die("more than the answer");
      close(x->fd);
      x->whole = 0;
      if (++answered == warm_up) begin = now();
      http_open(x, set, id, asked++);
    }
    if (answered > warm_up && (time = now()) - begin >= duration) break;
  }
  say("\"rate\":%.1f,\"answered\":%u", (answered - warm_up) / (time - begin), answered);
}

const struct program http_programs[] = {
    {"http", "load", http_load},
    {"http-short", "load", http_short_load},
    {0},
};
