// Owns: connections that wait for room in a server's backlog, for which the kernel has no event: one timer a
// name looks for it, and those that wait for that name follow in order.
'use strict';

const { EAGAIN, ETIMEDOUT } = require('os').constants.errno;
const binding = require('../native/binding');
const { kId } = require('../native/sockets');
const { clearTimeout, hrtime, setTimeout } = require('../util/host');
const { kState } = require('./members');

/** The longest pause between two looks, in milliseconds. */
const MAX_PAUSE = 8;

/** Kind and name → those that wait for it. */
const queues = new Map();

/** Milliseconds of a clock that only goes forward. */
function now() {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** A socket that waits. */
class Waiter {
  /** @see waitForBacklog */
  constructor(queue, socket, deadline, done) {
    this.queue = queue;
    this.socket = socket;
    this.deadline = deadline;
    this.done = done;
  }

  /** The socket was destroyed, or is on its way to another server. */
  leave() {
    this.queue.remove(this);
  }

  /** The socket keeps the process alive from now on, or not. */
  updateRef() {
    if (this.socket[kState].referenced) this.queue.timer.ref();
    // Otherwise the next look sees to it: looking through thousands for each of them would take long.
  }
}

class Queue {
  constructor(key) {
    this.key = key;
    /** In the order in which they came; native code has the name. Leaving costs the same however many there are. */
    this.waiting = new Set();
    this.pause = 1;
    this.timer = null;
    /** No deadline is earlier: a look at thousands is due only then. */
    this.firstDeadline = Infinity;
  }

  add(waiter) {
    this.waiting.add(waiter);
    this.firstDeadline = Math.min(this.firstDeadline, waiter.deadline);
    if (this.timer === null) this.look();
    else waiter.updateRef();
  }

  remove(waiter) {
    this.waiting.delete(waiter);
    if (this.waiting.size > 0) return;
    clearTimeout(this.timer);
    queues.delete(this.key);
  }

  look() {
    this.timer = setTimeout(lookAgain, this.pause, this);
    // The timer keeps the process alive if one of those that wait does.
    for (const { socket } of this.waiting) if (socket[kState].referenced) return;
    this.timer.unref();
  }

  /** Connects the first ones, until the backlog is full again. */
  advance() {
    for (const waiter of this.waiting) {
      const { socket, done } = waiter;
      const status = binding.connect(socket[kId]);
      if (status === -EAGAIN) break;
      this.pause = 1;
      this.waiting.delete(waiter);
      done(socket, status);
    }
  }

  /** Gives up those whose time has passed. */
  expire(time) {
    if (time < this.firstDeadline) return;
    this.firstDeadline = Infinity;
    for (const waiter of this.waiting) {
      const { socket, deadline, done } = waiter;
      if (time < deadline) {
        this.firstDeadline = Math.min(this.firstDeadline, deadline);
      } else {
        this.waiting.delete(waiter);
        done(socket, -ETIMEDOUT);
      }
    }
  }
}

function lookAgain(queue) {
  const time = now();
  queue.pause = Math.min(queue.pause * 2, MAX_PAUSE);
  // `done` only arranges for something to happen later: no JavaScript of users runs here.
  queue.advance();
  queue.expire(time);
  if (queue.waiting.size > 0) queue.look();
  else queues.delete(queue.key);
}

/**
 * Goes on trying to connect a socket.
 *
 * @param {object} socket
 * @param {Uint8Array} name
 * @param {number} milliseconds - for how long
 * @param {(socket: object, status: number) => void} done - gets 0 or a negative errno, once; not where
 *   the socket is destroyed before
 */
function waitForBacklog(socket, name, milliseconds, done) {
  const key = `${socket[kState].plan.type} ${name.toString('latin1')}`;
  let queue = queues.get(key);
  if (queue === undefined) queues.set(key, (queue = new Queue(key)));
  const waiter = new Waiter(queue, socket, now() + milliseconds, done);
  socket[kState].backlog = waiter;
  queue.add(waiter);
}

module.exports = { waitForBacklog };
