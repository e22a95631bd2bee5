// Owns: connections that wait for room in a server's backlog, for which the kernel has no event: one timer a
// name looks for it, and those that wait for that name follow in order.
'use strict';

const { EAGAIN, ETIMEDOUT } = require('os').constants.errno;
const binding = require('../native/binding');
const { kId } = require('../native/sockets');
const { clearTimeout, setTimeout } = require('../util/host');
const { kState } = require('./members');

/** The longest pause between two looks, in milliseconds. */
const MAX_PAUSE = 8;

/** Kind and name → those that wait for it. */
const queues = new Map();

/** Milliseconds of a clock that only goes forward. */
function now() {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

class Queue {
  constructor(key) {
    this.key = key;
    /** In the order in which they came: { socket, id, queue, deadline, done }; native code has the name. */
    this.waiting = [];
    this.pause = 1;
    this.timer = null;
    /** No deadline is earlier: a look at thousands is due only then. */
    this.firstDeadline = Infinity;
  }

  join(waiter) {
    this.waiting.push(waiter);
    this.firstDeadline = Math.min(this.firstDeadline, waiter.deadline);
    if (this.timer === null) this.look();
    else this.updateRef();
  }

  look() {
    this.timer = setTimeout(lookAgain, this.pause, this);
    this.updateRef();
  }

  /** The timer keeps the process alive if one of those that wait does. */
  updateRef() {
    const keeps = this.waiting.some(({ socket }) => socket[kState].referenced);
    if (keeps) this.timer.ref();
    else this.timer.unref();
  }

  /** Connects the first ones, until the backlog is full again. */
  advance() {
    const { waiting } = this;
    let done = 0;
    for (; done < waiting.length; done++) {
      const waiter = waiting[done];
      if (!isWaiting(waiter)) continue;
      const status = binding.connect(waiter.id);
      if (status === -EAGAIN) break;
      this.pause = 1;
      waiter.done(waiter.socket, status);
    }
    if (done > 0) waiting.splice(0, done);
  }

  /** Gives up those whose time has passed. */
  expire(time) {
    if (time < this.firstDeadline) return;
    this.firstDeadline = Infinity;
    this.waiting = this.waiting.filter((waiter) => {
      if (!isWaiting(waiter)) return false;
      const isOver = time >= waiter.deadline;
      if (isOver) waiter.done(waiter.socket, -ETIMEDOUT);
      else this.firstDeadline = Math.min(this.firstDeadline, waiter.deadline);
      return !isOver;
    });
  }

  leave() {
    this.waiting = this.waiting.filter(isWaiting);
    if (this.waiting.length > 0) {
      if (this.timer !== null) this.updateRef();
      return;
    }
    clearTimeout(this.timer);
    queues.delete(this.key);
  }
}

/** Neither destroyed meanwhile, nor on its way to another server. */
function isWaiting({ socket, id, queue }) {
  return socket[kId] === id && socket[kState].backlog === queue;
}

function lookAgain(queue) {
  queue.timer = null;
  const time = now();
  queue.pause = Math.min(queue.pause * 2, MAX_PAUSE);
  // `done` only arranges for something to happen later: no JavaScript of users runs here.
  queue.advance();
  queue.expire(time);
  if (queue.waiting.length > 0) queue.look();
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
  const waiter = { socket, id: socket[kId], queue, deadline: now() + milliseconds, done };
  socket[kState].backlog = queue;
  queue.join(waiter);
}

module.exports = { waitForBacklog };
