// Owns: SeqpacketServer and SeqpacketSocket, SOCK_SEQPACKET Unix sockets.
'use strict';

const { ENOTCONN } = require('os').constants.errno;
const { isUint8Array } = require('util').types;
const { codedError, systemError } = require('../util/errors');
const { messageParts } = require('../native/fds');
const check = require('../util/validate');
const handles = require('../native/sockets');
const { PEER } = require('./destinations');
const connected = require('./connected');
const { kOutbox, kState, shareOutboxMembers } = require('./members');
const { Outbox } = require('./message-writer');
const { makePair } = require('./pair');
const { SocketServer, listen } = require('./server');

const { SOCK_SEQPACKET, flag, kHandle, kSettled } = handles;
const { ConnectedSocket, kCancelWrites, kDeliver, kDieAfter, kEmitConnect, kTouch } = connected;

/** Messages that may wait for the reader before the kernel holds the sender back. */
const DEFAULT_READABLE_MARK = 64;
const DEFAULT_READ_BUFFER = 256 * 1024;

const kReadBufferSize = Symbol('kReadBufferSize');

/**
 * A Unix socket that is connected like a stream and keeps messages apart like datagrams: a Duplex
 * whose chunks are whole messages, also empty ones.
 *
 * Events: those of Duplex, `'connect'`, `'ready'`, `'timeout'`, and `'close'(hadError)`.
 * Linux only. See unix(7).
 */
class SeqpacketSocket extends ConnectedSocket {
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
   * @param {boolean} [options.pauseOnConnect=false] - of a server or a pair: nothing is read before
   *   resume()
   * @throws {Error} EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE, EEXIST for an unsuitable `fd`
   */
  constructor(options) {
    if (typeof options === 'number') options = { fd: options };
    options = check.optionsObject(options);
    const duplex = {
      readableObjectMode: true,
      readableHighWaterMark: options.readableHighWaterMark ?? DEFAULT_READABLE_MARK,
    };
    const kind = { type: SOCK_SEQPACKET, duplex, receiveFds: false };
    super(kind, options);
    this[kOutbox] = new Outbox(this, options.writableHighWaterMark, (error) => {
      // A fatal one destroys the socket, which tells it.
      if (!connected.isFatal(error.errno)) this.emit('error', error);
    });
    this[kReadBufferSize] = DEFAULT_READ_BUFFER;
    connected.adopt(this, options);
  }

  /**
   * Two sockets connected to each other, socketpair(2).
   *
   * @param {object} [options] - for both, as for the constructor, except `fd`
   * @returns {[SeqpacketSocket, SeqpacketSocket]}
   */
  static pair(options) {
    return makePair(SeqpacketSocket, SOCK_SEQPACKET, options);
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
    check.optionalCallback(callback);
    connected.connect(this, path);
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
    // A Buffer, the usual case, is spared every other question.
    let view = message;
    if (!isUint8Array(message)) {
      [view, fds] = messageParts(message, encoding);
    }
    let [start, size] = [0, view.byteLength];
    if (offset !== undefined || length !== undefined) {
      start = check.integer(offset ?? 0, 'offset');
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
    if (result < 0) this[kDieAfter](result);
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
    check.optionalCallback(callback);
    if (message !== undefined && message !== null) this.write(message, encoding);
    return super.end(callback);
  }

  _write(chunk, encoding, callback) {
    this[kOutbox].send(this[kHandle], PEER, chunk, 0, chunk.length, undefined, undefined, callback);
  }

  _final(callback) {
    if (this.connecting) {
      this.once('connect', () => this._final(callback));
      return;
    }
    this[kOutbox].afterLast(() => {
      // Fails where the peer is gone, and then there is nobody to tell.
      this[kHandle]?.shutDownSending();
      callback();
    });
  }

  [kCancelWrites](error, callback) {
    this[kOutbox].close(() => connected.destroyedError(error));
    this[kOutbox].afterCallbacks(callback);
  }

  [kDeliver](data, flags, words, at) {
    if (this[kState].options.receiveFds) defineFds(data, this, flags, words, at);
    connected.deliver(this, data);
  }

  [kSettled](ticket, status) {
    this[kTouch]();
    this[kOutbox].settle(ticket, status);
    if (status < 0) this[kDieAfter](status);
  }

  [kEmitConnect]() {
    try {
      this.emit('connect');
      this.emit('ready');
    } finally {
      // What was written meanwhile goes now, so that its callbacks come after 'connect'.
      this[kHandle]?.setHolding(0);
    }
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

shareOutboxMembers(SeqpacketSocket);

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
    super(SeqpacketSocket, options, connectionListener);
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
}

const EMPTY = new Uint8Array();

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
