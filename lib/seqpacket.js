// Owns: SeqpacketServer and SeqpacketSocket, SOCK_SEQPACKET Unix sockets.
// May import: errors, fds, handle, members, options, outbox, server, validate.
'use strict';

const { Duplex, addAbortSignal } = require('node:stream');
const { constants } = require('node:os');
const { debuglog } = require('node:util');
const { codedError, systemError } = require('./errors');
const { descriptorOf, messageParts } = require('./fds');
const check = require('./validate');
const handles = require('./handle');
const { kOutbox, kState, shareMembers } = require('./members');
const { configure, socketOptions } = require('./options');
const { Outbox } = require('./outbox');
const {
  SocketServer,
  kConnectionClosed,
  kMakeSocket,
  kSocketOptions,
  listen,
} = require('./server');

const { Endpoint, demand, flag, kEnd, kError, kHandle, kMessage, kSettled } = handles;

const SOCK_SEQPACKET = 5;
const MAX_INT = 2 ** 31 - 1;
const PEER = 0;
/** Messages that may wait for the reader before the kernel holds the sender back. */
const DEFAULT_READABLE_MARK = 64;
const DEFAULT_WRITABLE_MARK = 64 * 1024;
const DEFAULT_CONNECT_TIMEOUT = 10_000;
const DEFAULT_READ_BUFFER = 256 * 1024;
/** The longest pause between attempts to connect to a full backlog, in milliseconds. */
const MAX_CONNECT_PAUSE = 8;

const { EAGAIN, ECONNRESET, EISCONN, ENOBUFS, ENOTCONN, EPIPE, ETIMEDOUT } = constants.errno;
/** Failed sends after which no other can succeed. */
const FATAL = new Set([-EPIPE, -ECONNRESET, -ENOTCONN]);

const CONNECT_STATE_UNCONNECTED = 0;
const CONNECT_STATE_CONNECTING = 1;
const CONNECT_STATE_CONNECTED = 2;

const kStart = Symbol('kStart');
const kFail = Symbol('kFail');
const kTouch = Symbol('kTouch');
const kChecked = Symbol('kChecked');
const kAdoptHandle = Symbol('kAdoptHandle');

const debug = debuglog('afunix');

/**
 * A Unix socket that is connected like a stream and keeps messages apart like datagrams: a Duplex
 * whose chunks are whole messages, also empty ones.
 *
 * Events: those of Duplex, `'connect'`, `'ready'`, `'timeout'`, and `'close'(hadError)`.
 * Linux only. See unix(7).
 */
class SeqpacketSocket extends Duplex {
  /**
   * @param {number | object} [options] - a descriptor to adopt, or:
   * @param {number | object} [options.fd] - adopt this connected seqpacket socket
   * @param {boolean} [options.allowHalfOpen=false] - do not end when the peer ends
   * @param {number} [options.connectTimeout=10000] - milliseconds to wait for a full backlog
   * @param {boolean} [options.receiveFds=false] - messages have `fds`, which are yours to close
   * @param {boolean} [options.credentials=false] - messages have their sender's `credentials`
   * @param {number} [options.maxPendingFds=1024] - descriptors that may wait to be taken
   * @param {number} [options.receiveBufferSize] - SO_RCVBUF, in bytes
   * @param {number} [options.sendBufferSize] - SO_SNDBUF, in bytes: what bounds a message's size
   * @param {number} [options.readableHighWaterMark=64] - in messages
   * @param {number} [options.writableHighWaterMark=65536] - in bytes
   * @param {AbortSignal} [options.signal] - destroys the socket
   * @throws {Error} EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE, EEXIST for an unsuitable `fd`
   */
  constructor(options) {
    if (typeof options === 'number') options = { fd: options };
    options = check.optionsObject(options);
    super({
      allowHalfOpen: check.optionalBoolean(options.allowHalfOpen, 'options.allowHalfOpen', false),
      readableObjectMode: true,
      readableHighWaterMark: options.readableHighWaterMark ?? DEFAULT_READABLE_MARK,
      emitClose: false,
    });
    const mark = options.writableHighWaterMark ?? DEFAULT_WRITABLE_MARK;
    const wait = options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT;
    this[kHandle] = null;
    this[kOutbox] = new Outbox(
      this,
      check.integer(mark, 'options.writableHighWaterMark'),
      (error) => {
        // A fatal one destroys the socket, which tells it.
        if (!FATAL.has(error.errno)) this.emit('error', error);
      },
    );
    this[kState] = {
      options: options[kChecked] ?? socketOptions(options),
      connectTimeout: check.integer(wait, 'options.connectTimeout', 0, MAX_INT),
      connectState: CONNECT_STATE_UNCONNECTED,
      connectTimer: null,
      reading: false,
      referenced: true,
      ended: false,
      /** An error that is told once the messages before it are read. */
      failure: null,
      /** The send error with which the connection ended. */
      sendFailure: null,
      server: null,
      timeout: 0,
      timer: null,
      bytesRead: 0,
      bytesWritten: 0,
      readBufferSize: DEFAULT_READ_BUFFER,
    };
    const signal = check.optionalSignal(options.signal);
    if (options[kAdoptHandle]) {
      this[kStart](options[kAdoptHandle]);
    } else if (options.fd !== undefined) {
      const handle = new Endpoint(SOCK_SEQPACKET);
      demand(handle.adopt(descriptorOf(options.fd, 'options.fd')), 'adopt');
      this[kStart](handle);
    }
    // Not through super(): a signal that is aborted already destroys at once.
    if (signal) addAbortSignal(signal, this);
  }

  /**
   * Two sockets connected to each other, socketpair(2).
   *
   * @param {object} [options] - for both, as for the constructor, except `fd`
   * @returns {[SeqpacketSocket, SeqpacketSocket]}
   */
  static pair(options) {
    options = check.optionsObject(options);
    const ends = [new Endpoint(SOCK_SEQPACKET), new Endpoint(SOCK_SEQPACKET)];
    demand(ends[0].createPair(ends[1]), 'socketpair');
    return ends.map(
      (end) => new SeqpacketSocket({ ...options, fd: undefined, [kAdoptHandle]: end }),
    );
  }

  /** A connected descriptor: sets its options and starts to read, as net does. */
  [kStart](handle) {
    const state = this[kState];
    configure(handle, state.options);
    handle.owner = this;
    this[kHandle] = handle;
    state.connectState = CONNECT_STATE_CONNECTED;
    if (!state.referenced) handle.setRef(0);
    state.reading = true;
    demand(handle.setReading(1), 'epoll_ctl');
  }

  /**
   * Connects, connect(2). Failures are `'error'` events. While the server's backlog is full it is
   * tried again, up to `connectTimeout` (ETIMEDOUT). Writes meanwhile are queued.
   *
   * @param {string | Buffer | URL | { path }} path
   * @param {() => void} [callback] - on `'connect'`
   * @returns {this}
   */
  connect(path, callback) {
    if (check.isOptions(path)) ({ path } = path);
    const name = check.pathBytes(path);
    check.optionalCallback(callback);
    const state = this[kState];
    if (state.connectState !== CONNECT_STATE_UNCONNECTED) {
      throw systemError(-EISCONN, 'connect', path);
    }
    if (callback) this.once('connect', callback);
    const handle = new Endpoint(SOCK_SEQPACKET);
    const created = handle.create();
    if (created < 0) {
      this.destroy(systemError(created, 'socket', path));
      return this;
    }
    handle.owner = this;
    this[kHandle] = handle;
    state.connectState = CONNECT_STATE_CONNECTING;
    tryToConnect(this, name, path, performance.now() + state.connectTimeout, 1);
    return this;
  }

  /**
   * Sends one message.
   *
   * write(buffer[, offset, length][, callback])
   * write(string[, encoding][, callback])
   * write({ data, fds }[, callback])
   *
   * @param {Buffer | TypedArray | DataView | string | { data, fds }} message - `fds`: descriptors
   *   or objects that hold one, at most 253; yours to close as soon as write returns
   * @param {(error?: Error) => void} [callback] - exactly once, in order, never inside the call.
   *   EMSGSIZE: larger than the send buffer allows; this message alone fails. EPIPE, ECONNRESET:
   *   the peer is gone, and the socket is destroyed. ERR_STREAM_DESTROYED.
   * @returns {boolean} false: `writableHighWaterMark` is reached, wait for `'drain'`
   */
  write(message, offset, length, callback) {
    let encoding;
    if (typeof offset === 'function') [offset, callback] = [undefined, offset];
    else if (typeof offset === 'string') [encoding, offset] = [offset, undefined];
    if (typeof length === 'function') [length, callback] = [undefined, length];
    let fds;
    // A Buffer, the usual case, is spared every other question.
    let view = message;
    if (!ArrayBuffer.isView(message)) {
      [view, fds] = messageParts(message, encoding);
    }
    let [start, size] = [0, view.byteLength];
    if (offset !== undefined || length !== undefined) {
      start = offset ?? 0;
      size = check.partLength(view, start, length ?? Math.max(size - start, 0));
    }
    check.optionalCallback(callback);
    const handle = this[kHandle];
    // What a Writable does then is right: an error with its code, to the callback and 'error'.
    if (this.writableEnded || this.destroyed) return super.write(EMPTY, callback);
    const outbox = this[kOutbox];
    if (handle === null) {
      outbox.reject(callback, systemError(-ENOTCONN, 'sendmsg'));
      return true;
    }
    this[kState].bytesWritten += size;
    this[kTouch]();
    const result = outbox.send(handle, PEER, view, start, size, fds, undefined, callback);
    if (result < 0) dieAfter(this, result);
    return outbox.hasRoom();
  }

  /**
   * Sends a last message, if one is given, and then the end, shutdown(2): the peer still may send.
   *
   * @param {Buffer | TypedArray | DataView | string | { data, fds }} [message]
   * @param {string} [encoding]
   * @param {() => void} [callback] - on `'finish'`
   * @returns {this}
   */
  end(message, encoding, callback) {
    if (typeof message === 'function') [message, callback] = [undefined, message];
    else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    if (message !== undefined && message !== null) this.write(message, encoding);
    return super.end(callback);
  }

  _write(chunk, encoding, callback) {
    this[kOutbox].send(this[kHandle], PEER, chunk, 0, chunk.length, undefined, undefined, callback);
  }

  _final(callback) {
    const { connectState } = this[kState];
    if (connectState === CONNECT_STATE_CONNECTING) {
      this.once('connect', () => this._final(callback));
      return;
    }
    this[kOutbox].afterLast(() => {
      // Fails where the peer is gone, and then there is nobody to tell.
      this[kHandle]?.shutDownSending();
      callback();
    });
  }

  _read() {
    const state = this[kState];
    if (state.reading || state.ended || state.connectState !== CONNECT_STATE_CONNECTED) return;
    state.reading = true;
    this[kHandle]?.setReading(1);
  }

  /** As in Readable; an error that came behind the messages is told when the last is read. */
  read(size) {
    const message = super.read(size);
    const { failure } = this[kState];
    if (failure !== null && this.readableLength === 0) {
      process.nextTick(() => this.destroy(failure));
    }
    return message;
  }

  _destroy(error, callback) {
    const state = this[kState];
    const handle = this[kHandle];
    debug('seqpacket fd %d closes', handle === null ? -1 : handle.fd());
    clearTimeout(state.connectTimer);
    clearTimeout(state.timer);
    this[kHandle] = null;
    handle?.close();
    const reason = () =>
      error ?? codedError(Error, 'ERR_STREAM_DESTROYED', 'The socket was destroyed');
    this[kOutbox].close(reason);
    this[kOutbox].afterCallbacks(() => {
      callback(error);
      process.nextTick(() => {
        state.server?.[kConnectionClosed]();
        this.emit('close', Boolean(error));
      });
    });
  }

  [kMessage](data, flags, words, at) {
    const state = this[kState];
    state.bytesRead += data.length;
    this[kTouch]();
    if (state.options.receiveFds) defineFds(data, this, flags, words, at);
    if (flags & flag.CREDENTIALS) data.credentials = handles.credentialsAt(words, at);
    if (flags & flag.TRUNCATED) {
      this[kFail](systemError(-ENOBUFS, 'recvmsg'));
      return;
    }
    deliver(this, data);
    if (flags & handles.FDS_MISSING) this[kFail](handles.descriptorError(flags));
  }

  [kSettled](ticket, status) {
    this[kTouch]();
    this[kOutbox].settle(ticket, status);
    if (status < 0) dieAfter(this, status);
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

  /** Destroys the socket, after the messages that came before have been read. */
  [kFail](error) {
    const nobodyReads = this.readableFlowing === null && !hasReader(this);
    if (this.readableLength === 0 || nobodyReads) this.destroy(error);
    else this[kState].failure ??= error;
  }

  /** There was activity: the time-out starts anew. */
  [kTouch]() {
    this[kState].timer?.refresh();
  }

  /**
   * Emits `'timeout'` after so long without traffic; the socket stays open. 0: never.
   *
   * @param {number} milliseconds
   * @param {() => void} [callback] - once, on `'timeout'`
   */
  setTimeout(milliseconds, callback) {
    const state = this[kState];
    check.integer(milliseconds, 'milliseconds', 0, MAX_INT);
    check.optionalCallback(callback);
    clearTimeout(state.timer);
    state.timeout = milliseconds;
    state.timer = null;
    if (milliseconds > 0 && !this.destroyed) {
      state.timer = setTimeout(() => this.emit('timeout'), milliseconds).unref();
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

  /** Bytes of all messages received. */
  get bytesRead() {
    return this[kState].bytesRead;
  }

  /** Bytes of all messages accepted by write(). */
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

  /** destroy(), under the name that node-unix-socket has for it. */
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

  /** Kept for node-unix-socket: messages are whole whatever it says. */
  getInternalReadBufferSize() {
    return this[kState].readBufferSize;
  }

  /** Kept for node-unix-socket: messages are whole whatever it says. */
  setInternalReadBufferSize(size) {
    this[kState].readBufferSize = check.integer(size, 'size', 1, MAX_INT);
  }
}

shareMembers(SeqpacketSocket);

/**
 * A server of seqpacket sockets.
 *
 * Events: `'listening'`, `'connection'(socket, path)`, `'drop'`, `'warning'`, `'error'`, `'close'`.
 */
class SeqpacketServer extends SocketServer {
  /**
   * @param {object} [options] - as for SeqpacketSocket, given to each connection; `signal` closes
   *   the server
   * @param {(socket: SeqpacketSocket) => void} [connectionListener]
   */
  constructor(options, connectionListener) {
    super(SOCK_SEQPACKET, options, connectionListener);
    // An unsuitable option is an error here, not at the first connection.
    const forSockets = this[kSocketOptions];
    const probe = new SeqpacketSocket({ ...forSockets, fd: undefined });
    this[kSocketOptions] = { ...forSockets, [kChecked]: probe[kState].options, fd: undefined };
    probe.destroy();
  }

  /**
   * Starts to listen. Synchronous: throws where it cannot; `'listening'` follows in the next tick.
   *
   * @param {string | Buffer | URL | object} [path] - or `{ path, fd, backlog, mode }`; no path: the
   *   kernel chooses an abstract name
   * @param {number} [backlog=511]
   * @param {() => void} [callback] - on `'listening'`
   * @returns {this}
   */
  listen(path, backlog, callback) {
    listen(this, path, backlog, callback);
    return this;
  }

  [kMakeSocket](handle) {
    const socket = new SeqpacketSocket({ ...this[kSocketOptions], [kAdoptHandle]: handle });
    socket[kState].server = this;
    return socket;
  }
}

const EMPTY = new Uint8Array();

/**
 * Gives a message to the stream. Where it would be emitted at once anyway it is emitted here:
 * push() would also set a tick aside for each message, to ask whether to read more.
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
    socket[kStart](handle);
    debug('seqpacket fd %d connected to %j', handle.fd(), path);
    process.nextTick(emitConnect, socket);
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

function emitConnect(socket) {
  if (socket.destroyed) return;
  try {
    socket.emit('connect');
    socket.emit('ready');
  } finally {
    // What was written meanwhile goes now, so that its callbacks come after 'connect'.
    socket[kHandle]?.setHolding(0);
  }
}

/** After a failed send with which the connection has ended: what the peer sent before comes first. */
function dieAfter(socket, errno) {
  const state = socket[kState];
  if (!FATAL.has(errno) || state.sendFailure !== null) return;
  state.sendFailure = systemError(errno, 'sendmsg');
  process.nextTick(() => {
    if (socket.destroyed) return;
    // Without a reader nothing would ever come of waiting for him.
    const isOver = state.ended || (socket.readableFlowing === null && !hasReader(socket));
    if (isOver) socket[kFail](state.sendFailure);
    else socket[kHandle].fail(errno);
  });
}

function hasReader(socket) {
  return socket.listenerCount('readable') > 0;
}

/** Gives a message its `fds`: taken from native code, which closes what nobody takes, when read. */
function defineFds(data, socket, flags, words, at) {
  if ((flags & flag.FDS) === 0) {
    data.fds = [];
    return;
  }
  const token = handles.fdsToken(words, at);
  let fds;
  Object.defineProperty(data, 'fds', {
    configurable: true,
    enumerable: true,
    get: () => {
      if (fds === undefined && socket[kHandle] === null) {
        const message = 'The descriptors were closed with the socket: read fds before that';
        throw codedError(Error, 'ERR_AFUNIX_FDS_CLOSED', message);
      }
      return (fds ??= socket[kHandle].takeFds(token));
    },
  });
}

module.exports = { SeqpacketServer, SeqpacketSocket };
