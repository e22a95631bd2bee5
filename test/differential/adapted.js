'use strict';

// Owns net with those differences of docs/moving.md that are a matter of time, so that what follows from them in a
// program can be compared as well: connections that wait are accepted in one turn (as libuv did before 1.45), they are
// read after 'connection' and not before, 'close' comes with setImmediate(), the callback of connect() is called before
// all listeners, pause() holds before there is a connection with `onread`, too, what nobody has read is dropped by the
// next connect(), and http reads a socket as any other stream.

const net = require('node:net');
const os = require('node:os');
const { Duplex } = require('node:stream');
const raw = require('./raw.js');

// net itself makes its handles of these.
const { Pipe, constants } = process.binding('pipe_wrap');
const { ShutdownWrap, kArrayBufferOffset, kReadBytesOrError, streamBaseState } =
  process.binding('stream_wrap');

/** What libuv reads at once. */
const CHUNK = 65536;
/** Connections that are accepted before the first of them is handed over. */
const AT_ONCE = 16;
const UV_EOF = -4095;
const UV_ENOTCONN = -os.constants.errno.ENOTCONN;

/** `close()` calls back with setImmediate(), and not when libuv has closed the handle. */
function closeLater(handle) {
  const { close } = handle;
  handle.close = (callback) => {
    if (callback) setImmediate(callback);
    return close.call(handle, callback && (() => {}));
  };
}

/** A socket that is connected again has nothing of its last connection. */
function dropUnread(socket) {
  const readable = socket._readableState;
  // Without an event.
  readable.closeEmitted = true;
  readable.ended = false;
  while (readable.length > 0) Duplex.prototype.read.call(socket);
  readable.decoder?.end();
}

/** Hands over what has been received, or undefined for the end, as libuv does. */
function receive(handle, bytes) {
  streamBaseState[kReadBytesOrError] = bytes === undefined ? UV_EOF : bytes.length;
  streamBaseState[kArrayBufferOffset] = 0;
  handle.onread(bytes && new Uint8Array(bytes).buffer);
}

/** What readStart() and readStop() ask for meanwhile is done when the handlers of 'connection' have run: it is read. */
function readLater(handle) {
  let wanted = false;
  let early = 0;
  handle.readStart = () => ((wanted = true), 0);
  handle.readStop = () => ((wanted = false), 0);
  const inherited = (of) => Reflect.get(Object.getPrototypeOf(handle), of, handle);
  Object.defineProperty(handle, 'bytesRead', { get: () => inherited('bytesRead') + early });
  const goOn = () => {
    if (wanted && handle.fd >= 0) {
      const { bytes, end } = raw.receive(handle.fd, CHUNK);
      early += bytes.length;
      if (bytes.length > 0) receive(handle, bytes);
      else if (end === 'end') receive(handle);
      // The stream reads on in ticks, or takes longer.
      if (bytes.length > 0 && !timing.readsOnce) {
        process.nextTick(queueMicrotask, goOn);
        return;
      }
    }
    delete handle.readStart;
    delete handle.readStop;
    if (wanted && handle.fd >= 0) handle.readStart();
  };
  process.nextTick(queueMicrotask, goOn);
}

/** Reading goes on in the next turn, or one after that. */
function readTurnLater(handle, turns = 1) {
  if (handle.fd < 0 || Object.hasOwn(handle, 'readStart')) return;
  let wanted = handle.reading;
  handle.readStop();
  handle.readStart = () => ((wanted = true), 0);
  handle.readStop = () => ((wanted = false), 0);
  const goOn = () => {
    if (--turns > 0) {
      setImmediate(goOn);
      return;
    }
    delete handle.readStart;
    delete handle.readStop;
    if (wanted && handle.fd >= 0) handle.readStart();
  };
  setImmediate(goOn);
}

/** Calls back just before the loop polls, or just after: as libuv does for any other socket that is shut down. */
function reportSoon(callback) {
  const [fd, other] = raw.pair();
  raw.close(other);
  const pipe = new Pipe(constants.SOCKET);
  pipe.open(fd);
  const request = new ShutdownWrap();
  request.oncomplete = () => {
    pipe.close();
    callback();
  };
  pipe.shutdown(request);
}

/**
 * The end that the kernel reports with the last bytes is read in the turn after these, and 'finish' does not come in the
 * same event: libuv has short cuts for a peer that has closed, and none for one that has ended.
 */
function endLater(handle) {
  const { onread } = handle;
  const onlyBytes = (buffer) => {
    const next = onread.call(handle, buffer);
    readTurnLater(handle);
    return next;
  };
  handle.onread = onlyBytes;
  let isShut = false;
  handle.shutdown = (request) => {
    if (isShut) return UV_ENOTCONN;
    isShut = true;
    raw.shutdown(handle.fd, 'write');
    reportSoon(() => {
      if (handle.fd >= 0) request.oncomplete(0);
    });
    return 0;
  };
}

function adaptConnection(handle) {
  closeLater(handle);
  readLater(handle);
  // What http looks at before it reads the handle itself.
  handle._consumed = true;
}

/** Another connection that waits, or null. */
function acceptNext(listener) {
  const fd = listener.fd >= 0 ? raw.accept(listener.fd) : null;
  if (fd === null) return null;
  const handle = new Pipe(constants.SOCKET);
  handle.open(fd);
  return handle;
}

function acceptAll(listener) {
  const { onconnection } = listener;
  listener.onconnection = function (error, first) {
    if (error) {
      onconnection.call(this, error, first);
      return;
    }
    const handles = [];
    for (let handle = first; handle !== null && handles.length < AT_ONCE;) {
      handles.push(handle);
      handle = acceptNext(this);
    }
    for (const handle of handles) {
      // The server was closed by a handler.
      if (this.fd < 0) {
        handle.close();
        continue;
      }
      adaptConnection(handle);
      onconnection.call(this, error, handle);
      // Not where it was dropped.
      if (timing.endsLater && handle.onread) endLater(handle);
    }
  };
}

/** The method of a handle, for which a failure is reported as ever. */
function connectLater(connect) {
  return function (request, ...values) {
    const { oncomplete } = request;
    request.oncomplete = (...outcome) => {
      if (outcome[0] < 0) oncomplete.apply(request, outcome);
      else reportSoon(() => oncomplete.apply(request, outcome));
    };
    return connect.call(this, request, ...values);
  };
}

/** Adapts a handle once. */
function once(handle, adapt) {
  if (!handle || Object.hasOwn(handle, 'isAdapted')) return;
  handle.isAdapted = true;
  adapt(handle);
}

/**
 * `endsLater`: see endLater(); `connectsLater`: 'connect' comes behind all that the loop's poll brings; `readsLater`: which
 * of two sockets that are ready is first is up to the kernel: the one that was accepted. `readsOnce`: what a connection is
 * read for when it is accepted is one chunk, and the next waits for the loop's poll.
 */
let timing = { endsLater: false, connectsLater: false, readsLater: false, readsOnce: false };

class Server extends net.Server {
  listen(...values) {
    super.listen(...values);
    once(this._handle, acceptAll);
    return this;
  }
}

class Socket extends net.Socket {
  #intoMemory;
  #life = 0;
  #isReadWaiting = false;

  constructor(options) {
    super(options);
    this.#intoMemory = options?.onread !== undefined;
  }

  /** A read that waits for the connection does so until pause(). */
  _read(size) {
    if (!this.#intoMemory || (this._handle && !this.connecting)) {
      super._read(size);
      return;
    }
    this.#isReadWaiting = true;
    this.once('connect', () => {
      if (this.#isReadWaiting) super._read(size);
    });
  }

  pause() {
    this.#isReadWaiting = false;
    return super.pause();
  }

  /** Destroys that connection, and not one that the socket has later. */
  destroySoon() {
    const life = this.#life;
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => life === this.#life && this.destroy());
  }

  /** The callback is called before all listeners of 'connect'. */
  connect(...values) {
    if (this.destroyed) {
      this.#life++;
      dropUnread(this);
    }
    const callback = typeof values.at(-1) === 'function' ? values.pop() : undefined;
    const { prototype } = Pipe;
    const { connect } = prototype;
    if (timing.connectsLater) prototype.connect = connectLater(connect);
    try {
      super.connect(...values);
    } finally {
      prototype.connect = connect;
    }
    if (callback) this.prependOnceListener('connect', callback);
    once(this._handle, (handle) => {
      closeLater(handle);
      if (timing.readsLater) this.once('ready', () => readTurnLater(handle, 2));
      if (timing.endsLater) endLater(handle);
    });
    return this;
  }
}

/** The classes for one run. */
function adapted(wanted) {
  timing = wanted;
  return { Server, Socket };
}

module.exports = { adapted };
