// Owns: SeqpacketServer and SeqpacketSocket, SOCK_SEQPACKET Unix sockets.
'use strict';

const { ENOTCONN } = require('os').constants.errno;
const { isUint8Array } = require('util').types;
const binding = require('../native/binding');
const { messageParts } = require('../native/fds');
const { fdsToken, flag, kId, kSettled } = require('../native/sockets');
const { systemError } = require('../util/errors');
const { nextTick } = require('../util/host');
const check = require('../util/validate');
const { ConnectedSocket, deliver } = require('./connected');
const connecting = require('./connecting');
const life = require('./life');
const { PEER } = require('./destinations');
const { defineTaken } = require('./received-fds');
const { listen } = require('./listen');
const { kState, kWriter, setBufferSize, shareMessageMembers } = require('./members');
const { MessageWriter, kSendError } = require('./message-writer');
const { ConnectedPlan } = require('./options');
const { makePair } = require('./pair');
const { SocketServer, kConnectionKind } = require('./server');

const { kAbandonWrites, kCancelWrites, kClosed, kDeliver, kEmitConnect, kMakeError } = life;
const { kPrepare, kReceived, kReset } = life;
const { SOCK_SEQPACKET } = binding;

/** Messages that may wait for the reader before the kernel holds the sender back. */
const DEFAULT_READABLE_MARK = 64;
const DEFAULT_READ_BUFFER = 256 * 1024;

const kReadBufferSize = Symbol('kReadBufferSize');

/** The options of a SeqpacketSocket. */
class SeqpacketPlan extends ConnectedPlan {
  constructor(options) {
    super(options, {
      type: SOCK_SEQPACKET,
      receiveFds: false,
      duplex: {
        readableObjectMode: true,
        readableHighWaterMark: options.readableHighWaterMark ?? DEFAULT_READABLE_MARK,
      },
    });
    this.takePidfdOption(options);
  }
}

/**
 * A Unix socket that is connected like a stream and keeps messages apart like datagrams: a Duplex
 * whose chunks are whole messages, also empty ones.
 *
 * Events: those of Duplex, `'connect'`, `'ready'`, `'timeout'`, and `'close'(hadError)`.
 * Linux only. See unix(7).
 */
class SeqpacketSocket extends ConnectedSocket {
  /**
   * @param {number | object} [options] - a descriptor to adopt, or an object; seqpacket.d.ts describes its
   *   properties
   * @throws {Error} EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE, EEXIST for an unsuitable `fd`
   */
  constructor(options) {
    const given = options instanceof SeqpacketPlan ? undefined : optionsOf(options);
    const plan = given === undefined ? options : new SeqpacketPlan(given);
    super(plan);
    this[kWriter] = null;
    this[kReadBufferSize] = DEFAULT_READ_BUFFER;
    this[kReset]();
    connecting.startFromPlan(this, plan, given?.fd);
  }

  /**
   * Two sockets connected to each other, socketpair(2).
   *
   * @param {object} [options] - for both, as for the constructor, except `fd`
   * @returns {[SeqpacketSocket, SeqpacketSocket]}
   */
  static pair(options) {
    return makePair(SeqpacketSocket, new SeqpacketPlan(check.optionsObject(options)));
  }

  /**
   * Connects, connect(2); a socket that was closed can be connected again. The outcome follows in a later turn;
   * failures are `'error'` events. While the server's backlog is full it is tried again, up to
   * `connectTimeout` (ETIMEDOUT). Writes meanwhile are queued.
   *
   * @param {string | Buffer | URL | { path }} path
   * @param {() => void} [callback] - on `'connect'`
   * @returns {this}
   * @throws {Error} EISCONN
   */
  connect(path, callback) {
    if (check.isOptions(path)) ({ path } = check.optionsObject(path));
    check.optionalCallback(callback);
    connecting.connect(this, path);
    if (this[kId] > 0) binding.setCorked(this[kId], 1);
    if (callback) this.once('connect', callback);
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
    // A Buffer with bytes, the usual case, is spared every other question.
    let view = message;
    if (!isUint8Array(message)) [view, fds] = messageParts(message, encoding);
    else if (message.length === 0) check.messageBytes(message);
    let start = 0;
    let size = view.length;
    if (offset !== undefined || length !== undefined) {
      start = check.integer(offset ?? 0, 'offset');
      size = check.partLength(view, start, length ?? Math.max(size - start, 0));
    }
    check.optionalCallback(callback);
    if (this.writableEnded || this.destroyed) {
      if (this.writableEnded && this.readableEnded && !this.allowHalfOpen) {
        return life.writeAfterEnd(this, callback);
      }
      // What a Writable does then is right: an error with its code, to the callback and 'error'.
      return super.write(EMPTY, callback);
    }
    const state = this[kState];
    const writer = this[kWriter];
    if (this[kId] === 0 || state.sendFailure !== null) {
      writer.reject(callback, state.sendFailure ?? systemError(-ENOTCONN, 'sendmsg'));
      return true;
    }
    state.bytesWritten += size;
    life.refreshTimer(state);
    const result = writer.send(PEER, view, start, size, fds, undefined, callback);
    if (result < 0) endAfter(this, result);
    return writer.hasRoom();
  }

  /**
   * Sends a last message, if one is given, and then the end, shutdown(2): the peer still may send.
   *
   * @param {Buffer | TypedArray | DataView | string | { data, fds }} [message]
   * @param {string} [encoding]
   * @param {(error?: Error) => void} [callback] - on `'finish'`; or with the error for which that does not come:
   *   ERR_STREAM_DESTROYED behind destroy()
   * @returns {this}
   */
  end(message, encoding, callback) {
    if (typeof message === 'function') [message, callback] = [undefined, message];
    else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    check.optionalCallback(callback);
    if (message !== undefined && message !== null) this.write(message, encoding);
    if (callback !== undefined) callback = this[kWriter].behind(callback);
    return super.end(life.endCallback(this, callback));
  }

  /** As in Readable; nothing after destroy(). */
  read(size) {
    return this.destroyed ? null : super.read(size);
  }

  /** In Node 26.12 pipe() comes here past write(), which has no callback then. */
  _write(chunk, encoding, callback) {
    this.write(chunk, (error) => {
      if (error) this[kSendError](error);
      // A message that fails does not end the stream.
      callback();
    });
  }

  _final(callback) {
    const state = this[kState];
    const done = life.noteFinal(state, callback);
    const finish = () => this[kWriter].afterLast(() => life.finishLater(this, false, done));
    if (!this.pending) finish();
    else this.once('connect', () => life.isOver(this, state) || finish());
  }

  destroy(error, callback) {
    super.destroy(error, callback);
    // Not where that was for the life before, or waits for what is received just now.
    if (this.destroyed) this[kWriter].close(() => life.destroyedError(error));
    return this;
  }

  /** destroy() has done it: in order, and before 'close'. */
  [kCancelWrites]() {}

  [kAbandonWrites]() {}

  [kClosed]() {
    return null;
  }

  [kSendError](error) {
    // A fatal one destroys the socket, which is the event.
    if (life.isFatal(error.errno) && this[kState].sendFailure !== null) return;
    if (error.code !== 'EMSGSIZE' || this.listenerCount('error') > 0) this.emit('error', error);
    // That message's error, and not the process's end.
    else process.emitWarning(error.message, { code: error.code, type: 'AfunixWarning' });
  }

  [kDeliver](data, flags, words, at) {
    const { plan } = this[kState];
    if (plan.receiveFds || plan.pidfd) defineReceived(this, plan, data, flags, words, at);
    deliver(this, data);
  }

  [kSettled](outcomes) {
    life.refreshTimer(this[kState]);
    this[kWriter].settle(outcomes);
    for (let index = 1; index < outcomes.length; index += 2) {
      if (outcomes[index] < 0) endAfter(this, outcomes[index]);
    }
  }

  [kMakeError](errno, syscall, path) {
    return systemError(errno, syscall, path);
  }

  get [kReceived]() {
    return 'recvmsg';
  }

  [kPrepare]() {
    // Nothing: messages need no preparation.
  }

  [kReset]() {
    const { writableHighWaterMark, maxWaitingFds } = this[kState].plan;
    this[kWriter] = new MessageWriter(this, writableHighWaterMark, maxWaitingFds);
  }

  [kEmitConnect]() {
    try {
      this.emit('connect');
      this.emit('ready');
    } finally {
      // What was written meanwhile goes now, so that its callbacks come after 'connect'.
      if (this[kId] > 0) binding.setCorked(this[kId], 0);
    }
  }

  /** Sets SO_SNDBUF, in bytes: what bounds a message's size. */
  setSendBufferSize(size) {
    setBufferSize(this[kId], 0, size);
  }

  /** Sets SO_RCVBUF, in bytes. */
  setRecvBufferSize(size) {
    setBufferSize(this[kId], 1, size);
  }

  /** Kept for node-unix-socket: messages are whole whatever it says. */
  getInternalReadBufferSize() {
    return this[kReadBufferSize];
  }

  /** Kept for node-unix-socket: messages are whole whatever it says. */
  setInternalReadBufferSize(size) {
    this[kReadBufferSize] = check.integer(size, 'size', 1, check.MAX_INT);
  }
}

shareMessageMembers(SeqpacketSocket);

/** A send failed: if the connection ended with it, so does the socket, after the callbacks. */
function endAfter(socket, errno) {
  if (!life.isFatal(errno) || socket[kState].sendFailure !== null) return;
  const error = life.noteSendFailure(socket, systemError(errno, 'sendmsg'));
  nextTick(life.destroyAfterLastWords, socket, socket[kState], error);
}

/**
 * A server of seqpacket sockets.
 *
 * Events: `'listening'`, `'connection'(socket, path)`, `'drop'({ peer, reason })`, `'warning'`, `'error'`,
 * `'close'`.
 */
class SeqpacketServer extends SocketServer {
  /**
   * @param {object} [options] - as for SeqpacketSocket, given to each connection; `signal` closes
   *   the server
   * @param {(socket: SeqpacketSocket) => void} [connectionListener]
   */
  constructor(options, connectionListener) {
    super(options, connectionListener);
  }

  static [kConnectionKind] = { Socket: SeqpacketSocket, Plan: SeqpacketPlan };

  /**
   * Starts to listen. Synchronous: throws where it cannot; `'listening'` follows in the next tick. In a worker of a
   * cluster the primary answers later, and failures are `'error'` events.
   *
   * @param {string | Buffer | URL | object} [path] - or `{ path, fd, backlog, mode, uid, gid, … }`, see
   *   server.d.ts; no path: the kernel chooses an abstract name
   * @param {number} [backlog=511]
   * @param {() => void} [callback] - on `'listening'`
   * @returns {this}
   */
  listen(path, backlog, callback) {
    listen(this, path, backlog, callback, false);
    return this;
  }
}

const EMPTY = new Uint8Array();

/** What users give in place of options. */
function optionsOf(options) {
  return check.optionsObject(typeof options === 'number' ? { fd: options } : options);
}

/** Gives a message what the options ask for. */
function defineReceived(socket, { receiveFds, pidfd }, data, flags, words, at) {
  if (receiveFds) defineFds(data, socket, flags & flag.FDS ? fdsToken(words, at) : 0);
  if (pidfd) definePidfd(data, socket, flags & flag.PIDFD ? fdsToken(words, at) : 0);
}

/** Gives a message its `fds`. The token is 0 where there are none. */
function defineFds(data, socket, token) {
  if (token === 0) data.fds = [];
  else defineTaken(data, 'fds', socket, (id) => binding.takeFds(id, token));
}

/** Gives a message the `pidfd` of its sender; undefined where the kernel gave none. */
function definePidfd(data, socket, token) {
  if (token === 0) data.pidfd = undefined;
  else defineTaken(data, 'pidfd', socket, (id) => binding.takePidfd(id, token));
}

module.exports = { SeqpacketServer, SeqpacketSocket };
