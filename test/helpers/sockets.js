'use strict';

// Owns DgramSockets in tests: closed with their test, their messages and callbacks awaited.

const fs = require('node:fs');
const { DgramSocket } = require('../../lib');
const { Queue, until, within } = require('./wait.js');

/** A socket that is closed when the test ends. */
function openSocket(t, options) {
  const socket = new DgramSocket(options);
  t.after(() => socket.close());
  return socket;
}

/** Two connected sockets that are closed when the test ends. */
function openPair(t, options) {
  const pair = DgramSocket.pair(options);
  for (const socket of pair) t.after(() => socket.close());
  return pair;
}

/** Sends as a promise; the arguments are those of sendTo without the callback. */
function sendTo(socket, ...args) {
  const sent = new Promise((resolve, reject) => {
    socket.sendTo(...args, (error) => (error ? reject(error) : resolve()));
  });
  return within(sent, `the callback of sendTo ${args[1]}`);
}

/** Sends to the peer as a promise. */
function send(socket, message) {
  const sent = new Promise((resolve, reject) => {
    socket.send(message, (error) => (error ? reject(error) : resolve()));
  });
  return within(sent, 'the callback of send');
}

/** The arguments of the event's next occurrence, as an array. An 'error' is an occurrence too. */
function nextEvent(emitter, event) {
  const occurred = new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
  return within(occurred, `'${event}'`);
}

const closed = (socket) => within(new Promise((done) => socket.close(done)), "'close'");

/** Leaves a socket file behind to which nobody is bound any more. */
async function leaveDeadFile(path) {
  const socket = new DgramSocket().bind(`${path}~`);
  try {
    // Closing removes the one name.
    fs.linkSync(`${path}~`, path);
  } finally {
    await closed(socket);
  }
}

/** A turn of the event loop, with all that was ready in it. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** All that was due in the next tick has happened. */
const tick = () => new Promise((resolve) => process.nextTick(resolve));

/** The messages of a socket as they come: a Queue of `{ data, path, fds, credentials }`. */
function inbox(socket) {
  const queue = new Queue();
  socket.on('data', (data, path, { fds, credentials }) =>
    queue.put({ data, path, fds, credentials }),
  );
  socket.on('error', (error) => queue.fail(error));
  return queue;
}

/**
 * Collects the outcomes of sends. `callback()` makes a numbered callback; `codes` are the outcomes
 * in the order they came as `[number, code]`, with code undefined for success.
 */
class Outcomes {
  #made = 0;
  codes = [];
  errors = [];

  callback() {
    const number = this.#made++;
    return (error) => {
      this.codes.push([number, error?.code]);
      if (error) this.errors.push(error);
    };
  }

  /** Waits for the first `count` callbacks, by default for all that were made. */
  async settled(count = this.#made) {
    await until(() => this.codes.length >= count, `${count} callbacks`);
    return this.codes;
  }

  /** What `codes` has to be when all `count` callbacks ran once, in order, with this code. */
  static all(count, code) {
    return Array.from({ length: count }, (_, number) => [number, code]);
  }
}

module.exports = {
  Outcomes,
  closed,
  inbox,
  leaveDeadFile,
  nextEvent,
  openPair,
  openSocket,
  send,
  sendTo,
  tick,
  turn,
};
