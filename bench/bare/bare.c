/*
 * The least that an addon with events of Node's own loop can be, as a limit for every other: no
 * options, no credentials, no time-outs, no checks of arguments, one environment.
 *
 * A socket is a number, its descriptor. Each has a poll on Node's loop, which is kept when the
 * socket is closed and started again for the next one with that number. What comes is received into
 * a slab that JavaScript gave, and handed over by one napi_make_callback as a place in it. What
 * arrives with a new connection is read before its poll is armed: many connections never need it.
 * index.js makes events of all that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <node_api.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum { MAX_SOCKETS = 65536, MAX_ACCEPTED = 64, MAX_RECEIVE = 65536 };

enum kind { CONNECTED, LISTENER, DATAGRAM };

/* What JavaScript is called for; index.js gives the functions in this order. */
enum hook { ON_CONNECTIONS, ON_ENDS, ON_MESSAGE, ON_DATAGRAM, ON_WRITABLE, HOOKS };

struct poll {
  uv_poll_t handle; /* first: a handle's poll is the poll */
  int fd;
  int events;    /* what it is armed for; 0 is stopped */
  int is_wanted; /* whether JavaScript reads the socket */
  enum kind kind;
};

static napi_env env;
static napi_async_context context;
static napi_ref hooks[HOOKS];
static struct poll *polls[MAX_SOCKETS];

/*
 * Where the next message goes. There is always a place for MAX_RECEIVE bytes: index.js brings a new
 * slab in time.
 */
static char *slab;
static size_t slab_used;

/* Numbers for a hook that is about many sockets. */
static int32_t *numbers;

/* Connections of the present accept turn whose reading has been asked for. */
static int fresh[MAX_ACCEPTED];
static int fresh_count, is_accepting;

/* ---- calls ----------------------------------------------------------------------------------- */

/* An exception is Node's to handle: it ends the process, or a listener takes it. */
static void call(enum hook which, size_t count, const int *values, napi_value last) {
  napi_value function, global, arguments[4], result;
  napi_get_reference_value(env, hooks[which], &function);
  napi_get_global(env, &global);
  for (size_t i = 0; i < count; i++) napi_create_int32(env, values[i], &arguments[i]);
  if (last) arguments[count++] = last;
  if (napi_make_callback(env, context, global, function, count, arguments, &result) == napi_ok)
    return;
  napi_value error;
  napi_get_and_clear_last_exception(env, &error);
  napi_fatal_exception(env, error);
}

/* Calls a hook with a scope of its own. */
static void call_scoped(enum hook which, size_t count, const int *values) {
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  call(which, count, values, NULL);
  napi_close_handle_scope(env, scope);
}

/* Takes so many bytes of the slab. */
static int taken(size_t size) {
  int offset = slab_used;
  slab_used += (size + 7) & ~(size_t)7;
  return offset;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_event(uv_poll_t *handle, int status, int events);

static void arm(struct poll *poll, int events) {
  if (poll->events == events) return;
  poll->events = events;
  if (events) uv_poll_start(&poll->handle, events, on_event);
  else uv_poll_stop(&poll->handle);
}

/* One message, if there is any; sets `ended` at the end. */
static void receive(int fd, int32_t *ended) {
  ssize_t size = recv(fd, slab + slab_used, MAX_RECEIVE, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) *ended = fd;
  else call_scoped(ON_MESSAGE, 3, (int[]){fd, taken(size), size});
}

/* The sender's path is a string only where it is not that of the message before. */
static void receive_datagram(int fd) {
  static struct sockaddr_un last;
  static socklen_t last_length;
  struct sockaddr_un from;
  socklen_t length = sizeof from;
  char *to = slab + slab_used;
  ssize_t size = recvfrom(fd, to, MAX_RECEIVE, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
  if (size < 0) return;
  napi_handle_scope scope;
  napi_open_handle_scope(env, &scope);
  napi_value path = NULL;
  if (length != last_length || memcmp(&from, &last, length) != 0) {
    last = from;
    last_length = length;
    size_t header = offsetof(struct sockaddr_un, sun_path);
    size_t text = length > header ? strnlen(from.sun_path, length - header) : 0;
    napi_create_string_utf8(env, from.sun_path, text, &path);
  }
  call(ON_DATAGRAM, 3, (int[]){fd, taken(size), size}, path);
  napi_close_handle_scope(env, scope);
}

/* Accepts what waits, then reads each connection that JavaScript wants read and arms its poll. */
static void accept_all(int listener) {
  int count = 0;
  while (count < MAX_ACCEPTED) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) break;
    numbers[count++] = fd;
  }
  if (count == 0) return;
  is_accepting = 1;
  call_scoped(ON_CONNECTIONS, 1, &count);
  is_accepting = 0;
  int ended = 0, wanted = fresh_count;
  fresh_count = 0;
  for (int i = 0; i < wanted; i++) {
    struct poll *poll = polls[fresh[i]];
    int32_t end = -1;
    if (poll->is_wanted) receive(poll->fd, &end);
    if (end >= 0) numbers[ended++] = end;
    else if (poll->is_wanted) arm(poll, UV_READABLE);
  }
  if (ended) call_scoped(ON_ENDS, 1, &ended);
}

static void on_event(uv_poll_t *handle, int status, int events) {
  struct poll *poll = (struct poll *)handle;
  if (status < 0) events = UV_READABLE;
  if (events & UV_WRITABLE) {
    arm(poll, poll->events & ~UV_WRITABLE);
    call_scoped(ON_WRITABLE, 1, &poll->fd);
  }
  if (!(events & UV_READABLE) || !poll->events) return;
  if (poll->kind == LISTENER) return accept_all(poll->fd);
  if (poll->kind == DATAGRAM) return receive_datagram(poll->fd);
  int32_t end = -1;
  receive(poll->fd, &end);
  if (end < 0) return;
  arm(poll, 0);
  numbers[0] = end;
  call_scoped(ON_ENDS, 1, (int[]){1});
}

/* The poll of a descriptor that has just been opened: a kept one, or a new one. */
static struct poll *poll_of(int fd, enum kind kind) {
  struct poll *poll = polls[fd];
  if (!poll) {
    uv_loop_t *loop;
    napi_get_uv_event_loop(env, &loop);
    poll = polls[fd] = calloc(1, sizeof *poll);
    poll->fd = fd;
    uv_poll_init(loop, &poll->handle, fd);
  }
  poll->kind = kind;
  return poll;
}

/* ---- functions ------------------------------------------------------------------------------- */

static int number(napi_value value) {
  int32_t n = -1;
  napi_get_value_int32(env, value, &n);
  return n;
}

static napi_value returned(int n) {
  napi_value value;
  napi_create_int32(env, n, &value);
  return value;
}

static int outcome(ssize_t result) { return result < 0 ? -errno : (int)result; }

static struct sockaddr_un address(napi_value path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  size_t length;
  napi_get_value_string_utf8(env, path, a.sun_path, sizeof a.sun_path, &length);
  return a;
}

static void get_arguments(napi_env env_, napi_callback_info info, napi_value *a, size_t most) {
  napi_get_cb_info(env_, info, &most, a, NULL, NULL);
}

/* setUp(hooks, numbers): index.js holds both */
static napi_value set_up(napi_env env_, napi_callback_info info) {
  napi_value a[2];
  get_arguments(env_, info, a, 2);
  napi_value name, hook;
  void *data;
  env = env_;
  for (int i = 0; i < HOOKS; i++) {
    napi_get_element(env, a[0], i, &hook);
    napi_create_reference(env, hook, 1, &hooks[i]);
  }
  napi_get_typedarray_info(env, a[1], NULL, NULL, &data, NULL, NULL);
  numbers = data;
  napi_create_string_utf8(env, "BARE", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &context);
  return NULL;
}

/* useSlab(buffer): messages go there from now on; index.js holds it */
static napi_value use_slab(napi_env env_, napi_callback_info info) {
  napi_value a[1];
  get_arguments(env_, info, a, 1);
  void *data;
  napi_get_buffer_info(env, a[0], &data, NULL);
  slab = data;
  slab_used = 0;
  return NULL;
}

/* listen(path, isSeqpacket) → socket or -errno */
static napi_value listen_at(napi_env env_, napi_callback_info info) {
  napi_value a[2];
  get_arguments(env_, info, a, 2);
  int type = number(a[1]) ? SOCK_SEQPACKET : SOCK_STREAM;
  struct sockaddr_un to = address(a[0]);
  int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0 || listen(fd, 511) < 0)
    return returned(-errno);
  arm(poll_of(fd, LISTENER), UV_READABLE);
  return returned(fd);
}

/* connect(path, isSeqpacket) → socket or -errno; -EAGAIN is a full backlog */
static napi_value connect_to(napi_env env_, napi_callback_info info) {
  napi_value a[2];
  get_arguments(env_, info, a, 2);
  int type = number(a[1]) ? SOCK_SEQPACKET : SOCK_STREAM;
  struct sockaddr_un to = address(a[0]);
  int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return returned(-errno);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
    int error = errno;
    close(fd);
    return returned(-error);
  }
  return returned(fd);
}

/* bind(path | undefined) → datagram socket or -errno */
static napi_value bind_to(napi_env env_, napi_callback_info info) {
  napi_value a[1];
  get_arguments(env_, info, a, 1);
  napi_valuetype type;
  napi_typeof(env, a[0], &type);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return returned(-errno);
  if (type == napi_string) {
    struct sockaddr_un own = address(a[0]);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0) return returned(-errno);
    arm(poll_of(fd, DATAGRAM), UV_READABLE);
  }
  return returned(fd);
}

/* setPeer(socket, path) → 0 or -errno; messages come without a path then */
static napi_value set_peer(napi_env env_, napi_callback_info info) {
  napi_value a[2];
  get_arguments(env_, info, a, 2);
  int fd = number(a[0]);
  struct sockaddr_un to = address(a[1]);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return returned(-errno);
  if (polls[fd]) polls[fd]->kind = CONNECTED;
  return returned(0);
}

/* read(socket): messages and the end come from now on */
static napi_value start_reading(napi_env env_, napi_callback_info info) {
  napi_value a[1];
  get_arguments(env_, info, a, 1);
  int fd = number(a[0]);
  struct poll *poll = poll_of(fd, CONNECTED);
  poll->is_wanted = 1;
  if (is_accepting && fresh_count < MAX_ACCEPTED) fresh[fresh_count++] = fd;
  else arm(poll, poll->events | UV_READABLE);
  return NULL;
}

/* awaitWritable(socket): ON_WRITABLE comes once */
static napi_value await_writable(napi_env env_, napi_callback_info info) {
  napi_value a[1];
  get_arguments(env_, info, a, 1);
  int fd = number(a[0]);
  struct poll *poll = polls[fd] && polls[fd]->events ? polls[fd] : poll_of(fd, CONNECTED);
  arm(poll, poll->events | UV_WRITABLE);
  return NULL;
}

/* send(socket, bytes) → how many, or -errno */
static napi_value send_bytes(napi_env env_, napi_callback_info info) {
  napi_value a[2];
  get_arguments(env_, info, a, 2);
  void *data;
  size_t size;
  napi_get_buffer_info(env, a[1], &data, &size);
  return returned(outcome(send(number(a[0]), data, size, MSG_DONTWAIT | MSG_NOSIGNAL)));
}

/* sendTo(socket, bytes, path) → how many, or -errno */
static napi_value send_to(napi_env env_, napi_callback_info info) {
  napi_value a[3];
  get_arguments(env_, info, a, 3);
  void *data;
  size_t size;
  struct sockaddr_un to = address(a[2]);
  napi_get_buffer_info(env, a[1], &data, &size);
  return returned(outcome(sendto(number(a[0]), data, size, MSG_DONTWAIT | MSG_NOSIGNAL,
                                 (struct sockaddr *)&to, sizeof to)));
}

/* shutdown(socket): the peer sees the end */
static napi_value shut_down(napi_env env_, napi_callback_info info) {
  napi_value a[1];
  get_arguments(env_, info, a, 1);
  shutdown(number(a[0]), SHUT_WR);
  return NULL;
}

/* close(socket): keeps its poll for the next of that number */
static napi_value close_socket(napi_env env_, napi_callback_info info) {
  napi_value a[1];
  get_arguments(env_, info, a, 1);
  int fd = number(a[0]);
  if (polls[fd]) {
    arm(polls[fd], 0);
    polls[fd]->is_wanted = 0;
  }
  close(fd);
  return NULL;
}

NAPI_MODULE_INIT() {
  const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"setUp", set_up},         {"useSlab", use_slab},    {"listen", listen_at},
      {"connect", connect_to},   {"bind", bind_to},        {"setPeer", set_peer},
      {"read", start_reading},   {"send", send_bytes},     {"awaitWritable", await_writable},
      {"sendTo", send_to},       {"shutdown", shut_down},  {"close", close_socket},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    const char *name = functions[i].name;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function);
    napi_set_named_property(env, exports, name, function);
  }
  return exports;
}
