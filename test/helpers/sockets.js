'use strict';

// Owns datagram sockets in tests: made and closed with their test, with promises around callbacks.

const fs = require('node:fs');
const { DgramSocket } = require('../../lib');
const { until, within } = require('./wait.js');

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
  return within(sent, 'the callback of sendTo');
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

/** A turn of the event loop, with all that was ready in it. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The numbers of this process's open descriptors. */
function openFds() {
  const numbers = fs.readdirSync('/proc/self/fd').map(Number);
  // Without the one that reads the folder.
  return numbers.filter((fd) => fs.existsSync(`/proc/self/fd/${fd}`));
}

/** Waits until the count of open descriptors is back to what it was. */
function untilFds(count) {
  return until(() => openFds().length <= count, `as few as ${count} open descriptors`);
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
  nextEvent,
  openFds,
  openPair,
  openSocket,
  send,
  sendTo,
  turn,
  untilFds,
};
