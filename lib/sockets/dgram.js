// Owns: DgramSocket, SOCK_DGRAM Unix sockets.
'use strict';

const { Buffer } = require('buffer');
const { EventEmitter } = require('events');
const { constants } = require('os');
const { isUint8Array } = require('util').types;
const { codedError, invalidValue, systemError } = require('../util/errors');
const { tellBind, tellClose } = require('../util/diagnostics');
const { NO_FDS, closeFd, descriptorOf, descriptorsOf, messageParts } = require('../native/fds');
const handles = require('../native/sockets');
const { Lanes, PEER } = require('./destinations');
const { kOutbox, kState, shareMembers, shareOutboxMembers } = require('./members');
const { configure, socketOptions } = require('./options');
const { Outbox } = require('./message-writer');
const { kAdoptHandle, makePair } = require('./pair');
const check = require('../util/validate');

const { Endpoint, SOCK_DGRAM, demand, flag, kError, kHandle, kMessage, kSenderName, kSettled } =
  handles;

/** Messages an iterator holds before it stops the socket from reading more. */
const ITERATOR_HIGH_WATER_MARK = 64;
const ENOBUFS = -constants.errno.ENOBUFS;

const BIND_STATE_UNBOUND = 0;
const BIND_STATE_BOUND = 1;
const CONNECT_STATE_DISCONNECTED = 0;
const CONNECT_STATE_CONNECTED = 1;

const kSenderPath = Symbol('kSenderPath');
const kOpenHandle = Symbol('kOpenHandle');

/** What makes a message an `'error'` event. */
const BAD_MESSAGE = flag.TRUNCATED | handles.FDS_MISSING;

const NO_MESSAGE_INFO = Object.freeze({ fds: NO_FDS, credentials: undefined });

/**
 * A Unix datagram socket. Messages arrive whole and one at a time; nothing is ever cut.
 *
 * Events: `'data'(buffer, path, { fds, credentials })`, `'listening'`, `'connect'`, `'drain'`,
 * `'error'(error)`, `'close'`. See unix(7).
 */
class DgramSocket extends EventEmitter {
  /**
   * @param {object} [options]
   * @param {number | object} [options.fd] - adopt this open Unix datagram socket
   * @param {boolean} [options.receiveFds=false] - receive descriptors that come with messages
   * @param {boolean} [options.credentials=false] - receive the sender's credentials (Linux)
   * @param {number} [options.maxPendingFds=1024] - descriptors that may wait to be taken
   * @param {number} [options.receiveBufferSize] - SO_RCVBUF, in bytes
   * @param {number} [options.sendBufferSize] - SO_SNDBUF, in bytes
   * @param {number} [options.writableHighWaterMark=65536] - bytes queued before send() is false
   * @param {'utf8' | 'buffer'} [options.pathEncoding='utf8'] - how paths of senders are given
   * @param {AbortSignal} [options.signal] - closes the socket
   * @throws {Error} EMFILE and other errors of socket(2); EBADF, ENOTSOCK, EAFNOSUPPORT,
   *   EPROTOTYPE, EEXIST for an unsuitable `fd`, which then stays open and yours
   */
  constructor(options) {
    super();
    options = check.optionsObject(options);
    this[kHandle] = null;
    this[kState] = {
      bindState: BIND_STATE_UNBOUND,
      connectState: CONNECT_STATE_DISCONNECTED,
      closeEmitted: false,
      referenced: true,
      pathsAsBuffers: pathsAsBuffers(options.pathEncoding),
      lanes: new Lanes(),
      stopListening: null,
    };
    this[kOutbox] = new Outbox(this, options.writableHighWaterMark, (error) => {
      this.emit('error', error);
    });
    // Until a sender has a name, the unnamed one is the sender.
    this[kSenderName] = null;
    this[kSenderPath] = this[kState].pathsAsBuffers ? Buffer.alloc(0) : '';
    const signal = check.optionalSignal(options.signal);
    this[kOpenHandle](options, options[kAdoptHandle]);
    if (signal) this[kState].stopListening = check.onAbort(signal, () => this.close());
  }

  /** Makes or adopts the descriptor. */
  [kOpenHandle](options, handle = new Endpoint(SOCK_DGRAM)) {
    const checked = socketOptions(options);
    const adopted = options.fd === undefined ? -1 : descriptorOf(options.fd, 'options.fd');
    if (adopted >= 0) demand(handle.adopt(adopted), 'adopt');
    else if (handle.fd() < 0) demand(handle.create(), 'socket');
    try {
      configure(handle, checked);
    } catch (error) {
      handle.close();
      throw error;
    }
    handle.owner = this;
    this[kHandle] = handle;
    if (adopted >= 0) this[kState].bindState = bindStateOf(handle);
    if (typeof handle.peerAddress() !== 'number') {
      this[kState].connectState = CONNECT_STATE_CONNECTED;
    }
    if (isReceiving(this[kState])) demand(handle.setReading(1), 'epoll_ctl');
  }

  /**
   * Two sockets connected to each other, socketpair(2).
   *
   * @param {object} [options] - for both, as for the constructor, except `fd`
   * @returns {[DgramSocket, DgramSocket]}
   */
  static pair(options) {
    return makePair(DgramSocket, SOCK_DGRAM, options);
  }

  /**
   * Binds and starts to receive, bind(2). Synchronous; `'listening'` follows in the next tick.
   *
   * A dead socket file at `path` is replaced; a living one and any other file give EADDRINUSE.
   * Without a path the kernel chooses an abstract name (Linux).
   *
   * @param {string | Buffer | URL | { path?: string | Buffer | URL, mode?: number }} [path]
   * @param {{ mode?: number }} [options] - `mode`: permissions of the file, exactly
   * @returns {this}
   * @throws {Error} of bind(2); ERR_SOCKET_ALREADY_BOUND; ERR_SOCKET_DGRAM_NOT_RUNNING
   */
  bind(path, options) {
    if (check.isOptions(path)) [path, options] = [path.path, path];
    const { mode } = check.optionsObject(options);
    const name = path === undefined || path === null ? new Uint8Array() : check.pathBytes(path);
    const bits = mode === undefined ? -1 : check.integer(mode, 'options.mode', 0, 0o7777);
    const handle = running(this);
    if (this[kState].bindState === BIND_STATE_BOUND) {
      throw codedError(Error, 'ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    }
    demand(handle.bind(name, bits), 'bind', path);
    this[kState].bindState = BIND_STATE_BOUND;
    demand(handle.setReading(1), 'epoll_ctl');
    tellBind(this, path);
    process.nextTick(emitIfOpen, this, 'listening');
    return this;
  }

  /**
   * Sets the peer, connect(2): messages go to it with send(), and come from it alone. Synchronous;
   * `'connect'` follows in the next tick. Messages queued for the peer before still go there.
   *
   * @param {string | Buffer | URL} path
   * @param {(error?: Error) => void} [callback] - gets an error that would otherwise be thrown
   * @returns {this}
   * @throws {Error} ECONNREFUSED, ENOENT, EPERM (the peer is connected to another), EPROTOTYPE …
   */
  connect(path, callback) {
    const name = check.pathBytes(path);
    check.optionalCallback(callback);
    const fail = (status, syscall) => {
      const error = systemError(status, syscall, path);
      if (!callback) throw error;
      this[kOutbox].reject(callback, error);
      return this;
    };
    const lost = running(this).connect(name);
    if (typeof lost === 'number') return fail(lost, 'connect');
    this[kOutbox].cancel(lost);
    this[kState].connectState = CONNECT_STATE_CONNECTED;
    const reading = this[kHandle].setReading(1);
    if (reading < 0) return fail(reading, 'epoll_ctl');
    if (callback) this.once('connect', callback);
    process.nextTick(emitIfOpen, this, 'connect');
    return this;
  }

  /**
   * Dissolves the connection: the socket receives from everybody again.
   *
   * @returns {this}
   * @throws {Error} ERR_SOCKET_DGRAM_NOT_CONNECTED
   */
  disconnect() {
    const handle = running(this);
    if (this[kState].connectState !== CONNECT_STATE_CONNECTED) {
      throw codedError(Error, 'ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    }
    this[kOutbox].cancel(demand(handle.disconnect(), 'connect'));
    this[kState].connectState = CONNECT_STATE_DISCONNECTED;
    if (!isReceiving(this[kState])) demand(handle.setReading(0), 'epoll_ctl');
    return this;
  }

  /**
   * Sends one message to `destPath`. Sent at once if there is room; else it waits, in order with
   * the others for that destination and without delaying any other destination.
   *
   * sendTo(buffer, offset, length, destPath[, callback])
   * sendTo(message, destPath[, { fds }][, callback])
   *
   * @param {Buffer | TypedArray | DataView | string} message
   * @param {(error?: Error) => void} [callback] - exactly once, never before sendTo returns.
   *   Without it a failure is an `'error'` event. ECONNREFUSED, ENOENT: nobody there;
   *   EMSGSIZE: larger than the send buffer allows; ECANCELED: the socket was closed.
   * @returns {boolean} false: `writableHighWaterMark` is reached, wait for `'drain'`
   */
  sendTo(message, offset, length, destPath, callback) {
    if (typeof offset !== 'number') return sendToShort(this, message, offset, length, destPath);
    const view = check.messageBytes(message, 'buffer');
    check.partLength(view, offset, length);
    check.optionalCallback(callback);
    const outbox = this[kOutbox];
    const handle = running(this);
    const lane = this[kState].lanes.of(handle, destPath);
    outbox.send(handle, lane, view, offset, length, undefined, destPath, callback);
    return outbox.hasRoom();
  }

  /**
   * Sends one message to the connected peer.
   *
   * @param {Buffer | TypedArray | DataView | string | { data, fds }} message - `fds`: descriptors
   *   or objects that hold one, at most 253; yours to close as soon as send returns
   * @param {(error?: Error) => void} [callback] - as for sendTo; ENOTCONN without a peer
   * @returns {boolean} as for sendTo
   */
  send(message, callback) {
    const [view, fds] = isUint8Array(message) ? [message, undefined] : messageParts(message);
    check.optionalCallback(callback);
    const outbox = this[kOutbox];
    outbox.send(running(this), PEER, view, 0, view.byteLength, fds, undefined, callback);
    return outbox.hasRoom();
  }

  [kSettled](ticket, status) {
    this[kOutbox].settle(ticket, status);
  }

  [kMessage](data, flags, words, at) {
    if (flags & flag.NAME) this[kSenderPath] = senderPath(this);
    if ((flags & ~flag.NAME) === 0) {
      this.emit('data', data, this[kSenderPath], NO_MESSAGE_INFO);
      return;
    }
    const credentials = flags & flag.CREDENTIALS ? handles.credentialsAt(words, at) : undefined;
    // What nobody will take stays with native code, which closes it in any case.
    const wanted = (flags & flag.TRUNCATED) === 0 && this.listenerCount('data') > 0;
    const token = handles.fdsToken(words, at);
    let fds = NO_FDS;
    if (flags & flag.FDS && wanted) fds = this[kHandle].takeFds(token);
    else if (flags & flag.FDS) this[kHandle].dropFds(token);
    let delivered = false;
    try {
      if (flags & BAD_MESSAGE) this.emit('error', receiveError(flags, this[kSenderPath]));
    } finally {
      // Also if that throws, for want of a listener, the message itself is not lost.
      if (wanted && this[kHandle] !== null) {
        delivered = true;
        this.emit('data', data, this[kSenderPath], { fds, credentials });
      }
      if (!delivered) closeAll(fds);
    }
  }

  [kError](errno) {
    this.emit('error', systemError(errno, 'recvmsg'));
  }

  /** SO_RCVBUF in bytes, as the kernel counts (Linux doubles what was set). */
  getRecvBufferSize() {
    return demand(running(this).bufferSize(1, -1), 'getsockopt');
  }

  /** Sets SO_RCVBUF, in bytes. */
  setRecvBufferSize(size) {
    demand(
      running(this).bufferSize(1, check.integer(size, 'size', 1, check.MAX_INT)),
      'setsockopt',
    );
  }

  /** SO_SNDBUF in bytes, as the kernel counts (Linux doubles what was set). */
  getSendBufferSize() {
    return demand(running(this).bufferSize(0, -1), 'getsockopt');
  }

  /** Sets SO_SNDBUF, in bytes: what bounds a message's size. */
  setSendBufferSize(size) {
    demand(
      running(this).bufferSize(0, check.integer(size, 'size', 1, check.MAX_INT)),
      'setsockopt',
    );
  }

  /** The name the socket is bound to; '' while it has none. */
  address() {
    return decodePath(demand(running(this).localAddress(), 'getsockname'), this);
  }

  /** The connected peer's name ('' if it has none), undefined while there is no peer. */
  get remoteAddress() {
    const name = this[kHandle]?.peerAddress();
    return name === undefined || typeof name === 'number' ? undefined : decodePath(name, this);
  }

  /**
   * Closes at once: no more `'data'`; queued sends fail with ECANCELED; then `'close'`. The socket
   * file is removed if it is still the one bound here. Idempotent.
   *
   * @param {() => void} [callback] - after `'close'`
   * @returns {this}
   */
  close(callback) {
    check.optionalCallback(callback);
    const state = this[kState];
    if (callback) {
      if (state.closeEmitted) process.nextTick(callback);
      else this.once('close', callback);
    }
    const handle = this[kHandle];
    if (handle === null) return this;
    tellClose(this);
    this[kHandle] = null;
    handle.close();
    state.stopListening?.();
    this[kOutbox].close();
    this[kOutbox].afterCallbacks(() => {
      state.closeEmitted = true;
      this.emit('close');
    });
    return this;
  }

  /** close(), as a promise of `'close'`. */
  [Symbol.asyncDispose]() {
    return new Promise((resolve) => {
      this.close(resolve);
    });
  }

  /**
   * Messages as `{ data, path, fds, credentials }`, until the socket is closed; throws what would
   * be an `'error'` event. While the loop body is busy the kernel holds the sender back. Breaking
   * off leaves the socket open.
   */
  [Symbol.asyncIterator]() {
    const reader = { stopped: false, wake: () => {}, stop: () => {} };
    const messages = messagesOf(this, reader);
    abandonedIterators.register(messages, reader);
    const end = messages.return;
    // A generator's own return() would wait until the next message has come.
    messages.return = (value) => {
      reader.stopped = true;
      reader.wake();
      return end.call(messages, value);
    };
    return messages;
  }
}

shareMembers(DgramSocket);
shareOutboxMembers(DgramSocket);

/** The handle, unless the socket is closed. */
function running(socket) {
  const handle = socket[kHandle];
  if (handle !== null) return handle;
  throw codedError(Error, 'ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
}

function isReceiving({ bindState, connectState }) {
  return bindState === BIND_STATE_BOUND || connectState === CONNECT_STATE_CONNECTED;
}

function bindStateOf(handle) {
  const name = handle.localAddress();
  return typeof name !== 'number' && name.length > 0 ? BIND_STATE_BOUND : BIND_STATE_UNBOUND;
}

/** sendTo(message, destPath[, { fds }][, callback]) */
function sendToShort(socket, message, destPath, options, callback) {
  if (typeof options === 'function') [options, callback] = [undefined, options];
  const view = check.messageBytes(message);
  const { fds } = check.optionsObject(options);
  const numbers = fds === undefined ? undefined : descriptorsOf(fds, 'options.fds');
  check.optionalCallback(callback);
  const handle = running(socket);
  const lane = socket[kState].lanes.of(handle, destPath);
  const outbox = socket[kOutbox];
  outbox.send(handle, lane, view, 0, view.byteLength, numbers, destPath, callback);
  return outbox.hasRoom();
}

function pathsAsBuffers(encoding) {
  if (encoding === undefined || encoding === 'utf8') return false;
  if (encoding === 'buffer') return true;
  throw invalidValue('options.pathEncoding', encoding, "must be 'utf8' or 'buffer'");
}

function decodePath(bytes, socket) {
  return socket[kState].pathsAsBuffers ? bytes : bytes.toString();
}

function senderPath(socket) {
  return decodePath(socket[kSenderName], socket);
}

function receiveError(flags, path) {
  if (flags & flag.TRUNCATED) return systemError(ENOBUFS, 'recvmsg', path);
  return handles.descriptorError(flags);
}

function closeAll(fds) {
  for (const fd of fds) closeFd(fd);
}

function emitIfOpen(socket, event) {
  if (socket[kHandle] !== null) socket.emit(event);
}

/** An iterator that was dropped in the middle is one that was broken off. */
const abandonedIterators = new FinalizationRegistry((reader) => reader.stop());

async function* messagesOf(socket, reader) {
  const waiting = [];
  let failure = null;
  const onData = (data, path, { fds, credentials }) => {
    waiting.push({ data, path, fds, credentials });
    if (waiting.length === ITERATOR_HIGH_WATER_MARK) socket[kHandle]?.setReading(0);
    reader.wake();
  };
  const onError = (error) => {
    failure ??= error;
    reader.wake();
  };
  const onClose = () => reader.wake();
  reader.stop = () => {
    socket.off('data', onData).off('error', onError).off('close', onClose);
    for (const { fds } of waiting.splice(0)) closeAll(fds);
    if (isReceiving(socket[kState])) socket[kHandle]?.setReading(1);
  };
  socket.on('data', onData).on('error', onError).on('close', onClose);
  try {
    while (!reader.stopped) {
      if (waiting.length > 0) {
        yield waiting.shift();
        if (waiting.length === 0 && isReceiving(socket[kState])) socket[kHandle]?.setReading(1);
      } else if (failure !== null) {
        throw failure;
      } else if (socket[kHandle] === null) {
        return;
      } else {
        await new Promise((resolve) => {
          reader.wake = resolve;
        });
      }
    }
  } finally {
    reader.stop();
  }
}

module.exports = { DgramSocket };
