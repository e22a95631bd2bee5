'use strict';

/**
 * The least that events over bare.c can be: an object for each socket, found by its number, and real Duplex objects for
 * connections. What comes is emitted at once; what is sent goes to the kernel within the call, its callback with the
 * next tick. No errors but thrown ones.
 */

const { EventEmitter } = require('node:events');
const { Duplex } = require('node:stream');
const { getSystemErrorName } = require('node:util');
const native = require('../build/bare.node');

const EAGAIN = -11;
const SLAB = 256 * 1024;
/** Beyond this a slab may not have a place for one more message of 64 KiB. */
const FULL = SLAB - 64 * 1024 - 8;

/** Number of a socket → its object. */
const owners = [];
/** What hooks are about that concern many sockets. */
const numbers = new Int32Array(64);

let slab;
function newSlab() {
  slab = Buffer.allocUnsafeSlow(SLAB);
  native.useSlab(slab);
}

/** A received message: a view of the slab. */
function view(offset, length) {
  const bytes = slab.subarray(offset, offset + length);
  if (offset + length > FULL) newSlab();
  return bytes;
}

function checked(result, syscall) {
  if (result < 0) throw new Error(`${syscall}: ${getSystemErrorName(result)}`);
  return result;
}

/** Messages that the kernel did not take yet, of one socket. Nothing of it is made until there is one. */
class Queue {
  constructor(fd) {
    this.fd = fd;
    this.waiting = [];
  }

  add(message, done) {
    if (this.waiting.push({ message, done }) === 1) native.awaitWritable(this.fd);
  }

  /** Sends what there is room for; whether that was all. */
  flush() {
    while (this.waiting.length > 0) {
      const [first] = this.waiting;
      const sent = native.send(this.fd, first.message);
      if (sent < first.message.length) {
        if (sent !== EAGAIN) first.message = first.message.subarray(checked(sent, 'send'));
        native.awaitWritable(this.fd);
        return false;
      }
      this.waiting.shift();
      if (first.done) process.nextTick(first.done);
    }
    return true;
  }
}

/** The same for both classes of sockets. */
function send(socket, message, done) {
  if (socket.queue !== null) return socket.queue.add(message, done);
  const sent = native.send(socket.fd, message);
  if (sent === message.length) {
    if (done) process.nextTick(done);
    return;
  }
  socket.queue = new Queue(socket.fd);
  socket.queue.add(sent === EAGAIN ? message : message.subarray(checked(sent, 'send')), done);
}

/** Events: 'message'(bytes, path); the path is that of the sender, undefined for a peer. */
class DatagramSocket extends EventEmitter {
  /** @param {string} [path] to bind to */
  constructor(path) {
    super();
    this.queue = null;
    this.fd = checked(native.bind(path), 'bind');
    owners[this.fd] = this;
  }

  connect(path) {
    checked(native.setPeer(this.fd, path), 'connect');
  }

  send(message, done) {
    send(this, message, done);
  }

  /** Does not wait for a full destination. */
  sendTo(message, path) {
    checked(native.sendTo(this.fd, message, path), 'sendto');
  }

  close() {
    owners[this.fd] = undefined;
    native.close(this.fd);
  }
}

const OPTIONS = {
  allowHalfOpen: false,
  emitClose: false,
  decodeStrings: false,
  readableHighWaterMark: 65536,
  writableHighWaterMark: 65536,
};

function emitClose(socket) {
  socket.emit('close', false);
}

/** A stream or seqpacket connection. */
class Connection extends Duplex {
  /** @param {number} fd -1 for one that connects later */
  constructor(fd) {
    super(OPTIONS);
    this.fd = fd;
    this.queue = null;
    this.isReading = false;
    if (fd >= 0) owners[fd] = this;
  }

  /** A full backlog is tried again in the next turn of the loop. */
  connect(path, isSeqpacket, onConnect) {
    if (this.destroyed) return;
    const fd = native.connect(path, isSeqpacket ? 1 : 0);
    if (fd === EAGAIN) {
      setImmediate(() => this.connect(path, isSeqpacket, onConnect));
      return;
    }
    this.fd = checked(fd, 'connect');
    owners[fd] = this;
    if (this.isReading) native.read(fd);
    process.nextTick(onConnect);
  }

  /** write() without what a Writable does. */
  send(message, done) {
    send(this, message, done);
  }

  _read() {
    if (this.isReading) return;
    this.isReading = true;
    if (this.fd >= 0) native.read(this.fd);
  }

  _write(message, _encoding, done) {
    send(this, message, done);
  }

  _final(done) {
    native.shutdown(this.fd);
    done();
  }

  _destroy(error, done) {
    if (this.fd >= 0) {
      owners[this.fd] = undefined;
      native.close(this.fd);
      this.fd = -1;
    }
    done(error);
    setImmediate(emitClose, this);
  }
}

/** Events: 'connection'(Connection). */
class Server extends EventEmitter {
  listen(path, isSeqpacket) {
    const fd = checked(native.listen(path, isSeqpacket ? 1 : 0), 'listen');
    owners[fd] = this;
    // One server a process: a connection does not say whose it is.
    server = this;
  }
}

let server = null;

function onConnections(count) {
  const accepted = numbers.slice(0, count);
  for (const fd of accepted) server.emit('connection', new Connection(fd));
}

function onEnds(count) {
  const ended = numbers.slice(0, count);
  for (const fd of ended) {
    const socket = owners[fd];
    if (socket === undefined) continue;
    socket.push(null);
    if (socket.readableLength === 0) socket.read(0);
  }
}

function onMessage(fd, offset, length) {
  const socket = owners[fd];
  const bytes = view(offset, length);
  socket.emit(socket instanceof DatagramSocket ? 'message' : 'data', bytes);
}

let lastPath;
function onDatagram(fd, offset, length, path) {
  if (path !== undefined) lastPath = path;
  owners[fd].emit('message', view(offset, length), lastPath);
}

function onWritable(fd) {
  const socket = owners[fd];
  if (socket?.queue?.flush()) socket.queue = null;
}

const hooks = [onConnections, onEnds, onMessage, onDatagram, onWritable];
native.setUp(hooks, numbers);
newSlab();

module.exports = { DatagramSocket, Server, Connection };
