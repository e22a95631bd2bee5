// Owns: what sockets with one peer have in common, whatever they carry: connecting, reading as the
// peer sends, ends and failures, the time-out, names.
'use strict';

const { Buffer } = require('buffer');
const { Duplex } = require('stream');
const { constants } = require('os');
const { clearTimeout, setImmediate, setTimeout } = require('timers');
const binding = require('../native/binding');
const sockets = require('../native/sockets');
const { codedError } = require('../util/errors');
const { publishClose, publishConnect } = require('../util/diagnostics');
const { descriptorOf } = require('../native/fds');
const check = require('../util/validate');
const { waitForBacklog } = require('./backlog');
const { kConnectionClosed, kState, setReferenced, shareSocketMembers } = require('./members');
const { destroyOnAbort } = require('./options');

const { closeId, demand, detachId, flag, kEnd, kError, kId, kMessage, lengthAt, loading, own } =
  sockets;
const { EAGAIN, EBUSY, ECONNRESET, EISCONN, ENOBUFS, ENOTCONN, EPIPE } = constants.errno;
/** Failed sends after which no other can succeed. */
const FATAL = new Set([-EPIPE, -ECONNRESET, -ENOTCONN]);

/** Where the life of a connection stands. */
const UNCONNECTED = 0;
const CONNECTING = 1;
const OPEN = 2;
const CLOSED = 3;

// What a class does in its own way.
const kDeliver = Symbol('kDeliver');
const kEmitConnect = Symbol('kEmitConnect');
const kCancelWrites = Symbol('kCancelWrites');
const kClosed = Symbol('kClosed');
const kMakeError = Symbol('kMakeError');
const kPrepare = Symbol('kPrepare');
const kReceived = Symbol('kReceived');
const kReset = Symbol('kReset');

/**
 * What happened to a connection, all of it: what a socket does next is decided from this record and its
 * streams' own state. docs/internals.md has the table.
 */
class ConnectionState {
  constructor(plan) {
    this.plan = plan;
    this.phase = UNCONNECTED;
    /** Native code reads. */
    this.reading = false;
    /** Somebody asked for data before there was a connection. */
    this.wantsData = false;
    /** The peer sends no more. */
    this.ended = false;
    /** What ended receiving while data was still unread: destroys the socket once that is read. */
    this.failure = null;
    /** The send error with which the connection ended; the socket is about to be destroyed. */
    this.sendFailure = null;
    this.referenced = true;
    this.server = plan.server;
    /** Those that wait for the same server, while this one does. */
    this.backlog = null;
    this.timeout = undefined;
    this.timer = null;
    this.timerDelay = 0;
    /** Bytes that waited in native code when the time-out last looked. */
    this.lastQueued = 0;
    this.bytesRead = 0;
    this.bytesWritten = 0;
    /** Where connect() goes, and whom it calls back. */
    this.path = undefined;
    this.connectCallback = undefined;
  }
}

/**
 * A socket with one peer.
 *
 * Its classes define:
 *   [kDeliver](data, flags, words, at)  one received message or chunk
 *   [kEmitConnect]()                    the connection is made
 *   [kCancelWrites](error)              calls back for what is not sent, since the socket is closed
 *   [kClosed]()                         'close' was emitted
 *   [kMakeError](errno, syscall, path)  an Error as the class has them
 *   [kPrepare](id)                      before a connected socket reads
 *   [kReceived]                         name of the system call that receives
 *   [kReset]()                          forgets what was before the socket was closed
 */
class ConnectedSocket extends Duplex {
  /** @param {ConnectedPlan} plan */
  constructor(plan) {
    super(plan.duplex);
    this[kId] = 0;
    this[kState] = new ConnectionState(plan);
  }

  _read() {
    const state = this[kState];
    if (state.phase !== OPEN) state.wantsData = true;
    else if (!state.reading && !state.ended) startReading(this);
  }

  /** As in Readable; an error that came behind the data destroys the socket when the last is read. */
  read(size) {
    const data = super.read(size);
    const { failure } = this[kState];
    if (failure !== null && this.readableLength === 0) {
      process.nextTick(destroyWith, this, failure);
    }
    return data;
  }

  destroy(error, callback) {
    const { sendFailure } = this[kState];
    if (sendFailure !== null && error === sendFailure && this[kId] > 0) receiveRest(this);
    return super.destroy(error, callback);
  }

  _destroy(error, callback) {
    const state = this[kState];
    const id = this[kId];
    clearTimeout(state.timer);
    state.phase = CLOSED;
    state.wantsData = false;
    if (id > 0) {
      publishClose(this, error);
      this[kId] = 0;
      closeId(id);
    }
    state.backlog?.leave();
    state.backlog = null;
    callback(error);
    // As in net, where libuv calls when the handle is closed: a loop over the stream has ended by then, and
    // whoever waits for 'close' after it is not too late.
    if (id > 0) setImmediate(finishClosing, this, error, Boolean(error));
    else process.nextTick(finishClosing, this, error);
    const { server } = state;
    state.server = null;
    server?.[kConnectionClosed]();
  }

  [kMessage](data, flags, words, at) {
    const state = this[kState];
    state.bytesRead += lengthAt(words, at);
    if (state.timer !== null) refreshTimer(state);
    if (flags & flag.CREDENTIALS) data.credentials = sockets.credentialsAt(words, at);
    if (flags & flag.TRUNCATED) {
      fail(this, this[kMakeError](-ENOBUFS, this[kReceived]));
      return;
    }
    this[kDeliver](data, flags, words, at);
    if (flags & sockets.FDS_MISSING) fail(this, sockets.descriptorError(flags));
  }

  [kEnd]() {
    const state = this[kState];
    state.reading = false;
    state.ended = true;
    if (state.sendFailure !== null) return;
    this.push(null);
    // Nothing is buffered: 'end' must not wait for a reader.
    if (this.readableLength === 0) this.read(0);
  }

  [kError](errno) {
    const state = this[kState];
    state.reading = false;
    // The same failure, which a send has found already.
    if (state.sendFailure === null) fail(this, this[kMakeError](errno, this[kReceived]));
  }

  /**
   * Emits `'timeout'` after so long without traffic; the socket stays open. 0: never.
   *
   * @param {number} milliseconds
   * @param {() => void} [callback] - once, on `'timeout'`
   * @returns {this}
   */
  setTimeout(milliseconds, callback) {
    const state = this[kState];
    if (this.destroyed) return this;
    const delay = check.duration(milliseconds, 'milliseconds');
    check.optionalCallback(callback);
    state.timeout = milliseconds;
    if (delay > 0) {
      // An HTTP server sets and unsets it with each request: the Timeout stays.
      if (state.timer !== null && state.timerDelay === delay) {
        state.timer.refresh();
      } else {
        clearTimeout(state.timer);
        state.timer = setTimeout(onTimeout, delay, this).unref();
        state.timerDelay = delay;
      }
    }
    if (callback && delay > 0) this.once('timeout', callback);
    else if (callback) this.off('timeout', callback);
    return this;
  }

  /** What setTimeout() was given; undefined before. */
  get timeout() {
    return this[kState]?.timeout;
  }

  /** Whether a connection is being made. */
  get connecting() {
    return this[kState]?.phase === CONNECTING;
  }

  /** Not connected yet, or not any more. */
  get pending() {
    return !(this[kId] > 0) || this.connecting;
  }

  /** As in net.Socket. */
  get readyState() {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** Bytes received. */
  get bytesRead() {
    return this[kState]?.bytesRead;
  }

  /** Bytes accepted by write(). */
  get bytesWritten() {
    return this[kState]?.bytesWritten;
  }

  /** The name this end is bound to; '' if it has none. */
  address() {
    const name = this[kId] > 0 ? binding.localAddress(this[kId]) : -1;
    return typeof name === 'number' ? '' : name.toString();
  }

  /** The name of the peer ('' if it has none); undefined while there is no peer. */
  get remoteAddress() {
    const name = this[kId] > 0 ? binding.peerAddress(this[kId]) : -1;
    return typeof name === 'number' ? undefined : name.toString();
  }

  /** Lets the open socket keep the process alive: the default. @returns {this} */
  ref() {
    setReferenced(this, true);
    this[kState].backlog?.updateRef();
    return this;
  }

  /** Lets the process end although the socket is open. What waits to be sent still keeps it alive. */
  unref() {
    setReferenced(this, false);
    this[kState].backlog?.updateRef();
    return this;
  }

  /** destroy(), with a callback for `'close'`. */
  close(callback) {
    check.optionalCallback(callback);
    if (callback) {
      if (this.closed && !this.destroyed) process.nextTick(callback);
      else this.once('close', () => callback());
    }
    return this.destroy();
  }

  /** Destroys the socket once everything written is sent. */
  destroySoon() {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', this.destroy);
  }

  /**
   * Gives the descriptor up, for another process or another object: the socket is closed without the peer
   * noticing. Everything written must have been sent.
   *
   * @returns {{ fd: number, data: any, fds: number[] }} the descriptor, what was received and not read (null if
   *   nothing; bytes, or an array of messages), and received descriptors that nobody has taken: all yours
   * @throws {Error} EBUSY: writes wait; ENOTCONN: there is no connection
   */
  detach() {
    if (this[kState].phase !== OPEN) throw this[kMakeError](-ENOTCONN, 'detach');
    if (this.writableLength > 0) throw this[kMakeError](-EBUSY, 'detach');
    const result = demand(detachId(this[kId]), 'detach');
    const [fd, ...fds] = result;
    this[kId] = 0;
    const data = [];
    for (let chunk; (chunk = super.read()) !== null;) data.push(chunk);
    this.destroy();
    return { fd, data: this.readableObjectMode ? data : joined(data), fds };
  }
}

shareSocketMembers(ConnectedSocket);

function joined(chunks) {
  if (chunks.length === 0) return null;
  return typeof chunks[0] === 'string' ? chunks.join('') : Buffer.concat(chunks);
}

/** Callbacks of what is not sent, then 'close'. */
function finishClosing(socket, error, ...hadError) {
  try {
    socket[kCancelWrites](error);
  } finally {
    // Behind what these left to the next tick.
    process.nextTick(emitClose, socket, hadError);
  }
}

function emitClose(socket, hadError) {
  socket.emit('close', ...hadError);
  socket[kClosed]();
}

function destroyWith(socket, error) {
  socket.destroy(error);
}

/** Destroys the socket, after what came before has been read. */
function fail(socket, error) {
  if (socket.readableLength === 0) socket.destroy(error);
  else socket[kState].failure ??= error;
}

/** A send failed in a way that ends the connection, whose `destroy()` gets that error next. */
function noteSendFailure(socket, error) {
  return (socket[kState].sendFailure ??= error);
}

/**
 * Before a socket is destroyed for a send that failed: what the peer sent before is taken from the kernel where
 * somebody reads. Nobody is waited for.
 */
function receiveRest(socket) {
  if (socket[kState].reading && socket.readableFlowing) binding.receiveNow(socket[kId]);
}

/** There is a connection. */
function open(socket) {
  const state = socket[kState];
  state.phase = OPEN;
  if (!state.referenced) binding.setRef(socket[kId], 0);
  socket[kPrepare](socket[kId]);
}

/** The same where nobody was told to wait for it: reading starts as net's does. */
function start(socket) {
  open(socket);
  if (wantsData(socket)) startReading(socket);
}

/** Makes a socket from its plan: of a connection that was accepted, or of an `fd` that was given. */
function startFromPlan(socket, plan, fd) {
  if (plan.pauseOnConnect && (plan.id > 0 || fd !== undefined)) socket.pause();
  if (plan.id > 0) {
    socket[kId] = plan.id;
    own(plan.id, socket);
    start(socket);
  } else if (fd !== undefined) {
    adoptDescriptor(socket, fd);
  }
  destroyOnAbort(plan.signal, socket);
}

/** Takes over a connected socket that somebody else opened. On an exception it is still the caller's. */
function adoptDescriptor(socket, fd) {
  const { plan } = socket[kState];
  const number = descriptorOf(fd, 'options.fd');
  const id = demand(binding.adopt(loading, plan.type, number), 'adopt');
  try {
    if (!plan.isUsual) plan.configure(id);
    socket[kId] = id;
    own(id, socket);
    start(socket);
  } catch (error) {
    socket[kId] = 0;
    detachId(id);
    throw error;
  }
}

/** Takes up reading, or ends the socket: otherwise it would wait for ever. */
function startReading(socket) {
  const state = socket[kState];
  state.wantsData = false;
  state.reading = true;
  const status = binding.setReading(socket[kId], 1);
  if (status < 0) socket.destroy(socket[kMakeError](status, 'epoll_ctl'));
}

function stopReading(socket) {
  socket[kState].reading = false;
  if (socket[kId] > 0) binding.setReading(socket[kId], 0);
}

/**
 * Makes a socket that was closed as new, and checks that it is not connected.
 *
 * @throws {Error} EISCONN
 */
function renew(socket, path) {
  if (socket.destroyed) {
    const { plan, referenced } = socket[kState];
    socket._undestroy();
    socket[kState] = new ConnectionState(plan);
    socket[kState].referenced = referenced;
    socket[kReset]();
  }
  if (socket[kState].phase !== UNCONNECTED) throw socket[kMakeError](-EISCONN, 'connect', path);
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
  if (state.timer !== null) refreshTimer(state);
  let status = binding.create(loading, plan.type);
  if (status > 0) {
    const id = status;
    socket[kId] = id;
    own(id, socket);
    if (!state.referenced) binding.setRef(id, 0);
    status = prepareToConnect(plan, id);
    if (status === 0) status = binding.connect(id, name);
  }
  if (status === -EAGAIN) waitForBacklog(socket, name, plan.connectTimeout, connectLater);
  else connectLater(socket, status);
}

/** What has to be set before connect(2): later the first messages would be without it. 0 or a negative errno. */
function prepareToConnect(plan, id) {
  if (!plan.isUsual) {
    const { receiveFds, credentials, maxPendingFds, receiveBufferSize, sendBufferSize } = plan;
    const sizes = [receiveBufferSize, sendBufferSize];
    const status = binding.configure(id, +receiveFds, +credentials, maxPendingFds, ...sizes);
    if (status < 0) return status;
  }
  if (plan.localPath === undefined) return 0;
  return binding.bind(id, check.pathBytes(plan.localPath), -1, -1, -1, 1);
}

/** As in net, the outcome is not known before a later turn of the event loop. */
function connectLater(socket, status) {
  socket[kState].backlog = null;
  setImmediate(finishConnecting, socket, socket[kState], status);
}

function finishConnecting(socket, state, status) {
  // Destroyed meanwhile: nothing is said of this attempt.
  if (socket[kState] !== state || state.phase !== CONNECTING) return;
  const { path } = state;
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
  if (state.phase === OPEN && !state.reading && wantsData(socket)) startReading(socket);
}

/** Somebody asked for data, or nobody has paused. */
function wantsData(socket) {
  return socket[kState].wantsData || !socket.isPaused();
}

/**
 * Gives data to the stream. Where it would be emitted at once anyway it is emitted here: push()
 * would also set a tick aside for each message, to ask whether to read more.
 */
function deliver(socket, data) {
  if (
    socket.readableFlowing &&
    socket.readableLength === 0 &&
    socket.readableDidRead &&
    socket.readableEncoding === null &&
    socket.listenerCount('data') > 0
  ) {
    socket.emit('data', data);
  } else if (!socket.destroyed && !socket.push(data) && socket[kState].reading) {
    stopReading(socket);
  }
}

/** There was activity: the time-out starts anew. */
function refreshTimer(state) {
  if (state.timer !== null && state.timeout > 0) state.timer.refresh();
}

/** Also where the time-out was switched off meanwhile. */
function onTimeout(socket) {
  const state = socket[kState];
  if (!(state.timeout > 0)) return;
  // As in net: a write that waits and moves on is activity.
  const queued = socket[kId] > 0 ? binding.queuedBytes(socket[kId]) : 0;
  const { lastQueued } = state;
  state.lastQueued = queued;
  if (lastQueued > 0 && queued !== lastQueued) state.timer.refresh();
  else socket.emit('timeout');
}

/** Whether a send that failed so is the end of the connection. */
function isFatal(errno) {
  return FATAL.has(errno);
}

/** As in net: it was the peer's end that ended this side. */
function writeAfterEnd(socket, callback) {
  const error = codedError(Error, 'EPIPE', 'This socket has been ended by the other party');
  if (callback) process.nextTick(callback, error);
  socket.destroy(error);
  return false;
}

/** Why a write that was still waiting is not sent. */
function destroyedError(error) {
  return (
    error ??
    codedError(Error, 'ERR_STREAM_DESTROYED', 'Cannot call write after a stream was destroyed')
  );
}

module.exports = {
  ConnectedSocket,
  OPEN,
  adoptDescriptor,
  connect,
  deliver,
  destroyedError,
  isFatal,
  kCancelWrites,
  kClosed,
  kDeliver,
  kEmitConnect,
  kMakeError,
  kPrepare,
  kReceived,
  kReset,
  noteSendFailure,
  refreshTimer,
  renew,
  startFromPlan,
  startReading,
  stopReading,
  writeAfterEnd,
};
