// Owns: what JavaScript keeps of messages on their way out: callbacks, their order, how much waits.
'use strict';

const { constants } = require('os');
const { send } = require('../native/binding');
const { Callback } = require('../util/callback');
const { systemError } = require('../util/errors');
const { numberOf } = require('../native/sockets');
const check = require('../util/validate');

const ECANCELED = -constants.errno.ECANCELED;
const DEFAULT_HIGH_WATER_MARK = 64 * 1024;
/** So many messages waiting, or outcomes to be told, are enough, however few bytes they have: a loop that
 * sends as long as it may has to come to an end for any of them to be told. */
const MOST_MESSAGES = 4096;

/** A queued message, until native code settles it. */
class QueuedSend {
  constructor(length, path, callback) {
    this.length = length;
    this.path = path;
    this.callback = callback;
  }
}

/**
 * The sending side of a socket. Callbacks run exactly once, in order, never inside the call that
 * brought them; an error without a callback goes to `onError`.
 */
class Outbox {
  /**
   * @param {object} owner - emits `'drain'`
   * @param {number | undefined} highWaterMark - the user's option, in bytes
   * @param {(error: Error) => void} onError - of a send that has no callback
   */
  constructor(owner, highWaterMark, onError) {
    this.owner = owner;
    const mark = highWaterMark ?? DEFAULT_HIGH_WATER_MARK;
    this.highWaterMark = check.integer(mark, 'options.writableHighWaterMark');
    this.onError = onError;
    /** Bytes that wait. */
    this.length = 0;
    this.needDrain = false;
    /** Ticket → QueuedSend, in the order of acceptance. Made with the first entry. */
    this.queued = null;
    /** Sends that are done, for the next tick: callback, error, callback, error … */
    this.finished = null;
    /** An exception in one of these put off the rest: whatever is settled comes after them. */
    this.interrupted = false;
    this.whenEmpty = null;
  }

  /**
   * Sends through `handle`, or notes that the message waits.
   *
   * @param {number} lane - or a negative errno, which is then the outcome
   * @returns {number} 0: sent; above: waits; below: a negative errno
   */
  send(handle, lane, view, offset, length, fds, path, callback) {
    let result = lane;
    if (lane >= 0) {
      const number = numberOf(handle);
      // The fewer arguments cross, the cheaper: most messages are a whole Buffer.
      if (fds !== undefined) result = send(number, lane, view, offset, length, fds);
      else if (length === view.byteLength) result = send(number, lane, view);
      else result = send(number, lane, view, offset, length);
    }
    const request = callback === undefined ? undefined : new Callback(callback);
    if (result > 0) {
      this.queued ??= new Map();
      this.queued.set(result, new QueuedSend(length, path, request));
      this.length += length;
    } else if (result < 0) {
      this.fail(request, systemError(result, 'sendmsg', path));
    } else if (request !== undefined) {
      this.finish(request, undefined);
    }
    return result;
  }

  /** What a send returns to the user: false once the mark is reached, and then `'drain'`. */
  hasRoom() {
    const isFull =
      this.length >= this.highWaterMark ||
      (this.queued !== null && this.queued.size >= MOST_MESSAGES) ||
      (this.finished !== null && this.finished.length >= 2 * MOST_MESSAGES);
    if (!isFull) return true;
    this.needDrain = true;
    // Perhaps nothing waits that could bring 'drain' about: outcomes alone are many, or the mark is 0.
    this.remove(0);
    return false;
  }

  /** So many bytes fewer wait: is it time for `'drain'`? */
  remove(bytes) {
    this.length -= bytes;
    if (!this.needDrain || this.length > this.highWaterMark >>> 1) return;
    if (this.queued !== null && this.queued.size > MOST_MESSAGES >>> 1) return;
    this.needDrain = false;
    // After the outcomes that are to be told.
    process.nextTick(emitDrain, this);
  }

  /** Calls back in the next tick, in order. */
  finish(callback, error) {
    if (this.finished === null) {
      this.finished = [];
      process.nextTick(runFinished, this);
    }
    this.finished.push(callback, error);
  }

  /** An error reaches the callback if there is one, else `onError`; in the next tick. */
  fail(callback, error) {
    this.finish(callback ?? new Callback(this.onError), error);
  }

  /** The outcome of something that was not even tried; `callback` is the user's, or undefined. */
  reject(callback, error) {
    this.fail(callback === undefined ? undefined : new Callback(callback), error);
  }

  /** Native code is done with a message. */
  settle(ticket, status) {
    const send = this.queued?.get(ticket);
    // Closed by a callback before this one, and taken care of there.
    if (send === undefined) return;
    this.queued.delete(ticket);
    this.remove(send.length);
    if (this.queued.size === 0 && this.whenEmpty !== null) {
      process.nextTick(this.whenEmpty);
      this.whenEmpty = null;
    }
    const error = status === 0 ? undefined : systemError(status, 'sendmsg', send.path);
    if (this.interrupted) {
      if (send.callback !== undefined || error !== undefined) this.fail(send.callback, error);
    } else if (send.callback !== undefined) send.callback.run(error);
    else if (error !== undefined) this.onError(error);
  }

  /** Calls `callback` once nothing waits: at once if that is so. */
  afterLast(callback) {
    if (this.queued === null || this.queued.size === 0) callback();
    else this.whenEmpty = callback;
  }

  /** Messages that native code will not send after all. */
  cancel(tickets) {
    for (const ticket of tickets) {
      const send = this.queued.get(ticket);
      this.queued.delete(ticket);
      this.remove(send.length);
      this.fail(send.callback, systemError(ECANCELED, 'sendmsg', send.path));
    }
  }

  /**
   * The socket is closed: the callbacks of what waits get an error, in order. What nobody asked to
   * be told of goes quietly: the closing itself is what is told.
   */
  close(makeError = ({ path }) => systemError(ECANCELED, 'sendmsg', path)) {
    for (const send of this.queued?.values() ?? []) {
      if (send.callback) this.finish(send.callback, makeError(send));
    }
    this.queued = null;
    this.length = 0;
    this.needDrain = false;
    this.whenEmpty = null;
  }

  /** Calls `callback` in a tick after the last callback that is due. */
  afterCallbacks(callback) {
    process.nextTick(() => {
      if (this.finished === null) callback();
      else this.afterCallbacks(callback);
    });
  }
}

function emitDrain(outbox) {
  const { owner } = outbox;
  if (owner.fd >= 0) owner.emit('drain');
}

function runFinished(outbox) {
  const { finished } = outbox;
  outbox.finished = null;
  outbox.interrupted = false;
  let index = 0;
  try {
    while (index < finished.length) {
      index += 2;
      finished[index - 2].run(finished[index - 1]);
    }
  } finally {
    // A callback threw: the others still have their turn, before any that came meanwhile.
    if (index < finished.length) {
      const rest = finished.slice(index).concat(outbox.finished ?? []);
      if (outbox.finished === null) process.nextTick(runFinished, outbox);
      outbox.finished = rest;
      outbox.interrupted = true;
    }
  }
}

module.exports = { Outbox };
