// Owns: what sockets with one peer have in common, whatever they carry: connecting, reading as the
// peer sends, ends and failures, the time-out, names.
'use strict';

const { Duplex, addAbortSignal } = require('stream');
const { constants } = require('os');
const { codedError, systemError } = require('../util/errors');
const { tellClose, tellConnect } = require('../util/diagnostics');
const { descriptorOf } = require('../native/fds');
const check = require('../util/validate');
const handles = require('../native/sockets');
const { kConnectionClosed, kState, shareMembers } = require('./members');
const { configure, socketOptions } = require('./options');
const { kAdoptHandle } = require('./pair');

const { Endpoint, demand, flag, kEnd, kError, kHandle, kMessage } = handles;

const DEFAULT_CONNECT_TIMEOUT = 10_000;
/** The longest pause between attempts to connect to a full backlog, in milliseconds. */
const MAX_CONNECT_PAUSE = 8;

const { EAGAIN, ECONNRESET, EISCONN, ENOBUFS, ENOTCONN, EPIPE, ETIMEDOUT } = constants.errno;
/** Failed sends after which no other can succeed. */
const FATAL = new Set([-EPIPE, -ECONNRESET, -ENOTCONN]);

const CONNECT_STATE_UNCONNECTED = 0;
const CONNECT_STATE_CONNECTING = 1;
const CONNECT_STATE_CONNECTED = 2;

// What a class does in its own way.
const kDeliver = Symbol('kDeliver');
const kEmitConnect = Symbol('kEmitConnect');
const kCancelWrites = Symbol('kCancelWrites');
// What it can use.
const kStart = Symbol('kStart');
const kFail = Symbol('kFail');
const kGoOn = Symbol('kGoOn');
const kTouch = Symbol('kTouch');
const kDieAfter = Symbol('kDieAfter');
const kIsConnected = Symbol('kIsConnected');
// An option between classes.
const kChecked = Symbol('kChecked');

/**
 * A socket with one peer.
 *
 * Its classes define:
 *   [kDeliver](data, flags, words, at)  one received message or chunk
 *   [kEmitConnect]()                    the connection is made
 *   [kCancelWrites](error, callback)    fails what is not sent, and calls back when that is told
 */
class ConnectedSocket extends Duplex {
  /**
   * @param {object} kind
   * @param {number} kind.type - SOCK_STREAM or SOCK_SEQPACKET
   * @param {object} kind.duplex - options of Duplex
   * @param {boolean} kind.receiveFds - the option's default
   * @param {object} options - what users give, without forms that the class knows
   */
  constructor({ type, duplex, receiveFds }, options) {
    super({
      ...duplex,
      allowHalfOpen: check.optionalBoolean(options.allowHalfOpen, 'options.allowHalfOpen', false),
      emitClose: false,
    });
    const wait = options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT;
    this[kHandle] = null;
    this[kState] = {
      type,
      options: options[kChecked] ?? socketOptions(options, receiveFds),
      connectTimeout: check.integer(wait, 'options.connectTimeout', 0, check.MAX_INT),
      connectState: CONNECT_STATE_UNCONNECTED,
      connectTimer: null,
      reading: false,
      referenced: true,
      ended: false,
      /** An error that is told once what came before it is read. */
      failure: null,
      /** The send error with which the connection ended. */
      sendFailure: null,
      /** After that: something was read, and something was written, since the last 'drain'. */
      wasRead: false,
      wasWritten: false,
      server: null,
      timeout: 0,
      timer: null,
      timerDelay: 0,
      bytesRead: 0,
      bytesWritten: 0,
    };
  }

  /** A connected descriptor: sets its options and starts to read, as net does. */
  [kStart](handle) {
    const state = this[kState];
    configure(handle, state.options);
    handle.owner = this;
    this[kHandle] = handle;
    state.connectState = CONNECT_STATE_CONNECTED;
    if (!state.referenced) handle.setRef(0);
    if (this.isPaused()) return;
    state.reading = true;
    demand(handle.setReading(1), 'epoll_ctl');
  }

  get [kIsConnected]() {
    return this[kState].connectState === CONNECT_STATE_CONNECTED;
  }

  _read() {
    const state = this[kState];
    if (state.reading || state.ended || state.connectState !== CONNECT_STATE_CONNECTED) return;
    startReading(this);
  }

  /** As in Readable; an error that came behind the data is told when the last is read. */
  read(size) {
    const data = super.read(size);
    const { failure, sendFailure } = this[kState];
    if (sendFailure !== null && data !== null) this[kGoOn](true, false);
    if (failure !== null && this.readableLength === 0) {
      process.nextTick(() => this.destroy(failure));
    }
    return data;
  }

  _destroy(error, callback) {
    const state = this[kState];
    const handle = this[kHandle];
    if (handle !== null) tellClose(this, error);
    clearTimeout(state.connectTimer);
    clearTimeout(state.timer);
    this[kHandle] = null;
    handle?.close();
    this[kCancelWrites](error, () => {
      callback(error);
      // As in net, where libuv tells it: a loop over the stream has ended by then, and whoever
      // waits for 'close' after it is not too late.
      setImmediate(() => {
        state.server?.[kConnectionClosed]();
        this.emit('close', Boolean(error));
      });
    });
  }

  [kMessage](data, flags, words, at) {
    const state = this[kState];
    state.bytesRead += words[at + 1];
    if (state.timeout > 0) state.timer?.refresh();
    if (flags & flag.CREDENTIALS) data.credentials = handles.credentialsAt(words, at);
    if (flags & flag.TRUNCATED) {
      this[kFail](systemError(-ENOBUFS, 'recvmsg'));
      return;
    }
    this[kDeliver](data, flags, words, at);
    if (state.sendFailure !== null) this[kGoOn](true, false);
    if (flags & handles.FDS_MISSING) this[kFail](handles.descriptorError(flags));
  }

  [kEnd]() {
    const state = this[kState];
    state.ended = true;
    this.push(null);
    // Nothing is buffered: 'end' must not wait for a reader.
    if (this.readableLength === 0) this.read(0);
  }

  [kError](errno) {
    const { sendFailure } = this[kState];
    const wasSending = sendFailure?.errno === errno;
    this[kFail](wasSending ? sendFailure : systemError(errno, 'recvmsg'));
  }

  /** Destroys the socket, after what came before has been read. */
  [kFail](error) {
    const nobodyReads = this.readableFlowing === null && !hasReader(this);
    if (this.readableLength === 0 || nobodyReads) this.destroy(error);
    else this[kState].failure ??= error;
  }

  /** After a failed send: if the connection ended with it, what the peer sent before comes first. */
  [kDieAfter](errno) {
    const state = this[kState];
    if (!FATAL.has(errno) || state.sendFailure !== null) return;
    state.sendFailure = systemError(errno, 'sendmsg');
    process.nextTick(() => {
      if (this.destroyed) return;
      // Without a reader nothing would ever come of waiting for him.
      const isOver = state.ended || (this.readableFlowing === null && !hasReader(this));
      if (isOver) this[kFail](state.sendFailure);
      else {
        this[kHandle].fail(errno);
        this[kGoOn](true, true);
      }
    });
  }

  /**
   * After a failed send: nothing is sent any more, so there will be no room either, and a reader that
   * waits for room to pass on what it reads (pipe() to the same socket) would wait for ever, and the
   * socket with him. So there is a 'drain' for each read that is answered.
   */
  [kGoOn](wasRead, wasWritten) {
    const state = this[kState];
    if (state.sendFailure === null) return;
    state.wasRead ||= wasRead;
    state.wasWritten ||= wasWritten;
    setImmediate(() => {
      if (!state.wasRead || !state.wasWritten || this.destroyed || !this.writableNeedDrain) return;
      state.wasRead = state.wasWritten = false;
      this.emit('drain');
    });
  }

  /** There was activity: the time-out starts anew. */
  [kTouch]() {
    const state = this[kState];
    if (state.timeout > 0) state.timer?.refresh();
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
    milliseconds = check.duration(milliseconds, 'milliseconds');
    check.optionalCallback(callback);
    state.timeout = milliseconds;
    if (milliseconds > 0 && !this.destroyed) {
      // An HTTP server sets and unsets it with each request: the Timeout stays.
      if (state.timer !== null && state.timerDelay === milliseconds) {
        state.timer.refresh();
      } else {
        clearTimeout(state.timer);
        state.timer = setTimeout(emitTimeout, milliseconds, this).unref();
        state.timerDelay = milliseconds;
      }
    }
    if (callback && milliseconds > 0) this.once('timeout', callback);
    else if (callback) this.off('timeout', callback);
    return this;
  }

  /** What setTimeout() was given. */
  get timeout() {
    return this[kState].timeout;
  }

  /** Whether a connection is being made. */
  get connecting() {
    return this[kState].connectState === CONNECT_STATE_CONNECTING;
  }

  /** Not connected yet, or not any more. */
  get pending() {
    return this[kHandle] === null || this.connecting;
  }

  /** As in net.Socket. */
  get readyState() {
    if (this.connecting) return 'opening';
    if (this.destroyed || this.pending) return 'closed';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** Bytes received. */
  get bytesRead() {
    return this[kState].bytesRead;
  }

  /** Bytes accepted by write(). */
  get bytesWritten() {
    return this[kState].bytesWritten;
  }

  /** The name this end is bound to; '' if it has none. */
  address() {
    const name = this[kHandle]?.localAddress();
    return name === undefined || typeof name === 'number' ? '' : name.toString();
  }

  /** The name of the peer ('' if it has none); undefined while there is no peer. */
  get remoteAddress() {
    const name = this[kHandle]?.peerAddress();
    return name === undefined || typeof name === 'number' ? undefined : name.toString();
  }

  /** destroy(), with a callback for `'close'`. */
  close(callback) {
    check.optionalCallback(callback);
    if (callback) {
      if (this.closed) process.nextTick(callback);
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
}

shareMembers(ConnectedSocket);

/** The end of a constructor: takes over what there is to take over. */
function adopt(socket, options) {
  const signal = check.optionalSignal(options.signal);
  const paused = check.optionalBoolean(options.pauseOnConnect, 'options.pauseOnConnect', false);
  if (options[kAdoptHandle]) {
    if (paused) socket.pause();
    socket[kStart](options[kAdoptHandle]);
  } else if (options.fd !== undefined) {
    adoptDescriptor(socket, options.fd);
  }
  // Not through super(): a signal that is aborted already destroys at once.
  if (signal) addAbortSignal(signal, socket);
}

/** Takes over a connected socket that somebody else opened. */
function adoptDescriptor(socket, fd) {
  const handle = new Endpoint(socket[kState].type);
  demand(handle.adopt(descriptorOf(fd, 'options.fd')), 'adopt');
  socket[kStart](handle);
}

/** Takes up reading, or ends the socket: otherwise it would wait for ever. */
function startReading(socket) {
  socket[kState].reading = true;
  const status = socket[kHandle]?.setReading(1) ?? 0;
  if (status < 0) socket.destroy(systemError(status, 'epoll_ctl'));
}

/**
 * Checks that a socket has not been connected yet, nor destroyed.
 *
 * @throws {Error} EISCONN, ERR_STREAM_DESTROYED
 */
function demandFresh(socket, path) {
  if (socket[kState].connectState !== CONNECT_STATE_UNCONNECTED) {
    throw systemError(-EISCONN, 'connect', path);
  }
  if (socket.destroyed) throw destroyedError();
}

/**
 * Connects to a name, connect(2): failures destroy the socket. While the server's backlog is full
 * it is tried again, up to `connectTimeout` (ETIMEDOUT).
 *
 * @throws {Error} EISCONN, ERR_STREAM_DESTROYED
 */
function connect(socket, path) {
  const name = check.pathBytes(path);
  const state = socket[kState];
  demandFresh(socket, path);
  const handle = new Endpoint(state.type);
  const created = handle.create();
  if (created < 0) {
    socket.destroy(systemError(created, 'socket', path));
    return;
  }
  handle.owner = socket;
  socket[kHandle] = handle;
  state.connectState = CONNECT_STATE_CONNECTING;
  tryToConnect(socket, name, path, performance.now() + state.connectTimeout, 1);
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
  } else if (!socket.push(data) && socket[kState].reading) {
    socket[kState].reading = false;
    socket[kHandle]?.setReading(0);
  }
}

/** One attempt to connect; where the backlog is full, arranges for the next. */
function tryToConnect(socket, name, path, deadline, pause) {
  const state = socket[kState];
  const handle = socket[kHandle];
  const result = handle.connect(name);
  if (Array.isArray(result)) {
    try {
      socket[kStart](handle);
    } catch (error) {
      socket.destroy(error);
      return;
    }
    tellConnect(socket, path);
    process.nextTick(() => {
      if (!socket.destroyed) socket[kEmitConnect]();
    });
  } else if (result !== -EAGAIN) {
    socket.destroy(systemError(result, 'connect', path));
  } else if (performance.now() + pause > deadline) {
    socket.destroy(systemError(-ETIMEDOUT, 'connect', path));
  } else {
    // The kernel has no event for room in a backlog.
    handle.setHolding(1);
    const next = Math.min(pause * 2, MAX_CONNECT_PAUSE);
    state.connectTimer = setTimeout(tryToConnect, pause, socket, name, path, deadline, next);
    if (!state.referenced) state.connectTimer.unref();
  }
}

/** Also where the time-out was switched off meanwhile. */
function emitTimeout(socket) {
  if (socket[kState].timeout > 0) socket.emit('timeout');
}

function hasReader(socket) {
  return socket.listenerCount('readable') > 0;
}

/** Whether a send that failed so is the end of the connection. */
function isFatal(errno) {
  return FATAL.has(errno);
}

/** Why a write that was still waiting is not sent. */
function destroyedError(error) {
  return error ?? codedError(Error, 'ERR_STREAM_DESTROYED', 'The socket was destroyed');
}

module.exports = {
  ConnectedSocket,
  adopt,
  adoptDescriptor,
  connect,
  deliver,
  demandFresh,
  destroyedError,
  isFatal,
  kCancelWrites,
  kChecked,
  kDeliver,
  kDieAfter,
  kEmitConnect,
  kGoOn,
  kIsConnected,
  kStart,
  kTouch,
  startReading,
};
