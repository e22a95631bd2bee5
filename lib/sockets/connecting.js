// Owns: how a socket with one peer comes by its connection: by a name, a descriptor, or from a server.
'use strict';

const { Duplex } = require('stream');
const { constants } = require('os');
const binding = require('../native/binding');
const { descriptorOf } = require('../native/fds');
const { demand } = require('../native/results');
const { detachId, kId, loading, own } = require('../native/sockets');
const { isClosing, publishConnect } = require('../util/diagnostics');
const { nextTick, setImmediate } = require('../util/host');
const check = require('../util/validate');
const { waitForBacklog } = require('./backlog');
const life = require('./life');
const { kState } = require('./members');
const { destroyOnAbort } = require('./options');

const { CLOSED, CONNECTING, ConnectionState, OPEN, UNCONNECTED } = life;
const {
  kAbandonWrites,
  kEmitConnect,
  kMakeError,
  kPrepare,
  kReset,
  refreshTimer,
  startReading,
  wantsData,
} = life;
const { EAGAIN, EISCONN } = constants.errno;

/** There is a connection. */
function open(socket) {
  const state = socket[kState];
  state.phase = OPEN;
  if (!state.referenced) binding.setRef(socket[kId], 0);
  state.referencedNext = true;
  socket[kPrepare](socket[kId]);
}

/**
 * The same for a socket that never was `connecting`: reading starts as net's does.
 *
 * @throws {Error} of epoll_ctl(2): nobody could listen for an `'error'` yet
 */
function start(socket) {
  open(socket);
  if (!wantsData(socket)) return;
  leaveAsRead(socket);
  if (readsIntoMemory(socket)) return;
  socket[kState].reading = true;
  demand(binding.setReading(socket[kId], 1), 'epoll_ctl');
}

/** As net's first read() leaves it: what is put back by unshift() is emitted at once, or in the next tick. */
function leaveAsRead(socket) {
  socket._readableState.sync = false;
  socket._readableState.needReadable = true;
}

/** Where bytes go into memory of the user's, a read is under way for ever: pause() ends it, and resume() takes it up. */
function readsIntoMemory(socket) {
  if (!socket[kState].plan.onread) return false;
  Duplex.prototype.read.call(socket, 0);
  // Not where a read has waited for the connection.
  return socket[kState].reading;
}

/** Makes a socket from its plan: of a connection that was accepted, or of an `fd` that was given. */
function startFromPlan(socket, plan, fd) {
  if (plan.pauseOnConnect && (plan.id > 0 || fd !== undefined)) socket.pause();
  if (plan.id > 0) {
    socket[kId] = plan.id;
    own(plan.id, socket);
    start(socket);
  } else if (fd !== undefined) {
    adoptDescriptor(socket, fd, plan.signal);
    return;
  }
  destroyOnAbort(plan.signal, socket);
}

/** Takes over a connected socket that was opened elsewhere. On an exception it is still the caller's. */
function adoptDescriptor(socket, fd, signal) {
  const { plan } = socket[kState];
  const number = descriptorOf(fd, 'options.fd');
  const id = demand(binding.adopt(loading, plan.type, number), 'adopt');
  try {
    if (!plan.isUsual) plan.configure(id);
    socket[kId] = id;
    own(id, socket);
    start(socket);
    destroyOnAbort(signal, socket);
  } catch (error) {
    socket[kId] = 0;
    detachId(id);
    throw error;
  }
}

/**
 * Makes a socket as new that was closed, or ended or failed before it had a connection.
 *
 * @throws {Error} EISCONN
 */
function renew(socket, path) {
  const before = socket[kState];
  const { closeEmitted, phase, plan, referencedNext } = before;
  if (phase === CONNECTING || phase === OPEN || isClosing(socket)) {
    throw socket[kMakeError](-EISCONN, 'connect', path);
  }
  const isEndDue = before.holdsEnd || socket._readableState.ended;
  releaseEnd(socket);
  if (phase === CLOSED) {
    socket[kAbandonWrites]();
    discardUnread(socket);
  }
  socket._undestroy();
  if (phase === UNCONNECTED) return;
  const state = new ConnectionState(plan);
  socket[kState] = state;
  if (!closeEmitted) {
    if (isEndDue) holdEnd(socket);
    nextTick(forgetClose, socket, state);
  }
  state.referenced = referencedNext;
  state.referencedNext = referencedNext;
  // As in net, what it was; the clock does not run.
  state.timeout = before.timeout;
  // As in net, also for a read of the life before that found no connection.
  state.wantsData = before.wantsData;
  socket[kReset]();
}

/** Drops what was received and not read: without an event, neither of data nor of the end. */
function discardUnread(socket) {
  const readable = socket._readableState;
  readable.closeEmitted = true;
  readable.ended = false;
  while (readable.length > 0) Duplex.prototype.read.call(socket);
  // What has a part of a character waits for the rest of it.
  readable.decoder?.end();
}

/**
 * The peer had ended: what Readable does for that in this tick and the next ones, it must not do to this life. With
 * these marks it neither emits 'end', nor calls end() or destroy().
 */
function holdEnd(socket) {
  socket[kState].holdsEnd = true;
  socket._readableState.closeEmitted = true;
  socket._readableState.autoDestroy = false;
  socket._writableState.writable = false;
}

function releaseEnd(socket) {
  const state = socket[kState];
  if (!state.holdsEnd) return;
  state.holdsEnd = false;
  // False where it is wrapped.
  socket._readableState.autoDestroy = socket._writableState.autoDestroy;
  socket._writableState.writable = true;
}

/** The streams have noted the 'close' of the life before by now; with that they would neither read nor end. */
function forgetClose(socket, state) {
  // What listeners of 'prefinish' and 'end' have brought about, if one of them called connect(), is due after this.
  nextTick(forgetEnds, socket);
  if (life.isOver(socket, state)) return;
  for (const half of [socket._readableState, socket._writableState]) {
    half.closeEmitted = false;
    half.errorEmitted = false;
  }
}

/** The same of a 'finish', with which no end would be sent. That of this life comes in a later turn. */
function forgetEnds(socket) {
  socket._writableState.finished = false;
  releaseEnd(socket);
}

/**
 * Connects to a name, connect(2); the outcome follows in a later turn, a failure destroys the socket. While the
 * server's backlog is full it is tried again, up to `connectTimeout` (ETIMEDOUT).
 *
 * @throws {Error} EISCONN
 */
function connect(socket, path) {
  const name = check.addressBytes(path);
  renew(socket, path);
  const state = socket[kState];
  const { plan } = state;
  state.phase = CONNECTING;
  state.path = path;
  refreshTimer(state);
  let status = binding.create(loading, plan.type);
  if (status > 0) {
    const id = status;
    socket[kId] = id;
    own(id, socket);
    if (!state.referenced) binding.setRef(id, 0);
    status = prepareToConnect(plan, id);
    if (status === 0) status = binding.connect(id, name);
  }
  settleOrWait(socket, name, status);
}

/**
 * The same as in net, where a socket that is connected or about to be may be connected once more: the system decides,
 * and what it says, mostly EISCONN, is the outcome of both attempts.
 */
function connectAgain(socket, path) {
  const state = socket[kState];
  if (state.phase !== CONNECTING && state.phase !== OPEN) {
    connect(socket, path);
    return;
  }
  const name = check.addressBytes(path);
  const { backlog } = state;
  state.backlog = null;
  backlog?.leave();
  state.phase = CONNECTING;
  state.path = path;
  // Without a number it was refused one.
  const id = socket[kId];
  settleOrWait(socket, name, id > 0 ? binding.connect(id, name) : state.status);
}

function settleOrWait(socket, name, status) {
  const { connectTimeout } = socket[kState].plan;
  if (status === -EAGAIN) waitForBacklog(socket, name, connectTimeout, connectLater);
  else connectLater(socket, status);
}

/** What has to be set before connect(2): later the first messages would be without it. 0 or a negative errno. */
function prepareToConnect(plan, id) {
  if (!plan.isUsual) {
    const status = plan.tryToConfigure(id);
    if (status < 0) return status;
  }
  if (plan.localPath === undefined) return 0;
  return binding.bind(id, check.pathBytes(plan.localPath), -1, -1, -1, 1);
}

/** The outcome is reported when libuv would: one of the kernel's at the loop's next poll, a failure at once after. */
function connectLater(socket, status) {
  const state = socket[kState];
  state.backlog = null;
  state.status = status;
  const isReported =
    socket[kId] > 0 && binding.reportConnect(socket[kId], status < 0 ? 1 : 0) === 0;
  if (!isReported) setImmediate(finishConnecting, socket, state);
}

/** What connect(2) said is the outcome now. */
function finishConnecting(socket, state) {
  // Destroyed meanwhile, or an earlier attempt has been reported: this one is not. Or the next one waits.
  if (life.isOver(socket, state) || state.phase !== CONNECTING || state.backlog !== null) return;
  const { path } = state;
  // A server that closed meanwhile has accepted nothing.
  const status = state.status === 0 ? binding.takeError(socket[kId]) : state.status;
  if (status < 0) {
    const syscall = socket[kId] > 0 ? 'connect' : 'socket';
    socket.destroy(socket[kMakeError](status, syscall, path));
    return;
  }
  try {
    open(socket);
  } catch (error) {
    socket.destroy(error);
    return;
  }
  publishConnect(socket, path);
  socket[kEmitConnect]();
  // As in net: a handler may have paused it.
  if (state.phase !== OPEN || !wantsData(socket)) return;
  // Also where resume() has begun to receive: the stream is to know that it reads.
  if (readsIntoMemory(socket) || state.reading) return;
  if (socket.readableLength > 0 && !state.wantsData && !state.plan.onread) {
    // No read waits for the connection, and what was put back before it may be all that a Readable takes.
    Duplex.prototype.read.call(socket, 0);
    return;
  }
  leaveAsRead(socket);
  startReading(socket);
}

module.exports = {
  adoptDescriptor,
  connect,
  connectAgain,
  finishConnecting,
  renew,
  startFromPlan,
};
