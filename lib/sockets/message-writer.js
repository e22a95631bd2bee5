// Owns: what JavaScript keeps of messages on their way out: callbacks, their order, how much waits.
'use strict';

const { constants } = require('os');
const { isUint8Array } = require('util').types;
const binding = require('../native/binding');
const { NO_FDS } = require('../native/fds');
const { kId } = require('../native/sockets');
const { Callback } = require('../util/callback');
const { systemError } = require('../util/errors');
const { nextTick } = require('../util/host');
const { PEER } = require('./destinations');
const { MESSAGE_COST, kWriter } = require('./members');

const { send, trySend } = binding;
const ECANCELED = -constants.errno.ECANCELED;
const EMSGSIZE = -constants.errno.EMSGSIZE;
/** So many messages that wait, or outcomes that are due, are enough, however few bytes they have: a loop that
 * sends as long as it may has to come to an end for any outcome to be reported. */
const MOST_MESSAGES = 4096;

/** The owner's method for the error of a send that has no callback. */
const kSendError = Symbol('kSendError');

/** A queued message, until native code settles it. */
class QueuedSend {
  constructor(destination, length, fds, path, callback) {
    /** Its number; of a peer that the socket had before, its name, or null. */
    this.destination = destination;
    this.length = length;
    this.fds = fds;
    this.path = path;
    this.callback = callback;
    /** Outcomes of later messages to the same destination, which are known already: callback, error … */
    this.followers = null;
  }
}

/**
 * The sending side of a socket. Callbacks run exactly once, in the order of the sends to one destination, never
 * inside the call that brought them; an error without a callback goes to the owner's [kSendError](error).
 */
class MessageWriter {
  /**
   * @param {object} owner - emits `'drain'`
   * @param {number} highWaterMark - in bytes
   * @param {number} maxWaitingFds - descriptors that may wait
   */
  constructor(owner, highWaterMark, maxWaitingFds) {
    this.owner = owner;
    this.highWaterMark = highWaterMark;
    this.maxWaitingFds = maxWaitingFds;
    /** Bytes that wait. */
    this.length = 0;
    /** Descriptors that wait. */
    this.fds = 0;
    /** Outcomes that are known, and wait for those of messages before them. */
    this.held = 0;
    this.needDrain = false;
    this.isDrainDue = false;
    /** Ticket → QueuedSend, in the order of acceptance. Made with the first entry. */
    this.queued = null;
    /** Outcomes for the next tick: callback (undefined: the owner), error, callback, error … */
    this.due = null;
    this.whenEmpty = null;
  }

  /**
   * Sends through the owner's socket, or notes that the message waits.
   *
   * @param {number} destination - or a negative errno, which is then the outcome
   * @returns {number} 0: sent; above: waits; below: a negative errno
   */
  send(destination, view, offset, length, fds, path, callback) {
    let result = destination;
    // A function that is named, and not passed, is called directly. The fewer arguments cross, the cheaper: most
    // messages are a whole Buffer, many for the peer.
    if (destination >= 0) {
      const id = this.owner[kId];
      if (fds !== undefined) result = send(id, view, destination, offset, length, fds);
      else if (length !== view.length) result = send(id, view, destination, offset, length);
      else if (destination !== PEER) result = send(id, view, destination);
      else result = send(id, view);
    }
    // Sent, and nobody asks.
    if (result === 0 && callback === undefined) return 0;
    return this.take(result, destination, length, fds, path, callback);
  }

  /** The same for a message that must not wait: EAGAIN where there is no room. */
  sendNow(destination, view, offset, length, fds, path, callback) {
    let result = destination;
    if (destination >= 0) {
      result = trySend(this.owner[kId], view, destination, offset, length, fds ?? NO_FDS);
    }
    return this.take(result, destination, length, fds, path, callback);
  }

  /** What became of a message. */
  take(result, destination, length, fds, path, callback) {
    const request = callback === undefined ? undefined : new Callback(callback);
    if (result > 0) {
      const count = fds === undefined ? 0 : fds.length;
      this.queued ??= new Map();
      this.queued.set(result, new QueuedSend(destination, length, count, path, request));
      this.length += length;
      this.fds += count;
    } else if (result < 0) {
      const error = this.makeError(result, path, length);
      this.failAfterOthers(destination, request ?? this.onError(), error);
    } else if (request !== undefined) {
      this.finish(request, undefined);
    }
    return result;
  }

  /** The Error of a send; of a message that is too large, it says how large, and what the limit is. */
  makeError(errno, path, length) {
    const error = systemError(errno, 'sendmsg', path);
    const size = errno === EMSGSIZE ? this.owner.sendBufferSize : undefined;
    if (size !== undefined) {
      error.message +=
        `: the message has ${length} bytes, and sendBufferSize, ${size}, ` +
        `allows ${size - MESSAGE_COST}; set sendBufferSize to more`;
    }
    return error;
  }

  /** What a send returns to the user: false once the mark is reached, and then `'drain'`. */
  hasRoom() {
    const isFull =
      this.length >= this.highWaterMark ||
      this.fds >= this.maxWaitingFds ||
      (this.queued !== null && this.queued.size + this.held >= MOST_MESSAGES) ||
      (this.due !== null && this.due.length >= 2 * MOST_MESSAGES);
    if (!isFull) return true;
    this.needDrain = true;
    // Perhaps nothing waits that could bring 'drain' about: outcomes alone are many, or the mark is 0.
    this.drain();
    return false;
  }

  /** Is it time for `'drain'`? */
  drain() {
    if (!this.needDrain || this.length > this.highWaterMark >>> 1) return;
    if (this.fds > this.maxWaitingFds >>> 1) return;
    const waiting = this.queued === null ? 0 : this.queued.size + this.held;
    if (waiting > (this.highWaterMark === 0 ? 0 : MOST_MESSAGES >>> 1)) return;
    this.needDrain = false;
    if (this.isDrainDue) return;
    this.isDrainDue = true;
    // After the outcomes that are due.
    nextTick(emitDrain, this);
  }

  /** An outcome for the next tick, in order: for the callback, or an error for the owner. */
  finish(callback, error) {
    if (this.due === null) {
      this.due = [];
      nextTick(runDue, this);
    }
    this.due.push(callback, error);
  }

  /** The same, but not before those that wait for the same destination. */
  failAfterOthers(destination, callback, error) {
    let last;
    for (const send of this.queued?.values() ?? []) {
      if (send.destination === destination) last = send;
    }
    if (last === undefined) {
      this.finish(callback, error);
      return;
    }
    last.followers ??= [];
    last.followers.push(callback, error);
    this.held++;
  }

  /** The outcome of something that was not even tried; `callback` is the user's, or undefined. */
  reject(callback, error) {
    this.finish(callback === undefined ? this.onError() : new Callback(callback), error);
  }

  /** In place of the callback that a failed send does not have: the owner, in the context of now. */
  onError() {
    return new Callback((error) => this.report(error));
  }

  /** A send failed that has no callback. Where the owner has another writer it is connected anew: not its error. */
  report(error) {
    if (this.owner[kWriter] === this) this.owner[kSendError](error);
  }

  /**
   * Native code is done with messages. All of them are off the queue before the first callback runs: whatever
   * that does, the kernel has the others.
   *
   * @param {number[]} outcomes - ticket, 0 or a negative errno, ticket, …
   */
  settle(outcomes) {
    const done = [];
    for (let index = 0; index < outcomes.length; index += 2) {
      const send = this.remove(outcomes[index]);
      if (send !== undefined) this.addOutcome(done, send, outcomes[index + 1]);
    }
    this.drain();
    if (this.queued !== null && this.queued.size === 0 && this.whenEmpty !== null) {
      nextTick(this.whenEmpty);
      this.whenEmpty = null;
    }
    // What is due in the next tick was decided before.
    if (this.due !== null) addAll(this.due, done);
    else runAll(this, done);
  }

  /** Takes a message off the queue; undefined if it is not there: the socket was closed. */
  remove(ticket) {
    const send = this.queued?.get(ticket);
    if (send === undefined) return undefined;
    this.queued.delete(ticket);
    this.length -= send.length;
    this.fds -= send.fds;
    return send;
  }

  addOutcome(list, { callback, path, length, followers }, status) {
    if (status !== 0) {
      list.push(callback, this.makeError(status, path, length));
    } else if (callback !== undefined) {
      list.push(callback, undefined);
    }
    if (followers === null) return;
    addAll(list, followers);
    this.held -= followers.length / 2;
  }

  /** Whether messages wait, also such without bytes. */
  isWaiting() {
    return this.queued !== null && this.queued.size > 0;
  }

  /** Calls `callback` once nothing waits: at once if that is so. */
  afterLast(callback) {
    if (this.isWaiting()) this.whenEmpty = callback;
    else callback();
  }

  /** Where a message goes that waits; undefined if none does. */
  destinationOf(ticket) {
    return this.queued?.get(ticket)?.destination;
  }

  /**
   * The socket has another peer, or none: what waits for the one before goes there, and is in nobody's way.
   *
   * @param {number[]} tickets - of what native code will not send after all
   * @param {Buffer | null} before - the name of the peer that the socket had, if that has one
   * @param {Uint8Array | null} now - of the one that it has: it gets what waits for a peer of that name
   */
  changePeer(tickets, before, now) {
    for (const send of this.queued?.values() ?? []) {
      if (send.destination === PEER) send.destination = before;
      const isNamed = now !== null && isUint8Array(send.destination);
      if (isNamed && send.destination.equals(now)) send.destination = PEER;
    }
    const lost = [];
    for (const ticket of tickets) {
      const send = this.remove(ticket);
      if (send !== undefined) this.addOutcome(lost, send, ECANCELED);
    }
    for (let index = 0; index < lost.length; index += 2) this.finish(lost[index], lost[index + 1]);
    this.drain();
  }

  /**
   * The socket is closed: the callbacks of what waits get an error, in order. A send without a
   * callback ends without an error: the closing itself is the event.
   */
  close(makeError = ({ path }) => systemError(ECANCELED, 'sendmsg', path)) {
    for (const send of this.queued?.values() ?? []) {
      if (send.callback) this.finish(send.callback, makeError(send));
      const { followers } = send;
      for (let index = 0; followers !== null && index < followers.length; index += 2) {
        if (followers[index]) this.finish(followers[index], followers[index + 1]);
      }
    }
    this.queued = null;
    this.length = 0;
    this.fds = 0;
    this.held = 0;
    this.needDrain = false;
    this.whenEmpty = null;
  }

  /** The callback of end() as Writable gets it: with an error it comes behind those of messages, which have one, too. */
  behind(callback) {
    return (...outcome) => {
      if (outcome[0]) this.finish(new Callback(callback), outcome[0]);
      else callback(...outcome);
    };
  }

  /** Calls `callback` in a tick after the last callback that is due. */
  afterCallbacks(callback) {
    nextTick(() => {
      if (this.due === null) callback();
      else this.afterCallbacks(callback);
    });
  }
}

/** Adds all of `more`: as arguments of one call, a hundred thousand would be too many. */
function addAll(list, more) {
  for (let index = 0; index < more.length; index++) list.push(more[index]);
}

function emitDrain(writer) {
  const { owner } = writer;
  writer.isDrainDue = false;
  if (owner[kId] > 0 && owner[kWriter] === writer) owner.emit('drain');
}

function runDue(writer) {
  const { due } = writer;
  writer.due = null;
  runAll(writer, due);
}

/** Runs callbacks. After one that throws, the others have their turn in the next tick, before any that came meanwhile. */
function runAll(writer, outcomes) {
  let index = 0;
  try {
    while (index < outcomes.length) {
      index += 2;
      const callback = outcomes[index - 2];
      if (callback === undefined) writer.report(outcomes[index - 1]);
      else callback.run(outcomes[index - 1]);
    }
  } finally {
    if (index < outcomes.length) {
      const rest = outcomes.slice(index).concat(writer.due ?? []);
      if (writer.due === null) nextTick(runDue, writer);
      writer.due = rest;
    }
  }
}

module.exports = { MessageWriter, kSendError };
