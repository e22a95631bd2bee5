// Owns: USocket, a SOCK_STREAM Unix socket that passes descriptors.
'use strict';

const { ENOTCONN } = require('os').constants.errno;
const { Duplex } = require('stream');
const { isUint8Array } = require('util').types;
const binding = require('../native/binding');
const { descriptorsOf } = require('../native/fds');
const { flag, kId, kWritten, lengthAt } = require('../native/sockets');
const { runAlone } = require('../util/callback');
const { invalidType, noPath, streamError } = require('../util/errors');
const { nextTick, setImmediate } = require('../util/host');
const check = require('../util/validate');
const { bytesIn, checkEncoding, partsOf } = require('./chunks');
const { ConnectedSocket, deliver } = require('./connected');
const connecting = require('./connecting');
const { HandleView } = require('./handle-view');
const life = require('./life');
const { kState, kWriter } = require('./members');
const { makePair } = require('./pair');
const { StreamReader, withData } = require('./stream-reader');
const { StreamWriter, finish } = require('./stream-writer');
const { USocketPlan, connectOptions, optionsOf } = require('./usocket-plan');
const { isOfWrap, leaveToWrap } = require('./wrapped');

const { kAbandonWrites, kCancelWrites, kClosed, kDeliver, kEmitConnect, kMakeError } = life;
const { kPrepare, kReceived, kReset } = life;

const kReader = Symbol('kReader');
const kTypeOfService = Symbol('kTypeOfService');

/**
 * A Unix stream socket that passes descriptors, and stands in for net.Socket.
 *
 * Events: those of Duplex, `'connected'`, `'connect'`, `'ready'`, `'fds'(fds)`, `'timeout'`, and
 * `'close'(hadError)`. See unix(7).
 */
class USocket extends ConnectedSocket {
  /**
   * @param {string | Buffer | URL | number | object} [options] - a path to connect to, a descriptor
   *   to adopt, or an object; usocket.d.ts describes its properties
   * @param {() => void} [callback] - when the connection is made
   * @throws {Error} EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE, EEXIST for an unsuitable `fd`
   */
  constructor(options, callback) {
    const given = options instanceof USocketPlan ? undefined : optionsOf(options);
    const plan = given === undefined ? options : new USocketPlan(given);
    super(plan);
    this[kReader] = null;
    this[kWriter] = null;
    if (plan.timeout) this.setTimeout(plan.timeout);
    check.optionalCallback(callback);
    connecting.startFromPlan(this, plan, given?.fd);
    if (given === undefined) return;
    if (given.fd !== undefined) {
      this[kState].connectCallback = callback;
      if (callback) setImmediate(emitConnectOf, this, this[kState]);
    } else if (given.path !== undefined && given.path !== null && !this.destroyed) {
      this.connect({ path: given.path }, callback);
    }
  }

  /**
   * Two sockets connected to each other, socketpair(2).
   *
   * @param {object} [options] - for both, as for the constructor, except `path` and `fd`
   * @returns {[USocket, USocket]}
   */
  static pair(options) {
    return makePair(USocket, new USocketPlan(check.optionsObject(options)));
  }

  /**
   * Connects, connect(2), or adopts a connected descriptor; a socket that was closed can be connected again.
   * The outcome follows in a later turn: the callback runs, then `'connected'`, `'connect'` and `'ready'` are
   * emitted; failures are `'error'` events. While the server's backlog is full it is tried again, up to
   * `connectTimeout` (ETIMEDOUT). Writes meanwhile are queued. A socket that is connected already, or about to be,
   * is destroyed with EISCONN, as in net; only with `fd` it is thrown.
   *
   * @param {string | Buffer | URL | { path } | { fd }} options
   * @param {() => void} [callback]
   * @returns {this}
   * @throws {Error} EISCONN; ERR_MISSING_ARGS; ERR_INVALID_ARG_VALUE for a host or port
   */
  connect(options, callback) {
    check.optionalCallback(callback);
    const { path, fd, host, port } = connectOptions(options);
    if (fd !== undefined) {
      connecting.renew(this);
      try {
        connecting.adoptDescriptor(this, fd);
      } catch (error) {
        // As usocket does: what the system refuses is an event.
        if (error.syscall === undefined && error.code !== 'ERR_OUT_OF_RANGE') throw error;
        nextTick(life.destroyIn, this, this[kState], error);
        return this;
      }
      noteCallback(this, callback);
      setImmediate(emitConnectOf, this, this[kState]);
      return this;
    }
    if (path === undefined || path === null) throw noPath(host, port);
    connecting.connectAgain(this, path);
    noteCallback(this, callback);
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
   *   socket: EPIPE, ECONNRESET, ERR_STREAM_DESTROYED; ERR_AFUNIX_FDS_UNSENT: no bytes came for the
   *   descriptors to travel with
   * @returns {boolean} false: `writableHighWaterMark` or `maxWaitingFds` is reached, wait for `'drain'`
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
    const isEnded = this.writableEnded;
    if (isEnded && this.readableEnded && !this.allowHalfOpen) {
      return life.writeAfterEnd(this, callback);
    }
    const isOver = isEnded || this.destroyed || this._writableState.errored;
    // Also after a failed write: the peer must not see a gap. A Writable reports the error with its code.
    const state = this[kState];
    const writer = writerOf(this);
    if (isOver) return super.write(data, encoding, writer.wrap(callback));
    if (this[kId] === 0) {
      // What is corked waits for connect(), and is sent.
      if (this.writableCorked > 0) state.bytesWritten += bytesIn(data, encoding);
      return writer.give(data, encoding, writer.wrap(callback));
    }
    if (fds !== undefined || (writer.isWaiting() && data.length > 0)) {
      return writer.writeWithFds(data, encoding, fds, callback);
    }
    state.bytesWritten += bytesIn(data, encoding);
    if (!writer.isIdle() || data.length >= state.plan.indirectLength) {
      return writer.give(data, encoding, writer.wrap(callback));
    }
    const result =
      typeof data === 'string' ? writer.attemptString(data, encoding) : writer.attempt(data);
    if (result !== 0) return writer.passOn(result, data, encoding, writer.wrap(callback));
    // All of it is sent: Writable need not know.
    if (callback) nextTick(callback, null);
    return true;
  }

  /** As of Readable: but chunks that have `fds` are bytes. */
  setEncoding(encoding) {
    if (this[kState].plan.fdsWithData) throw withData('setEncoding()');
    return super.setEncoding(encoding);
  }

  /**
   * As any emitter's. But Writable emits 'drain' in front of callbacks: an exception there waits for
   * the next tick, or they would never run, nor would 'finish' come.
   */
  emit(name, value, ...more) {
    if (name === 'drain') {
      runAlone(emitDrain, this);
      return this.listenerCount(name) > 0;
    }
    if (name === 'data' && this[kState].plan.fdsWithData) readerOf(this).attach(value);
    // Most often there is one: that costs no array.
    if (arguments.length === 2) return super.emit(name, value);
    return arguments.length === 1 ? super.emit(name) : super.emit(name, value, ...more);
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
   * @param {(error?: Error) => void} [callback] - on `'finish'`; or with the error for which that does not come:
   *   ERR_STREAM_DESTROYED behind destroy()
   * @returns {this}
   */
  end(message, encoding, callback) {
    if (typeof message === 'function') [message, callback] = [undefined, message];
    else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
    if (typeof callback === 'function') callback = writerOf(this).behind(callback);
    const isPlain = typeof message === 'string' || isUint8Array(message);
    const isClosed = this.destroyed || this.writableEnded;
    if (!isPlain || (!isClosed && this[kWriter]?.isWaiting())) {
      if (message !== undefined && message !== null) this.write(message, encoding);
      // Writable takes anything but a function for a chunk; as its third argument, it ignores it.
      return super.end(undefined, undefined, life.endCallback(this, callback));
    }
    if (!isClosed) {
      // Before it is counted.
      if (encoding) checkEncoding(encoding);
      this[kState].bytesWritten += bytesIn(message, encoding);
      writerOf(this).given++;
    }
    return super.end(message, encoding, callback);
  }

  _write(chunk, encoding, callback) {
    const writer = writerOf(this);
    if (writer.given > 0) writer.given--;
    else [chunk, callback] = writer.admit(chunk, encoding, callback);
    writer.start([{ chunk, encoding }], callback);
  }

  _writev(entries, callback) {
    const writer = writerOf(this);
    // Others may have called Writable's own write().
    writer.given = Math.max(writer.given - entries.length, 0);
    writer.start(entries, callback);
  }

  _final(callback) {
    const done = life.noteFinal(this[kState], callback);
    if (this.pending) writerOf(this).holdFinal(done);
    else finish(this, this[kWriter], done);
  }

  [kCancelWrites](error) {
    this[kWriter]?.cancel(error);
  }

  [kAbandonWrites]() {
    this[kWriter]?.abandon();
  }

  [kClosed]() {
    return this[kWriter];
  }

  [kWritten](status) {
    this[kWriter]?.settle(status);
  }

  [kMakeError](errno, syscall, path) {
    return streamError(errno, syscall, path);
  }

  get [kReceived]() {
    return 'read';
  }

  [kReset]() {
    this[kReader] = null;
    this[kWriter] = null;
  }

  [kEmitConnect]() {
    const state = this[kState];
    const { connectCallback, plan } = state;
    state.connectCallback = undefined;
    try {
      connectCallback?.call(this);
      const hears = plan.emitsConnected && this.listenerCount('connected') > 0;
      if (hears) this.emit('connected');
      // What sets this, as dbus-next does, listens to both and would shake hands twice.
      if (!hears || !Object.prototype.hasOwnProperty.call(this, 'supportsUnixFd')) {
        this.emit('connect');
      }
    } finally {
      // What was written meanwhile goes now at the latest, or fails where a listener has destroyed the socket.
      this[kWriter]?.goOn();
      this[kWriter]?.goToEnd();
    }
    this.emit('ready');
  }

  [kPrepare]() {
    const { onread } = this[kState].plan;
    if (onread !== null) readerOf(this).receiveInto(onread);
  }

  [kDeliver](data, flags, words, at) {
    try {
      if (flags & flag.FDS) readerOf(this).add(data, flags, words, at);
    } finally {
      // Not where a listener closed the socket; but an exception of a listener costs no bytes.
      if (!this.destroyed) {
        if ((flags & flag.INTO) === 0) deliver(this, data);
        else if (!this[kReader].deliver(lengthAt(words, at))) life.stopReading(this);
      }
    }
  }

  /**
   * As in Readable. With `fdCount`: bytes and descriptors at once, or null if there are not enough of either. Of a
   * connection that was reset: what is left.
   *
   * @param {number | null} [size] - bytes; null: what there is
   * @param {number | null} [fdCount] - descriptors; null: those of messages that are read to their
   *   end now, or all with a `size` of 0
   * @returns {Buffer | { data: Buffer | null, fds: number[] } | null} descriptors are yours to close
   */
  read(size, fdCount) {
    const reader = this[kReader];
    if (reader !== null && reader.onread !== null) life.resumeReading(this);
    const { fdsWithData } = this[kState].plan;
    if (fdCount === undefined) return super.read(fdsWithData ? readerOf(this).limit(size) : size);
    if (fdsWithData) throw withData('read(size, fdCount)');
    if (fdCount !== null) check.integer(fdCount, 'fdCount');
    if (this[kId] === 0) reader?.forget();
    const waiting = reader === null ? 0 : reader.fds;
    // Those that are missing do not come any more.
    if (fdCount > waiting && this[kState].failure !== null) fdCount = waiting;
    const isMissing = fdCount !== null && waiting < fdCount;
    const data = super.read(isMissing ? 0 : (size ?? undefined));
    if (isMissing || (data === null && size > 0)) return null;
    const count = fdCount ?? (data === null ? waiting : fdsRead(this));
    if (data === null && count === 0) return null;
    return { data, fds: count === 0 ? [] : reader.take(count) };
  }

  /**
   * Puts bytes back, and descriptors: to be read again before the others.
   *
   * @param {Buffer | string | null} chunk
   * @param {number[] | string} [fds] - are the socket's again; or the encoding of a string
   * @throws {Error} EBADF, EEXIST (a socket has it), ENOBUFS (more than `maxPendingFds`)
   */
  unshift(chunk, fds) {
    // Readable takes null for the end; here it stands for no bytes.
    if (fds === undefined || typeof fds === 'string') return super.unshift(chunk, fds);
    // As many as read() may have given: those of several messages.
    const numbers = descriptorsOf(fds, 'fds', Infinity);
    if (numbers.length > 0) {
      const result = this[kId] > 0 ? binding.putBackFds(this[kId], numbers) : -ENOTCONN;
      if (result < 0) throw streamError(result, 'unshift');
      readerOf(this).putBack(numbers.length);
    }
    return chunk === null || chunk === undefined ? this.readableLength > 0 : super.unshift(chunk);
  }

  /** As in Readable. A listener for `'fds'` gets what waits already in the next tick. */
  on(event, listener) {
    super.on(event, listener);
    if (event === 'fds' && this[kReader]?.fds > 0) nextTick(emitFds, this, this[kReader]);
    else if (event === 'data' && isOfWrap(listener)) leaveToWrap(this);
    return this;
  }

  /** The same as on(). */
  addListener(event, listener) {
    return this.on(event, listener);
  }

  /** As in Readable. */
  pipe(destination, options) {
    super.pipe(destination, options);
    // Node 26.12 writes past 'data', with which chunks get their descriptors.
    const { plan } = this[kState];
    if (plan.fdsWithData && this._readableState.pipeOnData) this._readableState.pipeOnData = null;
    return destination;
  }

  /** As in Readable; with `onread`, receives no more until resume(). */
  pause() {
    const state = this[kState];
    if (state.plan.onread !== null) {
      // Also a read that waits for the connection.
      state.wantsData = false;
      if (state.reading) life.stopReading(this);
    }
    return super.pause();
  }

  /** As in Readable. */
  resume() {
    if (this[kReader]?.onread) life.resumeReading(this);
    return super.resume();
  }

  /** As net.Socket has it, for libraries that look: null on a closed socket. */
  get _handle() {
    if (!(this[kId] > 0)) return null;
    const state = this[kState];
    return (state.handleView ??= new HandleView(this));
  }

  /** The name of the peer; undefined if it has none, as in net, and while there is no peer. */
  get remoteAddress() {
    return super.remoteAddress || undefined;
  }

  /** Bytes that wait to be sent, as net.Socket still has it; undefined while there is no connection. */
  get bufferSize() {
    return this[kId] > 0 ? this.writableLength : undefined;
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
   * Keeps the value and does no more: no IP packet leaves a Unix socket.
   *
   * @param {number} tos - from 0 to 255
   * @returns {this}
   * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  setTypeOfService(tos) {
    if (Number.isNaN(tos)) throw invalidType('tos', 'of type number', tos);
    this[kTypeOfService] = check.integer(tos, 'tos', 0, 255);
    return this;
  }

  /** What setTypeOfService() was given, or 0. */
  getTypeOfService() {
    return this[kTypeOfService] ?? 0;
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

/** What dbus libraries ask for; those that negotiate set it. */
USocket.prototype.supportsUnixFd = true;

function emitConnectOf(socket, state) {
  if (!life.isOver(socket, state)) socket[kEmitConnect]();
}

function readerOf(socket) {
  return (socket[kReader] ??= new StreamReader(socket));
}

function writerOf(socket) {
  return (socket[kWriter] ??= new StreamWriter(socket));
}

function emitDrain(socket) {
  Duplex.prototype.emit.call(socket, 'drain');
}

function emitFds(socket, reader) {
  if (socket[kReader] === reader) reader.emit();
}

/** How many descriptors came with bytes that have been read. */
function fdsRead(socket) {
  const reader = socket[kReader];
  if (reader === null) return 0;
  // Characters are not bytes.
  if (socket.readableEncoding !== null) return reader.fds;
  return reader.countBefore(socket[kState].bytesRead - socket.readableLength);
}

/** connect()'s: it comes ahead of all listeners, but behind an end that is older, as in net. */
function noteCallback(socket, callback) {
  if (callback && socket[kWriter]?.final) socket.once('connect', callback);
  else socket[kState].connectCallback = callback;
}

module.exports = { USocket };
