// Owns: what a USocket receives that is not a Readable's bytes: descriptors in their order, and bytes that go into
// memory of the user's. Made when the first of them is there.
'use strict';

const { isUint8Array } = require('util').types;
const binding = require('../native/binding');
const { kId } = require('../native/sockets');
const { invalidType } = require('../util/errors');
const check = require('../util/validate');

/** Descriptors that came with one chunk, which ends with the byte at `last` of all that was received. */
class Group {
  constructor(count, last) {
    this.count = count;
    this.last = last;
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
  add(count, last) {
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
    if (fds > 0 && socket[kId] > 0 && socket.listenerCount('fds') > 0) {
      socket.emit('fds', this.take(fds));
    }
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
    if (count === 0) return [];
    this.fds -= count;
    for (let left = count; left > 0;) {
      const [group] = this.groups;
      const some = Math.min(group.count, left);
      group.count -= some;
      left -= some;
      if (group.count === 0) this.groups.shift();
    }
    return binding.takeNextFds(this.socket[kId], count);
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

module.exports = { StreamReader, checkOnread };
