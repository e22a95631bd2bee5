// Owns: UServer and USocket, SOCK_STREAM Unix sockets that pass descriptors.
'use strict';

const { Buffer } = require('buffer');
const { ENOTCONN, EPIPE } = require('os').constants.errno;
const { isUint8Array } = require('util').types;
const { keepContext, runAlone } = require('../util/callback');
const { invalidType, systemError } = require('../util/errors');
const { MAX_FDS, descriptorsOf } = require('../native/fds');
const check = require('../util/validate');
const handles = require('../native/sockets');
const connected = require('./connected');
const { kState } = require('./members');
const { makePair } = require('./pair');
const { SocketServer, listen } = require('./server');
const {
  deliverBytes,
  emitFds,
  fdsUpTo,
  kReads,
  newReads,
  nextBuffer,
  queueFds,
  resumeInto,
  takeFds,
} = require('./stream-reader');
const {
  attempt,
  attemptString,
  bytesIn,
  checkEncoding,
  failGroups,
  kWrites,
  newWrites,
  partsOf,
  startWrite,
  unsentError,
  writeWithFds,
} = require('./stream-writer');

const { SOCK_STREAM, flag, kHandle, kSettled } = handles;
const { ConnectedSocket, kCancelWrites, kDeliver, kDieAfter, kEmitConnect, kStart, kTouch } =
  connected;

/**
 * A Unix stream socket that passes descriptors, and stands in for net.Socket.
 *
 * Events: those of Duplex, `'connected'` or `'connect'`, `'ready'`, `'fds'(fds)`, `'timeout'`, and
 * `'close'(hadError)`. See unix(7).
 */
class USocket extends ConnectedSocket {
  /**
   * @param {string | Buffer | URL | number | object} [options] - a path to connect to, a descriptor
   *   to adopt, or:
   * @param {string | Buffer | URL} [options.path] - connect to this name
   * @param {number | object} [options.fd] - adopt this connected stream socket
   * @param {boolean} [options.allowHalfOpen=false] - do not end when the peer ends
   * @param {number} [options.connectTimeout=10000] - milliseconds to wait for a full backlog
   * @param {boolean} [options.receiveFds=true] - without it the kernel discards descriptors
   * @param {number} [options.maxPendingFds=1024] - descriptors that may wait to be taken
   * @param {boolean} [options.credentials=false] - chunks have their sender's `credentials`
   * @param {{ buffer, callback }} [options.onread] - receive into a buffer of yours, as in net
   * @param {boolean} [options.pauseOnConnect=false] - of a server or a pair: nothing is read before
   *   resume()
   * @param {number} [options.timeout] - as setTimeout()
   * @param {number} [options.highWaterMark] - and readableHighWaterMark, writableHighWaterMark, in
   *   bytes, as in Duplex; 64 KiB unless set
   * @param {number} [options.receiveBufferSize] - SO_RCVBUF, in bytes
   * @param {number} [options.sendBufferSize] - SO_SNDBUF, in bytes
   * @param {AbortSignal} [options.signal] - destroys the socket
   * @param {() => void} [callback] - when the connection is made
   * @throws {Error} EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE, EEXIST for an unsuitable `fd`
   */
  constructor(options, callback) {
    options = optionsOf(options);
    check.optionalCallback(callback);
    const mark = options.highWaterMark ?? DEFAULT_MARK;
    const duplex = {
      readableHighWaterMark: options.readableHighWaterMark ?? mark,
      writableHighWaterMark: options.writableHighWaterMark ?? mark,
      // Short strings go to the kernel without a Buffer in between.
      decodeStrings: false,
    };
    super({ type: SOCK_STREAM, duplex, receiveFds: true }, options);
    this[kWrites] = newWrites();
    this[kReads] = newReads(options.onread);
    if (options.timeout) this.setTimeout(options.timeout);
    connected.adopt(this, options);
    if (options.fd !== undefined) {
      if (callback) this[kWrites].connectCallback = callback;
      if (callback) emitConnectLater(this);
    } else if (options.path !== undefined && options.path !== null && !this.destroyed) {
      this.connect(options, callback);
    }
  }

  /**
   * Two sockets connected to each other, socketpair(2).
   *
   * @param {object} [options] - for both, as for the constructor, except `path` and `fd`
   * @returns {[USocket, USocket]}
   */
  static pair(options) {
    return makePair(USocket, SOCK_STREAM, options);
  }

  /**
   * Connects, connect(2). Failures are `'error'` events. While the server's backlog is full it is
   * tried again, up to `connectTimeout` (ETIMEDOUT). Writes meanwhile are queued.
   *
   * When it is done the callback runs; then `'connected'` is emitted if anybody listens to that,
   * `'connect'` otherwise.
   *
   * @param {string | Buffer | URL | { path } | { fd }} options
   * @param {() => void} [callback]
   * @returns {this}
   * @throws {Error} EISCONN; ERR_STREAM_DESTROYED; for `fd` as the constructor
   */
  connect(options, callback) {
    if (typeof options === 'number') throw invalidType('options', 'a path or an object', options);
    const { path, fd } = optionsOf(options);
    check.optionalCallback(callback);
    if (fd === undefined) {
      connected.connect(this, path);
    } else {
      connected.demandFresh(this);
      connected.adoptDescriptor(this, fd);
      emitConnectLater(this);
    }
    if (callback) this[kWrites].connectCallback = callback;
    return this;
  }

  /**
   * Sends bytes, descriptors, or both.
   *
   * write(buffer | string[, encoding][, callback])
   * write(fds[, callback])
   * write({ data, fds, callback }[, encoding][, callback])
   *
   * A stream cannot carry descriptors alone: those without bytes travel with the next bytes
   * written. At most 253 go with one byte; more are spread over the bytes in order.
   *
   * @param {Buffer | TypedArray | DataView | string | Array | object} message - descriptors are
   *   numbers or objects that hold one; yours to close as soon as write returns
   * @param {string} [encoding='utf8']
   * @param {(error?: Error | null) => void} [callback] - exactly once, in order, never inside the
   *   call: bytes and descriptors are with the kernel, or will never be. An error destroys the
   *   socket: EPIPE, ECONNRESET (after what the peer sent has been read), ERR_STREAM_DESTROYED;
   *   ERR_AFUNIX_FDS_UNSENT: no bytes came for the descriptors to travel with
   * @returns {boolean} false: `writableHighWaterMark` is reached, wait for `'drain'`
   * @throws {Error} EBADF: a descriptor is not open; nothing is sent then
   */
  write(message, encoding, callback) {
    if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    else if (!encoding) encoding = undefined;
    else checkEncoding(encoding);
    // As a Writable does.
    if (typeof callback !== 'function') callback = undefined;
    let data = message;
    let fds;
    if (typeof message === 'string') {
      encoding ??= this._writableState.defaultEncoding;
    } else if (!isUint8Array(message)) {
      if (message === null || message === undefined) return super.write(message);
      ({ data, fds, callback } = partsOf(message, encoding, callback));
    }
    const handle = this[kHandle];
    const writes = this[kWrites];
    if (this.writableEnded && this.readableEnded && !this.allowHalfOpen) {
      // As in net: it was the peer's end that ended this side.
      const error = systemError(-EPIPE, 'write');
      if (callback) process.nextTick(callback, error);
      this.destroy(error);
      return false;
    }
    const isOver = this.writableEnded || this.destroyed || this._writableState.errored;
    if (isOver || handle === null) {
      // Also after a failed write, before the socket is destroyed: the peer must not see a gap. What
      // a Writable does then is right: an error with its code, to the callback and 'error'.
      return super.write(data, encoding, callback);
    }
    if (this[kState].sendFailure !== null) this[connected.kGoOn](false, true);
    const hasBytes = data.length > 0;
    if (fds !== undefined || (writes.groups !== null && hasBytes)) {
      const bytes = typeof data === 'string' ? Buffer.from(data, encoding) : data;
      const isAlone = this.writableLength === 0 && writes.groups === null;
      const isFree = isAlone && this.writableCorked === 0 && !this.connecting;
      if (!isFree || !hasBytes || fds.length > MAX_FDS) {
        return writeWithFds(this, handle, bytes, fds, callback);
      }
      writes.attempt = attempt(this, handle, bytes, fds);
      data = bytes;
    } else if (this.writableCorked > 0) {
      this[kState].bytesWritten += bytesIn(data, encoding);
      return super.write(data, encoding, keepContext(callback));
    } else if (hasBytes && this.writableLength === 0 && !this.connecting) {
      writes.attempt =
        typeof data === 'string'
          ? attemptString(this, handle, data, encoding)
          : attempt(this, handle, data);
    }
    this[kState].bytesWritten += bytesIn(data, encoding);
    if (writes.attempt === 0) {
      // All of it is sent: Writable need not know.
      writes.attempt = undefined;
      if (callback) process.nextTick(callback, null);
      return true;
    }
    return super.write(data, encoding, keepContext(callback));
  }

  /**
   * As any emitter's. But Writable emits 'drain' in front of callbacks: an exception there waits for
   * the next tick, or they would never run, nor would 'finish' come.
   */
  emit(name, ...values) {
    if (name !== 'drain') return super.emit(name, ...values);
    runAlone(() => super.emit(name));
    return this.listenerCount(name) > 0;
  }

  /** write({ data: bytes, fds }), under the name that dbus-native has for it. */
  writeWithFds(bytes, fds) {
    return this.write({ data: bytes, fds });
  }

  /**
   * Sends a last message, if one is given, and then the end, shutdown(2): the peer still may send.
   *
   * @param {Buffer | string | Array | object} [message] - as for write()
   * @param {string} [encoding]
   * @param {() => void} [callback] - on `'finish'`
   * @returns {this}
   */
  end(message, encoding, callback) {
    if (typeof message === 'function') [message, callback] = [undefined, message];
    else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    if (message !== undefined && message !== null) this.write(message, encoding);
    // Writable takes what is no function for a chunk; as its third argument, it ignores it.
    return super.end(undefined, undefined, callback);
  }

  _write(chunk, encoding, callback) {
    startWrite(this, [{ chunk, encoding }], callback);
  }

  _writev(entries, callback) {
    startWrite(this, entries, callback);
  }

  _final(callback) {
    const writes = this[kWrites];
    if (this.connecting) {
      writes.final = callback;
      return;
    }
    const error = failGroups(this, unsentError);
    // Fails where the peer is gone, and then there is nobody to tell.
    this[kHandle]?.shutDownSending();
    callback(error);
  }

  [kCancelWrites](error, callback) {
    const writes = this[kWrites];
    const { sendFailure } = this[kState];
    if (writes.callback === null && writes.groups === null) {
      process.nextTick(callback);
      return;
    }
    process.nextTick(() => {
      const cancelled = writes.callback;
      writes.callback = null;
      writes.deferred = null;
      const reason = sendFailure ?? connected.destroyedError(error);
      cancelled?.(reason);
      failGroups(this, () => reason);
      // Behind what these left to the next tick.
      process.nextTick(callback);
    });
  }

  [kSettled](ticket, status) {
    this[kTouch]();
    const writes = this[kWrites];
    const { callback } = writes;
    if (callback === null) return;
    if (connected.isFatal(status)) {
      this[kDieAfter](status);
      return;
    }
    writes.callback = null;
    callback(status === 0 ? undefined : systemError(status, 'write'));
  }

  [kEmitConnect]() {
    const writes = this[kWrites];
    const { connectCallback } = writes;
    writes.connectCallback = null;
    try {
      connectCallback?.call(this);
      if (this.destroyed) return;
      this.emit(this.listenerCount('connected') > 0 ? 'connected' : 'connect');
      if (!this.destroyed) this.emit('ready');
    } finally {
      // What was written meanwhile goes now, so that its callbacks come after 'connect'.
      const { deferred, final, callback } = writes;
      if (deferred !== null && !this.destroyed) {
        writes.deferred = writes.callback = null;
        startWrite(this, deferred, callback);
      } else if (final !== null && !this.destroyed) {
        writes.final = null;
        this._final(final);
      }
    }
  }

  [kStart](handle) {
    const { onread } = this[kReads];
    if (onread !== null) handle.setTarget(nextBuffer(onread));
    super[kStart](handle);
  }

  [kDeliver](data, flags, words, at) {
    if ((flags & flag.FDS) === 0) {
      deliverBytes(this, data, flags, words[at + 1]);
      return;
    }
    try {
      queueFds(this, handles.fdsToken(words, at), this[kState].bytesRead - 1);
    } finally {
      // Not where a listener closed the socket; but an exception of his costs no bytes.
      if (this[kHandle] !== null) deliverBytes(this, data, flags, words[at + 1]);
    }
  }

  /**
   * As in Readable. With `fdCount`: bytes and descriptors at once, or null if there are not enough
   * of either.
   *
   * @param {number | null} [size] - bytes; null: what there is
   * @param {number | null} [fdCount] - descriptors; null: those of messages that are read to their
   *   end now, or all with a `size` of 0
   * @returns {Buffer | { data: Buffer | null, fds: number[] } | null} descriptors are yours to close
   */
  read(size, fdCount) {
    const reads = this[kReads];
    if (reads.onread !== null) resumeInto(this);
    if (fdCount === undefined) return super.read(size);
    if (fdCount !== null) check.integer(fdCount, 'fdCount');
    // They were closed with the socket.
    if (this[kHandle] === null) Object.assign(reads, { fds: 0, groups: null });
    const isMissing = fdCount !== null && reads.fds < fdCount;
    const data = super.read(isMissing ? 0 : (size ?? undefined));
    if (isMissing || (data === null && size > 0)) return null;
    const count = fdCount ?? (data === null ? reads.fds : fdsUpTo(this));
    if (data === null && count === 0) return null;
    return { data, fds: takeFds(this, count) };
  }

  /**
   * Puts bytes back, and descriptors: to be read again before the others.
   *
   * @param {Buffer | string | null} chunk
   * @param {number[]} [fds] - are the socket's again
   * @throws {Error} EBADF, EEXIST (a socket has it), ENOBUFS (more than `maxPendingFds`)
   */
  unshift(chunk, fds) {
    // Readable takes null for the end; here it stands for no bytes.
    if (fds === undefined) return super.unshift(chunk);
    const numbers = descriptorsOf(fds);
    if (numbers.length > 0) {
      const result = this[kHandle]?.putBackFds(numbers) ?? -ENOTCONN;
      if (result < 0) throw systemError(result, 'unshift');
      const reads = this[kReads];
      reads.fds += numbers.length;
      reads.groups ??= [];
      reads.groups.unshift({ count: numbers.length, last: -Infinity });
    }
    return chunk === null || chunk === undefined ? this.readableLength > 0 : super.unshift(chunk);
  }

  /** As in Readable. A listener for `'fds'` gets what waits already in the next tick. */
  on(event, listener) {
    super.on(event, listener);
    if (event === 'fds' && this[kReads].fds > 0) process.nextTick(emitFds, this);
    return this;
  }

  /** The same as on(). */
  addListener(event, listener) {
    return this.on(event, listener);
  }

  /** As in Readable; with `onread`, receives no more until resume(). */
  pause() {
    const state = this[kState];
    if (this[kReads].onread !== null && state.reading) {
      state.reading = false;
      this[kHandle]?.setReading(0);
    }
    return super.pause();
  }

  /** As in Readable. */
  resume() {
    if (this[kReads].onread !== null) resumeInto(this);
    return super.resume();
  }

  /** Bytes that wait to be sent, as net.Socket still has it. */
  get bufferSize() {
    return this.writableLength;
  }

  /** Does nothing: there is no Nagle's algorithm here. @returns {this} */
  setNoDelay() {
    return this;
  }

  /** Does nothing: the kernel knows when a local peer is gone. @returns {this} */
  setKeepAlive() {
    return this;
  }

  /**
   * destroy(), whatever waits to be sent. A Unix socket has no RST to send: the peer sees ECONNRESET
   * if something of its own was not read here, the end otherwise.
   *
   * @returns {this}
   */
  resetAndDestroy() {
    return this.destroy();
  }
}

const DEFAULT_MARK = 64 * 1024;

/** What dbus libraries ask for; those that negotiate set it. */
USocket.prototype.supportsUnixFd = true;

/**
 * A server of stream sockets, as net.Server is.
 *
 * Events: `'listening'`, `'connection'(socket, path)`, `'drop'`, `'warning'`, `'error'`, `'close'`.
 */
class UServer extends SocketServer {
  /**
   * @param {object} [options] - as for USocket, given to each connection; `signal` closes the
   *   server
   * @param {(peer: { pid, uid, gid }) => boolean} [options.allow] - asked before `'connection'`:
   *   anything but true closes the connection at once
   * @param {(socket: USocket) => void} [connectionListener]
   */
  constructor(options, connectionListener) {
    super(USocket, options, connectionListener);
  }

  /**
   * Starts to listen; `'listening'` follows in the next tick. What the system refuses is an
   * `'error'` event: EADDRINUSE, EACCES …
   *
   * @param {string | Buffer | URL | object} [path] - or `{ path, fd, backlog, mode }`; no path: the
   *   kernel chooses an abstract name
   * @param {number} [backlog=511]
   * @param {() => void} [callback] - on `'listening'`
   * @returns {this}
   * @throws {Error} ERR_SERVER_ALREADY_LISTEN
   */
  listen(path, backlog, callback) {
    try {
      listen(this, path, backlog, callback);
    } catch (error) {
      if (error.syscall === undefined) throw error;
      process.nextTick(() => this.emit('error', error));
    }
    return this;
  }
}

/** What users give in place of options. */
function optionsOf(options) {
  if (options === undefined || options === null) return {};
  if (check.isOptions(options)) return options;
  return typeof options === 'number' ? { fd: options } : { path: options };
}

function emitConnectLater(socket) {
  process.nextTick(() => {
    if (!socket.destroyed) socket[kEmitConnect]();
  });
}

module.exports = { UServer, USocket };
