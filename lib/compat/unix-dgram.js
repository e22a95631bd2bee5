// Owns: createSocket('unix_dgram'), the interface of the package unix-dgram.
// Programs written for that package rely on what it does inside a call: connect() and bind() emit
// their events, and send() calls back, before they return; an 'error' nobody listens to is thrown
// by the method itself. So this is no DgramSocket, but a second class on the same engine.
'use strict';

const { Buffer } = require('buffer');
const dgram = require('dgram');
const { EventEmitter } = require('events');
const { constants } = require('os');
const binding = require('../native/binding');
const { inContext } = require('../util/callback');
const { publishBind, publishClose } = require('../util/diagnostics');
const { codedError, show, systemError } = require('../util/errors');
const { nextTick } = require('../util/host');
const sockets = require('../native/sockets');
const { Destinations } = require('../sockets/destinations');
const check = require('../util/validate');

const { closeId, flag, kEnd, kError, kId, kMessage, kSenderName, kSettled, kWritable } = sockets;
const { SOCK_DGRAM, send, trySend } = binding;
const { EAGAIN, EBADF, ECANCELED, EDESTADDRREQ, ENOBUFS, ENOTCONN } = constants.errno;

/** The code of the error that reports congestion. */
const CONGESTION = 1;
/** What may wait for full receivers, in bytes; beyond it send() fails with EAGAIN. */
const WAITING_LIMIT = 1024 * 1024;
/** What a waiting message counts for on top of its bytes. */
const WAITING_COST = 512;

const kDestinations = Symbol('kDestinations');
const kPeer = Symbol('kPeer');
const kSenderPath = Symbol('kSenderPath');
const kWaiting = Symbol('kWaiting');
const kWaitingSize = Symbol('kWaitingSize');

/** "No room", as a result of trySend(). */
const isNoRoom = (status) =>
  status === -EAGAIN || (status === -ENOBUFS && process.platform !== 'linux');

/** What the kernel answers once it has dissolved the connection with a peer that died. */
const isUnconnected = (status) => status === -ENOTCONN || status === -EDESTADDRREQ;

/** An error as that package has them: `code` is the number in `errno`. */
function packageError(errno, syscall, path) {
  const error = systemError(errno, syscall, path);
  error.code = errno;
  return error;
}

/**
 * A Unix datagram socket with the interface of unix-dgram.
 *
 * Events: `'message'(buffer, { size, address, path })`, `'listening'`, `'connect'`,
 * `'congestion'(buffer)`, `'writable'`, `'error'(error)`. See unix(7).
 */
class Socket extends EventEmitter {
  /**
   * @param {'unix_dgram'} type
   * @param {Function} [listener] - for `'message'`
   * @throws {TypeError} ERR_SOCKET_BAD_TYPE
   * @throws {Error} EMFILE and other errors of socket(2)
   */
  constructor(type, listener) {
    super();
    if (type !== 'unix_dgram') {
      const message = `Unsupported socket type: ${textOf(type)}`;
      throw codedError(TypeError, 'ERR_SOCKET_BAD_TYPE', message);
    }
    const id = binding.create(sockets.loading, SOCK_DGRAM);
    if (id < 0) throw packageError(id, 'socket');
    this.type = type;
    /** Whether connect() succeeded at some time. */
    this.connected = false;
    this[kId] = id;
    sockets.own(id, this);
    this[kDestinations] = new Destinations();
    /** The peer's name in bytes, to connect to its successor. */
    this[kPeer] = null;
    this[kSenderName] = null;
    this[kSenderPath] = null;
    /** Ticket → a message to a full receiver. Made with the first entry. */
    this[kWaiting] = null;
    this[kWaitingSize] = 0;
    if (typeof listener === 'function') this.on('message', listener);
  }

  /** The descriptor's number; -1 once closed. */
  get fd() {
    return this[kId] === 0 ? -1 : binding.fd(this[kId]);
  }

  /**
   * Binds and starts to receive, bind(2). `'listening'` or `'error'` is emitted before it returns.
   *
   * A dead socket file at `path` is replaced; a living one and any other file give EADDRINUSE.
   * Without a path the kernel chooses an abstract name (Linux).
   *
   * @param {string | Buffer | URL} [path]
   */
  bind(path) {
    const name = path === undefined || path === null ? new Uint8Array() : check.pathBytes(path);
    const id = this[kId];
    const status =
      id === 0 ? -EBADF : binding.bind(id, name, -1, -1, -1, 1) || binding.setReading(id, 1);
    if (status < 0) {
      this.emit('error', packageError(status, 'bind', path));
      return;
    }
    publishBind(this, path);
    this.emit('listening');
  }

  /**
   * Sets the peer, connect(2). `'connect'` or `'error'` is emitted before it returns.
   *
   * @param {string | Buffer | URL} path
   */
  connect(path) {
    const name = check.addressBytes(path);
    const id = this[kId];
    let status = id === 0 ? -EBADF : binding.connect(id, name);
    // Otherwise an array, of messages that lost their way: none ever waits for the peer.
    if (typeof status !== 'number') status = binding.setReading(id, 1);
    if (status < 0) {
      this.emit('error', packageError(status, 'connect', path));
      return;
    }
    this.connected = true;
    this[kPeer] = Buffer.from(name);
    this.emit('connect');
  }

  /**
   * Sends one message.
   *
   * send(buffer[, callback])                        to the connected peer
   * send(buffer, offset, length, path[, callback])  to `path`
   *
   * The outcome is reported before it returns: by the callback if there is one, otherwise by `'error'`
   * or `'congestion'`. Where a peer has no room, that is an error with the code 1 and the message
   * `'congestion'`, or `'congestion'(buffer)`; the message is not sent, and `'writable'` follows.
   * A message to a `path` that has no room waits, in order, and its outcome is reported later.
   *
   * @param {Buffer | TypedArray | DataView | string} buffer
   * @param {(error?: Error) => void} [callback] - exactly once
   */
  send(buffer, offset, length, path, callback) {
    const view = check.messageBytes(buffer, 'buffer');
    if (typeof offset === 'number') {
      check.partLength(view, offset, length);
      check.optionalCallback(callback ?? undefined);
      sendTo(this, view.length === length ? view : part(view, offset, length), path, callback);
    } else {
      check.optionalCallback(offset ?? undefined);
      sendToPeer(this, view, buffer, offset);
    }
  }

  /** The same as send(). */
  sendto(buffer, offset, length, path, callback) {
    this.send(buffer, offset, length, path, callback);
  }

  /**
   * Closes at once, without an event: no more `'message'`; what waits fails with ECANCELED. The
   * socket file is removed if it is still the one bound here. Idempotent.
   */
  close() {
    const id = this[kId];
    if (id === 0 || !publishClose(this)) return;
    this[kId] = 0;
    closeId(id);
    const waiting = this[kWaiting];
    this[kWaiting] = null;
    for (const { path, callback } of waiting?.values() ?? []) {
      const error = packageError(-ECANCELED, 'send', path);
      // Each in a tick of its own: one that throws takes no other along.
      if (callback) nextTick(callback, error);
      else nextTick(reportIfHeard, this, error);
    }
  }

  [Symbol.asyncDispose]() {
    this.close();
    return Promise.resolve();
  }

  /** The name the socket is bound to; '' while it has none. */
  address() {
    const name = this[kId] === 0 ? -EBADF : binding.localAddress(this[kId]);
    if (typeof name === 'number') throw packageError(name, 'getsockname');
    return name.toString();
  }

  /** Lets the open socket keep the process alive: the default. */
  ref() {
    if (this[kId] > 0) binding.setRef(this[kId], 1);
    return this;
  }

  /** Lets the process end although the socket is open. */
  unref() {
    if (this[kId] > 0) binding.setRef(this[kId], 0);
    return this;
  }

  [kMessage](data, flags) {
    if (flags & flag.NAME) {
      const name = this[kSenderName];
      this[kSenderPath] = name.length === 0 ? null : name.toString();
    }
    const path = this[kSenderPath];
    if (flags & flag.TRUNCATED) this.emit('error', packageError(-ENOBUFS, 'recv', path));
    else this.emit('message', data, { size: data.length, address: {}, path });
  }

  [kSettled](outcomes) {
    const settled = [];
    // All first: the kernel has the others whatever a callback does.
    for (let index = 0; index < outcomes.length; index += 2) {
      const message = this[kWaiting]?.get(outcomes[index]);
      if (message === undefined) continue;
      this[kWaiting].delete(outcomes[index]);
      this[kWaitingSize] -= message.size;
      settled.push(message, outcomes[index + 1]);
    }
    reportAll(this, settled);
  }

  [kWritable]() {
    if (this[kId] > 0) this.emit('writable');
  }

  [kEnd]() {
    this.emit('error', packageError(-ENOTCONN, 'recv'));
  }

  [kError](errno) {
    this.emit('error', packageError(errno, 'recv'));
  }
}

for (const name of [
  'setTTL',
  'setBroadcast',
  'setMulticastTTL',
  'setMulticastLoopback',
  'addMembership',
  'dropMembership',
]) {
  // Of Internet sockets alone. They exist there, and throw.
  const value = {
    [name]() {
      throw codedError(Error, 'ERR_METHOD_NOT_IMPLEMENTED', `${name} is not implemented`);
    },
  }[name];
  Object.defineProperty(Socket.prototype, name, { value, writable: true, configurable: true });
}

/** As that package words it, but for what no string can be made of. */
function textOf(type) {
  try {
    return String(type);
  } catch {
    return show(type);
  }
}

/** A part of a view as a view. */
function part(view, offset, length) {
  return Buffer.from(view.buffer, view.byteOffset + offset, length);
}

/** Outcomes of messages that waited; one that throws takes no other along. */
function reportAll(socket, settled) {
  let index = 0;
  try {
    while (index < settled.length) {
      index += 2;
      const { callback, path } = settled[index - 2];
      report(socket, callback, settled[index - 1], path);
    }
  } finally {
    if (index < settled.length) nextTick(reportAll, socket, settled.slice(index));
  }
}

/** Reports the outcome of a send: an error to the callback if there is one, else by `'error'`. */
function report(socket, callback, status, path) {
  const error = status < 0 ? packageError(status, 'send', path) : undefined;
  if (callback) callback(error);
  else if (error) socket.emit('error', error);
}

/** An error that came of closing: nobody need listen any more. */
function reportIfHeard(socket, error) {
  if (socket.listenerCount('error') > 0) socket.emit('error', error);
}

function sendToPeer(socket, view, buffer, callback) {
  const id = socket[kId];
  let status = -EBADF;
  let reconnected = false;
  if (id > 0) {
    status = trySend(id, view);
    // The peer died, which was reported when it was found out. Another may have its name by now.
    if (isUnconnected(status) && socket.connected) {
      reconnected = typeof binding.connect(id) !== 'number';
      if (reconnected) status = trySend(id, view);
    }
  }
  if (!isNoRoom(status)) {
    // Whoever keeps what could not be sent learns that there is a receiver again.
    if (reconnected) nextTick(reportRoom, socket);
    report(socket, callback, status, socket[kPeer]);
    return;
  }
  const watched = binding.notifyWritable(id);
  if (watched < 0) report(socket, callback, watched, socket[kPeer]);
  else if (callback) callback(codedError(Error, CONGESTION, 'congestion'));
  else socket.emit('congestion', buffer);
}

function reportRoom(socket) {
  socket[kWritable]();
}

function sendTo(socket, view, path, callback) {
  const id = socket[kId];
  const to = id === 0 ? -EBADF : socket[kDestinations].of(id, path, view, 'buffer');
  if (to < 0) {
    report(socket, callback, to, path);
    return;
  }
  let status = trySend(id, view, to);
  if (isNoRoom(status)) {
    const size = view.length + WAITING_COST;
    if (socket[kWaitingSize] + size <= WAITING_LIMIT) {
      // A copy: with that package the Buffer is the caller's again when send() returns.
      status = send(id, new Uint8Array(view), to);
      if (status > 0) {
        callback &&= inContext(callback);
        (socket[kWaiting] ??= new Map()).set(status, { size, path, callback });
        socket[kWaitingSize] += size;
        return;
      }
    }
  }
  report(socket, callback, status, path);
}

/**
 * A socket with the interface of unix-dgram. For 'udp4' and 'udp6' it is one of `node:dgram`, as
 * there.
 *
 * @param {'unix_dgram' | 'udp4' | 'udp6'} type
 * @param {Function} [listener] - for `'message'`
 * @throws {TypeError} ERR_SOCKET_BAD_TYPE
 * @throws {Error} EMFILE and other errors of socket(2)
 */
function createSocket(type, listener) {
  if (type === 'udp4' || type === 'udp6') return dgram.createSocket(type, listener);
  return new Socket(type, listener);
}

module.exports = { createSocket };
