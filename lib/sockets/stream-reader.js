// Owns: what a USocket receives that is not a Readable's bytes: descriptors in their order, and bytes that go into
// memory of the user's. Made when the first of them is there.
'use strict';

const { isUint8Array } = require('util').types;
const binding = require('../native/binding');
const { NO_FDS } = require('../native/fds');
const { fdsToken, flag, kId, lengthAt } = require('../native/sockets');
const { codedError, invalidType, invalidValue } = require('../util/errors');
const check = require('../util/validate');
const { defineTaken } = require('./received-fds');
const { kState } = require('./members');

/** Descriptors that came with one chunk, which ends with the byte at `last` of all that was received. */
class Group {
  constructor(count, last) {
    this.count = count;
    this.last = last;
    /** With `fdsWithData`: a chunk has them, whose reader may take them. */
    this.isGiven = false;
  }
}

/** The receiving side of a USocket. */
class StreamReader {
  /** @param {USocket} socket */
  constructor(socket) {
    this.socket = socket;
    /** Descriptors that wait in native code, and how they came. */
    this.fds = 0;
    this.groups = [];
    /** `{ buffer, callback, current }`: the option `onread`. */
    this.onread = null;
  }

  /**
   * Descriptors came with a chunk. The kernel puts bytes that were written before in front of those that have
   * descriptors, but none behind: only of a chunk's last byte it is certain that it was written with them.
   */
  add(data, flags, words, at) {
    const { onread, socket } = this;
    const state = socket[kState];
    // A listener may give the socket up, and the chunk with it.
    const isInto = (flags & flag.INTO) !== 0;
    state.inHand = isInto ? startOf(onread.current, lengthAt(words, at)) : data;
    try {
      this.addFds(fdsToken(words, at), state.bytesRead - 1);
    } finally {
      state.inHand = null;
    }
  }

  addFds(count, last) {
    // Most go to a listener at once, and never wait.
    if (this.fds === 0 && this.isHeard()) {
      this.socket.emit('fds', binding.takeNextFds(this.socket[kId], count));
      return;
    }
    this.fds += count;
    this.groups.push(new Group(count, last));
    this.emit();
  }

  /** Descriptors are the socket's again, to be taken before the others. */
  putBack(count) {
    this.fds += count;
    this.groups.unshift(new Group(count, -Infinity));
  }

  /** All that wait, to whoever listens. */
  emit() {
    const { socket, fds } = this;
    if (fds > 0 && socket[kId] > 0 && this.isHeard()) socket.emit('fds', this.take(fds));
  }

  /** Whether descriptors are events. */
  isHeard() {
    const { socket } = this;
    return socket.listenerCount('fds') > 0 && !socket[kState].plan.fdsWithData;
  }

  /** How many came with bytes before `position`. */
  countBefore(position) {
    let total = 0;
    for (const { count, last } of this.groups) {
      if (last >= position) break;
      total += count;
    }
    return total;
  }

  /** The next `count` descriptors, which are the caller's from here on. */
  take(count) {
    this.fds -= count;
    let over = 0;
    // Each group once, whatever others made of Array.prototype.
    for (let left = count; over < this.groups.length; over++) {
      const group = this.groups[over];
      const some = Math.min(group.count, left);
      group.count -= some;
      left -= some;
      if (group.count > 0) break;
    }
    // A splice costs as much as the rest of it.
    if (over === 1 && this.groups.length === 1) this.groups.pop();
    else this.groups.splice(0, over);
    return binding.takeNextFds(this.socket[kId], count);
  }

  /** With `fdsWithData`: how much to read, so that a chunk ends where descriptors came. */
  limit(size) {
    const { groups, socket } = this;
    // A socket that flows gives chunks as they came.
    if ((size !== undefined && size !== null) || socket.readableFlowing) return size;
    const next = groups.find(({ isGiven, last }) => !isGiven && last >= 0);
    if (next === undefined) return size;
    const limit = next.last + 1 - this.position();
    return limit > 0 && limit < socket.readableLength ? limit : size;
  }

  /** How many of the received bytes have been read. */
  position() {
    const { socket } = this;
    return socket[kState].bytesRead - socket.readableLength;
  }

  /** With `fdsWithData`: gives a chunk that is read just now the descriptors that came with its bytes. */
  attach(chunk) {
    const { socket } = this;
    if (socket[kId] === 0) return;
    const position = this.position();
    const fitting = this.groups.filter(({ isGiven, last }) => !isGiven && last < position);
    if (fitting.length === 0) {
      chunk.fds = NO_FDS;
      return;
    }
    for (const group of fitting) group.isGiven = true;
    defineTaken(chunk, 'fds', socket, (id) =>
      fitting.flatMap((group) => this.takeGroup(id, group)),
    );
  }

  /** The descriptors of one group, whatever of those before it was taken. */
  takeGroup(id, group) {
    const at = this.groups.indexOf(group);
    const skipped = this.groups.slice(0, at).reduce((sum, { count }) => sum + count, 0);
    this.groups.splice(at, 1);
    this.fds -= group.count;
    return binding.takeNextFds(id, group.count, skipped);
  }

  /** They were closed with the socket. */
  forget() {
    this.fds = 0;
    this.groups = [];
  }

  /** Receives into the user's memory from now on. */
  receiveInto({ buffer, callback }) {
    this.onread = { buffer, callback, current: undefined };
    this.nextBuffer();
  }

  /** Asks the user for the next Buffer, and names it to native code. What that throws destroys the socket. */
  nextBuffer() {
    const { onread, socket } = this;
    const { buffer } = onread;
    onread.current = typeof buffer === 'function' ? buffer() : buffer;
    binding.setTarget(socket[kId], onread.current);
  }

  /**
   * Bytes are in the user's buffer.
   *
   * @returns {boolean} false: no more for now
   */
  deliver(length) {
    const { onread, socket } = this;
    const goesOn = onread.callback.call(socket, length, onread.current) !== false;
    if (socket[kId] > 0 && typeof onread.buffer === 'function') {
      try {
        this.nextBuffer();
      } catch (error) {
        socket.destroy(error);
      }
    }
    return goesOn;
  }
}

/** The first bytes of what native code has received into: any view, or an ArrayBuffer. */
function startOf(memory, length) {
  if (!ArrayBuffer.isView(memory)) return new Uint8Array(memory, 0, length);
  return new Uint8Array(memory.buffer, memory.byteOffset, length);
}

/** The option as net has it: where bytes go, and who gets them; null without it. */
function checkOnread(onread) {
  if (onread === undefined || onread === null) return null;
  if (!check.isOptions(onread)) throw invalidType('options.onread', 'of type object', onread);
  const { buffer, callback } = onread;
  if (typeof callback !== 'function') {
    throw invalidType('options.onread.callback', 'of type function', callback);
  }
  if (!isUint8Array(buffer) && typeof buffer !== 'function') {
    throw invalidType('options.onread.buffer', 'a function or an instance of Uint8Array', buffer);
  }
  return { buffer, callback };
}

/** The option `fdsWithData`: chunks that have `fds`. Bytes in memory of the user's are no chunks. */
function checkFdsWithData(wanted, onread) {
  const fdsWithData = check.optionalBoolean(wanted, 'options.fdsWithData', false);
  if (fdsWithData && onread !== null) {
    throw invalidValue('options.fdsWithData', wanted, 'cannot be together with onread');
  }
  return fdsWithData;
}

/** Why a call is not to be used. */
function withData(call) {
  return codedError(Error, 'ERR_INVALID_STATE', `${call} is not for sockets with fdsWithData`);
}

module.exports = { StreamReader, checkFdsWithData, checkOnread, withData };
