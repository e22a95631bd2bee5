// Owns: DgramSocket, SOCK_DGRAM Unix sockets.
'use strict';

const { Buffer } = require('buffer');
const { EventEmitter } = require('events');
const { constants } = require('os');
const { isUint8Array } = require('util').types;
const binding = require('../native/binding');
const { descriptorOf, descriptorsOf, messageParts } = require('../native/fds');
const { demand } = require('../native/results');
const sockets = require('../native/sockets');
const { publishBind, publishClose } = require('../util/diagnostics');
const { codedError, systemError } = require('../util/errors');
const { nextTick } = require('../util/host');
const check = require('../util/validate');
const { PEER } = require('./destinations');
const { kSetReading, messagesOf } = require('./dgram-iterator');
const { decodePath, receive, takeUnread } = require('./dgram-receive');
const { notePeer, submit } = require('./dgram-send');
const { DgramPlan, DgramState } = require('./dgram-state');
const members = require('./members');
const { MessageWriter, kSendError } = require('./message-writer');
const { demandFile } = require('./options');
const { makePair } = require('./pair');

const { closeId, detachId, kError, kEnd, kId, kMessage, kSenderName, kSettled } = sockets;
const { kState, kWriter, setBufferSize } = members;
const { SOCK_DGRAM } = binding;

const { EBUSY, ENOTCONN } = constants.errno;

/**
 * A Unix datagram socket. Messages arrive whole and one at a time; nothing is ever cut.
 *
 * Events: `'data'(buffer, path, { fds, credentials })`, `'message'(buffer, { address, path, size, fds,
 * credentials })`, `'listening'`, `'connect'`, `'drain'`, `'error'(error)`, `'close'`. See unix(7).
 */
class DgramSocket extends EventEmitter {
  /**
   * @param {object} [options] - dgram.d.ts describes its properties
   * @throws {Error} EMFILE and other errors of socket(2); EBADF, ENOTSOCK, EAFNOSUPPORT,
   *   EPROTOTYPE, EEXIST for an unsuitable `fd`, which then stays open and yours
   */
  constructor(options) {
    super();
    // node-unix-socket ignores what it does not know.
    const given = options instanceof DgramPlan || !check.isOptions(options) ? {} : options;
    const checked = check.optionsObject(given);
    const plan = options instanceof DgramPlan ? options : new DgramPlan(checked);
    this[kId] = 0;
    this[kState] = new DgramState(plan);
    this[kWriter] = new MessageWriter(this, plan.writableHighWaterMark, plan.maxWaitingFds);
    // Until a sender has a name, the unnamed one is the sender.
    this[kSenderName] = null;
    open(this, plan, checked.fd);
  }

  /**
   * Two sockets connected to each other, socketpair(2).
   *
   * @param {object} [options] - for both, as for the constructor, except `fd`
   * @returns {[DgramSocket, DgramSocket]}
   */
  static pair(options) {
    return makePair(DgramSocket, new DgramPlan(check.optionsObject(options)));
  }

  /**
   * Binds and starts to receive, bind(2). Synchronous; `'listening'` follows in the next tick.
   *
   * @param {string | Buffer | URL | object} [path] - or the options with a `path`
   * @param {object} [options] - dgram.d.ts describes them
   * @param {() => void} [callback] - on `'listening'`
   * @throws {Error} of bind(2); ERR_SOCKET_ALREADY_BOUND; ERR_SOCKET_DGRAM_NOT_RUNNING
   */
  bind(path, options, callback) {
    if (typeof path === 'function') [path, options, callback] = [undefined, undefined, path];
    if (typeof options === 'function') [options, callback] = [undefined, options];
    if (check.isOptions(path)) [path, options] = [check.optionsObject(path).path, path];
    check.optionalCallback(callback);
    const { mode, uid, gid, unlinkOnClose } = check.optionsObject(options);
    const unlink = check.optionalBoolean(unlinkOnClose, 'options.unlinkOnClose', true);
    const name = path === undefined || path === null ? new Uint8Array() : check.pathBytes(path);
    const numbers = [
      check.optionalNumber(mode, 'options.mode', 0o7777),
      check.optionalNumber(uid, 'options.uid', check.MAX_INT),
      check.optionalNumber(gid, 'options.gid', check.MAX_INT),
    ];
    demandFile(name, { mode, uid, gid });
    const id = running(this);
    const state = this[kState];
    if (state.isBound && !state.isDeaf) {
      throw codedError(Error, 'ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound');
    }
    if (!state.isBound) demand(binding.bind(id, name, ...numbers, +unlink), 'bind', path);
    state.isBound = true;
    // A name cannot be given back: the next bind() goes on here.
    state.isDeaf = true;
    demand(binding.setReading(id, 1), 'epoll_ctl');
    state.isDeaf = false;
    publishBind(this, path);
    if (callback) this.once('listening', callback);
    nextTick(emitIfOpen, this, 'listening');
    return this;
  }

  /**
   * Sets the peer, connect(2): messages go to it with send(), and come from it alone. Synchronous;
   * `'connect'` follows in the next tick. Messages queued for the peer before still go there, ahead of what is sent after
   * a connect() to that one once more. If the peer's receiver is closed and another takes its name, the next send()
   * finds that one, after one error.
   *
   * @param {string | Buffer | URL} path
   * @param {(error?: Error) => void} [callback] - gets an error that would otherwise be thrown
   * @returns {this}
   * @throws {Error} ENOENT, EPERM (the peer is connected to another), EPROTOTYPE …
   */
  connect(path, callback) {
    const name = check.addressBytes(path);
    check.optionalCallback(callback);
    const fail = (status, syscall) => {
      const error = systemError(status, syscall, path);
      if (!callback) throw error;
      this[kWriter].reject(callback, error);
      return this;
    };
    const id = running(this);
    const lost = binding.connect(id, name);
    if (typeof lost === 'number') return fail(lost, 'connect');
    const state = this[kState];
    this[kWriter].changePeer(lost, state.peer, name);
    state.isConnected = true;
    state.peer = Buffer.from(name);
    state.isPeerGone = false;
    const reading = binding.setReading(id, 1);
    if (reading < 0) return fail(reading, 'epoll_ctl');
    if (callback) this.once('connect', callback);
    nextTick(emitIfOpen, this, 'connect');
    return this;
  }

  /**
   * Dissolves the connection: the socket receives from everybody again.
   *
   * @returns {this}
   * @throws {Error} ERR_SOCKET_DGRAM_NOT_CONNECTED
   */
  disconnect() {
    const id = running(this);
    const state = this[kState];
    if (!state.isConnected) {
      throw codedError(Error, 'ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected');
    }
    this[kWriter].changePeer(demand(binding.disconnect(id), 'connect'), state.peer, null);
    state.isConnected = false;
    state.peer = null;
    state.isPeerGone = false;
    if (!state.isBound) demand(binding.setReading(id, 0), 'epoll_ctl');
    return this;
  }

  /**
   * Sends one message to `destPath`. Sent at once if there is room; else it waits, in order with
   * the others for that destination and without delaying any other.
   *
   * sendTo(buffer, offset, length, destPath[, callback])
   * sendTo(message | { data, fds }, destPath[, { fds }][, callback])
   *
   * @param {Buffer | TypedArray | DataView | string | { data, fds }} message
   * @param {(error?: Error) => void} [callback] - exactly once, never before sendTo returns.
   *   Without it a failure is an `'error'` event. ENOENT: nobody there;
   *   EMSGSIZE: larger than the send buffer allows; ECANCELED: the socket was closed.
   * @returns {boolean} false: `writableHighWaterMark` is reached, wait for `'drain'`
   */
  sendTo(message, offset, length, destPath, callback) {
    if (typeof offset !== 'number') return sendToShort(this, message, offset, length, destPath);
    const view = check.messageBytes(message, 'buffer');
    check.partLength(view, offset, length);
    check.optionalCallback(callback);
    const destination = this[kState].destinations.of(running(this), destPath, view, 'buffer');
    submit(this, destination, view, offset, length, undefined, destPath, callback);
    return this[kWriter].hasRoom();
  }

  /**
   * Sends one message to the connected peer; with a path, to that, as dgram's send() does.
   *
   * @param {Buffer | TypedArray | DataView | string | { data, fds }} message - `fds`: descriptors
   *   or objects that hold one, at most 253; yours to close as soon as send returns
   * @param {string | Buffer | URL} [path]
   * @param {(error?: Error) => void} [callback] - as for sendTo; ENOTCONN without a peer
   * @returns {boolean} as for sendTo
   */
  send(message, path, callback) {
    if (typeof path === 'number') {
      const text =
        'send(message[, path][, callback]) sends whole messages; sendTo() takes offset and length';
      throw codedError(TypeError, 'ERR_INVALID_ARG_TYPE', text);
    }
    if (path !== undefined && typeof path !== 'function') {
      check.optionalCallback(callback);
      return sendToShort(this, message, path, callback);
    }
    if (typeof path === 'function') callback = path;
    let view = message;
    let fds;
    if (isUint8Array(message)) check.messageBytes(message);
    else [view, fds] = messageParts(message);
    check.optionalCallback(callback);
    running(this);
    submit(this, PEER, view, 0, view.length, fds, undefined, callback);
    return this[kWriter].hasRoom();
  }

  /** How many messages were given up because there was no room, with `whenFull: 'fail'`. */
  get dropped() {
    return this[kState]?.dropped;
  }

  [kSendError](error) {
    this.emit('error', error);
  }

  [kSettled](outcomes) {
    const writer = this[kWriter];
    for (let index = 1; index < outcomes.length; index += 2) {
      const hasFailed = outcomes[index] < 0;
      // What others refuse says nothing of the peer.
      if (hasFailed && writer.destinationOf(outcomes[index - 1]) === PEER) {
        notePeer(this[kState], outcomes[index]);
      }
    }
    writer.settle(outcomes);
  }

  [kMessage](data, flags, words, at) {
    receive(this, data, flags, words, at);
  }

  [kError](errno) {
    this.emit('error', systemError(errno, 'recvmsg'));
  }

  /** Another owner of this socket has shut it down: no message comes any more. */
  [kEnd]() {
    this.emit('error', systemError(-ENOTCONN, 'recvmsg'));
  }

  /** SO_RCVBUF in bytes, as the kernel counts (Linux doubles what was set). */
  getRecvBufferSize() {
    return demand(binding.bufferSize(running(this), 1, -1), 'getsockopt');
  }

  /** Sets SO_RCVBUF, in bytes. */
  setRecvBufferSize(size) {
    setBufferSize(running(this), 1, size);
  }

  /** SO_SNDBUF in bytes, as the kernel counts (Linux doubles what was set). */
  getSendBufferSize() {
    return demand(binding.bufferSize(running(this), 0, -1), 'getsockopt');
  }

  /** Sets SO_SNDBUF, in bytes: what bounds a message's size. */
  setSendBufferSize(size) {
    setBufferSize(running(this), 0, size);
  }

  /** The name the socket is bound to; '' while it has none. */
  address() {
    return decodePath(demand(binding.localAddress(running(this)), 'getsockname'), this);
  }

  /** The connected peer's name ('' if it has none), undefined while there is no peer. */
  get remoteAddress() {
    const name = this[kId] > 0 ? binding.peerAddress(this[kId]) : -1;
    return typeof name === 'number' ? undefined : decodePath(name, this);
  }

  /**
   * Sends what waits, and then closes; nothing is received meanwhile, and nothing more can be sent.
   *
   * @param {() => void} [callback] - after `'close'`
   * @returns {this}
   */
  end(callback) {
    check.optionalCallback(callback);
    const state = this[kState];
    if (callback) {
      if (state.closeEmitted) nextTick(callback);
      else this.once('close', () => callback());
    }
    if (this[kId] === 0 || state.isEnding) return this;
    state.isEnding = true;
    binding.setReading(this[kId], 0);
    this[kWriter].afterLast(() => this.close());
    return this;
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
      if (state.closeEmitted) nextTick(callback);
      else this.once('close', callback);
    }
    const id = this[kId];
    if (id === 0 || !publishClose(this)) return this;
    this[kId] = 0;
    closeId(id);
    finishClosing(this);
    return this;
  }

  /**
   * Gives the descriptor up, for another process or another object; its file stays.
   *
   * @returns {{ fd: number, data: object[] | null, fds: number[] }} the descriptor; messages that were received and not
   *   emitted yet, as loops yield them, or null; and descriptors of none of these: all yours from here on
   * @throws {Error} EBUSY: messages wait to be sent; ERR_SOCKET_DGRAM_NOT_RUNNING
   */
  detach() {
    const id = running(this);
    if (this[kWriter].isWaiting()) throw systemError(-EBUSY, 'detach');
    const unread = takeUnread(this);
    const [fd, ...fds] = demand(detachId(id), 'detach');
    this[kId] = 0;
    finishClosing(this);
    return { fd, data: unread.length > 0 ? unread : null, fds };
  }

  /** end(), as a promise of `'close'`. */
  [Symbol.asyncDispose]() {
    return new Promise((resolve) => {
      this.end(resolve);
    });
  }

  /**
   * Messages as `{ data, path, fds, credentials }`, until the socket is closed; throws what would
   * be an `'error'` event. While the loop body is busy the kernel holds the sender back. Breaking
   * off leaves the socket open.
   */
  [Symbol.asyncIterator]() {
    return messagesOf(this);
  }

  /** Receives, where the socket can, or not. */
  [kSetReading](on) {
    const { isBound, isConnected, isEnding } = this[kState];
    if (this[kId] === 0 || isEnding || !(isBound || isConnected)) return;
    binding.setReading(this[kId], on);
  }
}

members.shareSocketMembers(DgramSocket);
members.shareMessageMembers(DgramSocket);

/** Makes, takes over or adopts the descriptor. */
function open(socket, plan, fd) {
  const state = socket[kState];
  const isAdopted = fd !== undefined;
  let id = plan.id;
  if (isAdopted) {
    const number = descriptorOf(fd, 'options.fd');
    id = demand(binding.adopt(sockets.loading, SOCK_DGRAM, number), 'adopt');
  } else if (id === 0) {
    id = demand(binding.create(sockets.loading, SOCK_DGRAM), 'socket');
  } else {
    state.isConnected = true;
  }
  try {
    // The ends of a pair are configured already.
    if (!plan.isUsual && plan.id === 0) plan.configure(id);
    if (isAdopted) {
      state.isBound = demand(binding.localAddress(id), 'getsockname').length > 0;
      state.isConnected = hasPeer(id);
    }
    socket[kId] = id;
    sockets.own(id, socket);
    if (state.isBound || state.isConnected) demand(binding.setReading(id, 1), 'epoll_ctl');
    if (plan.signal) state.stopListening = check.onAbort(plan.signal, () => socket.close());
  } catch (error) {
    socket[kId] = 0;
    sockets.giveUpId(id, isAdopted);
    throw error;
  }
}

/** Whether a socket is connected. One that cannot be asked would be taken for idle, and never read from. */
function hasPeer(id) {
  const name = binding.peerAddress(id);
  return name !== -ENOTCONN && Boolean(demand(name, 'getpeername'));
}

/** The id, unless the socket is closed, or about to be. */
function running(socket) {
  if (socket[kId] > 0 && !socket[kState].isEnding) return socket[kId];
  throw codedError(Error, 'ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running');
}

function finishClosing(socket) {
  const state = socket[kState];
  state.stopListening?.();
  socket[kWriter].close();
  socket[kWriter].afterCallbacks(() => {
    state.closeEmitted = true;
    socket.emit('close');
  });
}

/** sendTo(message, destPath[, { fds }][, callback]) */
function sendToShort(socket, message, destPath, options, callback) {
  if (typeof options === 'function') [options, callback] = [undefined, options];
  // No copy of options that are not there. They are asked first: their code might detach the buffer.
  const fds = options === undefined ? undefined : check.optionsObject(options).fds;
  let numbers = fds === undefined ? undefined : descriptorsOf(fds, 'options.fds');
  let view = message;
  if (isUint8Array(message)) {
    check.messageBytes(message);
  } else {
    const [bytes, own] = messageParts(message);
    view = bytes;
    numbers ??= own;
  }
  check.optionalCallback(callback);
  const destination = socket[kState].destinations.of(running(socket), destPath, view, 'message');
  submit(socket, destination, view, 0, view.length, numbers, destPath, callback);
  return socket[kWriter].hasRoom();
}

function emitIfOpen(socket, event) {
  if (socket[kId] > 0) socket.emit(event);
}

module.exports = { DgramSocket };
