// Owns: how the bytes and descriptors of a USocket go out. A Writable keeps the queue of chunks; here is the one
// write that native code has not finished, and which descriptors go with which chunk.
'use strict';

const { Buffer } = require('buffer');
const { Duplex } = require('stream');
const { ENOTCONN, EBADF } = require('os').constants.errno;
const binding = require('../native/binding');
const { MAX_FDS } = require('../native/fds');
const { FastBuffer, kId } = require('../native/sockets');
const { inContext, runAlone } = require('../util/callback');
const { codedError, streamError } = require('../util/errors');
const { nextTick } = require('../util/host');
const { BYTES_EACH, EMPTY, bufferOf, bytesIn } = require('./chunks');
const life = require('./life');
const { kState } = require('./members');

// Named, and not looked up in an object, they are called directly.
const { write: writeBytes, writeMany, writeString } = binding;
const { MAX_STRING } = binding.layout;
const { write } = Duplex.prototype;

/** Descriptors that were written together and wait for bytes to travel with. */
class Group {
  constructor(left, callback) {
    this.left = left;
    this.callback = callback;
  }
}

/** The sending side of a USocket. */
class StreamWriter {
  /** @param {USocket} socket */
  constructor(socket) {
    this.socket = socket;
    /** Writable's callback for what native code, or the connection, has not taken yet. */
    this.callback = null;
    /** What waits for the connection: entries, or the callback of the end. */
    this.deferred = null;
    this.onConnect = null;
    this.final = null;
    /** Groups that wait for bytes, first in, first out; native code has the descriptors in the same order. */
    this.groups = [];
    /** Chunks on their way through Writable that take descriptors along: { chunk, count }. */
    this.marks = [];
    /** Descriptors of chunks that are not sent yet. */
    this.fds = 0;
    /** The result of a write that was tried before Writable's turn; only while that turn is taken. */
    this.result = 0;
    this.hasResult = false;
    /** Chunks that write() or end() gave to Writable, and that have not come back from there. */
    this.given = 0;
    /** Why what was cut off by closing is not sent. */
    this.cancelled = null;
    /** Callbacks are not called at once: the user is just connecting the socket again. */
    this.isAbandoned = false;
  }

  /** A user's callback as Writable gets it: in its context, and with the error that Writable must not have. */
  wrap(callback) {
    if (callback === undefined) return undefined;
    const run = inContext(callback);
    return (error) => {
      if (this.isAbandoned) nextTick(runAlone, run, error ?? this.cancelled);
      else runAlone(run, error ?? this.cancelled);
    };
  }

  /** The callback of end() as Writable gets it: it comes behind those of writes, and never inside of connect(). */
  behind(callback) {
    return (...outcome) => {
      if (this.isAbandoned) nextTick(callback, ...outcome);
      else callback(...outcome);
    };
  }

  /** A callback for a write with so many descriptors, which count until it runs. */
  count(fds, callback) {
    this.fds += fds;
    return (error) => {
      this.fds -= fds;
      callback?.(error);
    };
  }

  /** Whether descriptors wait for bytes to travel with. Bytes that wait are Writable's. */
  isWaiting() {
    return this.groups.length > 0;
  }

  /** Nothing waits, here or in Writable: what is written now may be sent now. */
  isIdle() {
    if (this.callback !== null) return false;
    const { socket } = this;
    const { corked, length, needDrain } = socket._writableState;
    // Also where a write of the life before returned false: Writable emits 'drain' behind the next one.
    return length === 0 && corked === 0 && !needDrain && socket[kState].phase === life.OPEN;
  }

  /**
   * Gives bytes to the kernel.
   *
   * @returns {number} 0: all are sent; 1: the rest waits; below: a negative errno
   */
  attempt(data, fds) {
    const id = this.socket[kId];
    life.refreshTimer(this.socket[kState]);
    if (fds === undefined) return writeBytes(id, data);
    const result = writeBytes(id, data, fds);
    if (result === -EBADF) throw streamError(result, 'write');
    return result;
  }

  /** The same for a string. Short ones in a usual encoding need no Buffer. */
  attemptString(text, encoding) {
    const bytesEach = BYTES_EACH[encoding];
    if (bytesEach === undefined || text.length * bytesEach > MAX_STRING || text.length === 0) {
      return this.attempt(Buffer.from(text, encoding));
    }
    life.refreshTimer(this.socket[kState]);
    const result = writeString(this.socket[kId], text, bytesEach === 1 ? 1 : 0);
    return result > 0 ? 0 : result || 1;
  }

  /**
   * Gives a chunk to Writable, which has it written when it is its turn.
   *
   * @returns {boolean} whether there is room for more, of bytes and of descriptors
   */
  give(data, encoding, callback) {
    this.given++;
    return write.call(this.socket, data, encoding, callback) && this.hasRoom();
  }

  /**
   * A chunk that Writable was not given by write(): in Node 26.12 pipe() writes past that. It counts, and takes
   * waiting descriptors along, like any other.
   *
   * @returns {[Uint8Array | string, (error?: Error) => void]} chunk and callback
   */
  admit(chunk, encoding, callback) {
    this.socket[kState].bytesWritten += bytesIn(chunk, encoding);
    if (this.groups.length === 0 || chunk.length === 0) return [chunk, callback];
    const [carried, settled] = this.carry(bufferOf(chunk, encoding));
    const both = (error) => {
      // Never inside of a call.
      nextTick(settled, error);
      callback(error);
    };
    return [carried, both];
  }

  /** Passes a write to Writable, whose turn comes inside of it, with the result that it has already. */
  passOn(result, data, encoding, callback) {
    this.result = result;
    this.hasResult = true;
    try {
      return this.give(data, encoding, callback);
    } finally {
      this.hasResult = false;
    }
  }

  /** Writable's turn: entries are `{ chunk, encoding }`. */
  start(entries, callback) {
    const { socket } = this;
    const state = socket[kState];
    if (socket.connecting) {
      this.deferred = entries;
      this.callback = callback;
      // As in net: behind listeners that are older, before those that are younger.
      this.onConnect ??= () => this.goOn();
      socket.once('connect', this.onConnect);
      return;
    }
    let result;
    if (this.hasResult) {
      ({ result } = this);
      this.hasResult = false;
    } else {
      result = socket[kId] > 0 ? this.submit(entries) : -ENOTCONN;
    }
    if (result === 0) {
      callback();
    } else if (result > 0) {
      this.callback = callback;
      state.lastQueued = socket.writableLength;
    } else if (socket[kId] > 0) {
      this.fail(streamError(result, 'write'), callback);
    } else {
      life.failWrite(socket, callback, codedError(Error, 'ERR_SOCKET_CLOSED', 'Socket is closed'));
    }
  }

  /** A write failed. For what wraps the socket its callback is enough. */
  fail(error, callback) {
    const { failure, isWrapped } = this.socket[kState];
    if (isWrapped) {
      this.cancelled = error;
      callback();
    } else if (failure !== null) {
      // What ended receiving came first, and waits for one who has paused. As in net it cuts this off.
      this.callback = callback;
      this.socket.destroy(failure);
    } else {
      life.failWrite(this.socket, callback, life.noteSendFailure(this.socket, error));
    }
  }

  submit(entries) {
    if (this.marks.length > 0) return this.submitMarked(entries);
    // http writes an answer and an empty chunk behind it.
    let last = -1;
    let full = 0;
    for (let at = 0; at < entries.length; at++) {
      if (entries[at].chunk.length === 0) continue;
      last = at;
      full++;
    }
    if (full === 0) return this.submitNothing(entries);
    if (full === 1) {
      const { chunk, encoding } = entries[last];
      return typeof chunk === 'string' ? this.attemptString(chunk, encoding) : this.attempt(chunk);
    }
    const buffers = [];
    for (let at = 0; at <= last; at++) {
      const { chunk, encoding } = entries[at];
      if (chunk.length > 0) buffers.push(bufferOf(chunk, encoding));
    }
    life.refreshTimer(this.socket[kState]);
    return writeMany(this.socket[kId], buffers);
  }

  /** Chunks without bytes. As in net, where write(2) finds a peer that is gone, and writev(2) does not look. */
  submitNothing(entries) {
    if (entries.length === 1) return this.attempt(EMPTY);
    life.refreshTimer(this.socket[kState]);
    return 0;
  }

  /** The same for chunks of which some take descriptors along. */
  submitMarked(entries) {
    const buffers = [];
    const counts = [];
    for (const { chunk, encoding } of entries) {
      let count = 0;
      if (this.marks.length > 0 && this.marks[0].chunk === chunk) ({ count } = this.marks.shift());
      // Only chunks with bytes have descriptors.
      if (chunk.length === 0) continue;
      buffers.push(bufferOf(chunk, encoding));
      counts.push(count);
    }
    if (buffers.length === 0) return this.submitNothing(entries);
    life.refreshTimer(this.socket[kState]);
    return writeMany(this.socket[kId], buffers, counts);
  }

  /** Native code has sent what waited, or cannot. */
  settle(status) {
    const { callback, socket } = this;
    life.refreshTimer(socket[kState]);
    if (callback === null) return;
    this.callback = null;
    if (status === 0) callback();
    else this.fail(streamError(status, 'write'), callback);
  }

  /** The connection is made: what was written before goes now. */
  goOn() {
    const { callback } = this;
    const deferred = this.takeDeferred();
    if (deferred === null) return;
    this.callback = null;
    this.start(deferred, callback);
  }

  /** Sends or queues bytes, perhaps none, with the descriptors that wait for bytes and these. */
  writeWithFds(data, encoding, fds, callback) {
    const { socket } = this;
    const bytes = typeof data === 'string' ? Buffer.from(data, encoding) : data;
    if (bytes.length > 0 && fds?.length <= MAX_FDS && this.groups.length === 0 && this.isIdle()) {
      const result = this.attempt(bytes, fds);
      socket[kState].bytesWritten += bytes.length;
      if (result === 0) {
        if (callback) nextTick(callback, null);
        return true;
      }
      const wrapped = this.wrap(callback);
      const settled = result > 0 ? this.count(fds.length, wrapped) : wrapped;
      return this.passOn(result, bytes, undefined, settled);
    }
    const wrapped = this.wrap(callback);
    if (fds !== undefined && !this.queueFds(fds, wrapped)) return false;
    // They count from the bytes on that take them along: nothing drains before.
    if (bytes.length === 0) return !socket.writableNeedDrain;
    socket[kState].bytesWritten += bytes.length;
    // With descriptors it is those that are called back for: they may go with later bytes.
    const [chunk, settled] = this.carry(bytes, fds === undefined ? wrapped : undefined);
    return this.give(chunk, undefined, settled);
  }

  /** Whether few enough descriptors wait. */
  hasRoom() {
    const { socket } = this;
    if (this.fds < socket[kState].plan.maxWaitingFds) return true;
    // Writable emits 'drain' once nothing waits.
    socket._writableState.needDrain = true;
    return false;
  }

  /**
   * Duplicates descriptors, which are to travel with the next bytes.
   *
   * @param {(error?: Error) => void} [callback]
   * @returns {boolean} false: there was no room for them, and the socket is destroyed
   * @throws {Error} EBADF
   */
  queueFds(fds, callback) {
    const { socket } = this;
    const status = binding.queueFds(socket[kId], fds);
    if (status === -EBADF) throw streamError(status, 'dup');
    if (status < 0) {
      // What is written behind them must not arrive without them.
      const error = streamError(status, 'dup');
      if (callback) nextTick(callback, error);
      socket.destroy(error);
      return false;
    }
    this.groups.push(new Group(fds.length, callback));
    return true;
  }

  /**
   * A chunk that takes waiting descriptors along, as many as its bytes can carry: 253 each.
   *
   * @param {Uint8Array} data
   * @param {(error?: Error) => void} [callback]
   * @returns {[FastBuffer, (error?: Error) => void]} what to give to Writable
   */
  carry(data, callback) {
    const done = [];
    let room = data.length * MAX_FDS;
    let count = 0;
    let over = 0;
    // Each group once, whatever others made of Array.prototype.
    for (; over < this.groups.length && room > 0; over++) {
      const group = this.groups[over];
      const some = Math.min(group.left, room);
      count += some;
      room -= some;
      group.left -= some;
      if (group.left > 0) break;
      if (group.callback) done.push(group.callback);
    }
    this.groups.splice(0, over);
    if (callback) done.push(callback);
    // Another object for each write: the user may write one Buffer twice.
    const chunk = new FastBuffer(data.buffer, data.byteOffset, data.byteLength);
    this.marks.push({ chunk, count });
    const settled = (error) => {
      for (const call of done) call(error);
    };
    return [chunk, this.count(count, settled)];
  }

  /**
   * Descriptors that wait for bytes will not be sent: closes the duplicates, and calls back.
   *
   * @returns {Error | undefined} the error, if some had no callback
   */
  failGroups(makeError = unsentError) {
    const { groups, socket } = this;
    if (groups.length === 0) return undefined;
    this.groups = [];
    // Also where the socket lives on: it may receive for long after its end.
    if (socket[kId] > 0) binding.dropQueuedFds(socket[kId]);
    let unreported;
    for (const { callback } of groups) {
      const error = makeError();
      if (callback) nextTick(callback, error);
      else unreported = error;
    }
    return unreported;
  }

  /** The socket is destroyed: Writable gets its callback, and fails the rest by itself. */
  cancel(error) {
    // What waits for a connection waits for 'close', as in net.
    if (this.deferred !== null) return;
    const { callback } = this;
    this.callback = this.final = null;
    this.marks = [];
    this.cancelled = life.destroyedError(error);
    // As in net: it is the destroying that is the stream's error, if that has one.
    callback?.();
    this.failGroups(() => this.cancelled);
  }

  /** The end comes before the connection. As in net: behind listeners that are older, before those that are younger. */
  holdFinal(callback) {
    this.final = callback;
    this.socket.once('connect', () => this.goToEnd());
  }

  /** There is a connection: the end, if that has not been sent yet. */
  goToEnd() {
    const { final, socket } = this;
    this.final = null;
    if (final !== null) finish(socket, this, final);
  }

  /** What waits for a connection, which waits no longer; null if nothing does. */
  takeDeferred() {
    const { deferred } = this;
    if (deferred !== null) this.socket.off('connect', this.onConnect);
    this.deferred = null;
    return deferred;
  }

  /** After 'close': what waited for a connection. */
  failDeferred() {
    const { callback } = this;
    if (this.takeDeferred() === null) return;
    this.callback = this.final = null;
    callback(closedBeforeConnection());
  }

  /** The destroyed socket is connected again before its 'close': nothing of this waits any more. */
  abandon() {
    this.isAbandoned = true;
    this.cancel(this.takeDeferred() === null ? undefined : closedBeforeConnection());
    this.isAbandoned = false;
  }
}

/** The end, shutdown(2). Where the peer has ended, too, the socket is closed next. `writer`: null if nothing was written. */
function finish(socket, writer, callback) {
  const error = writer?.failGroups();
  life.finishLater(socket, socket.readableEnded && !socket.allowHalfOpen, callback, error);
}

function closedBeforeConnection() {
  const message = 'Socket closed before the connection was established';
  return codedError(Error, 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION', message);
}

function unsentError() {
  const message = 'The descriptors were not sent: no bytes were written for them to travel with';
  return codedError(Error, 'ERR_AFUNIX_FDS_UNSENT', message);
}

module.exports = { StreamWriter, finish };
