'use strict';

// Owns DgramSockets in tests: closed with their test, their messages and callbacks awaited.

const { DgramSocket } = require('../../lib');
const { Queue, within } = require('./wait.js');

/** A socket that is closed when the test ends. */
function openSocket(t, options) {
  const socket = new DgramSocket(options);
  t.after(() => socket.close());
  return socket;
}

/** Sends as a promise; the arguments are those of sendTo without the callback. */
function sendTo(socket, ...args) {
  const sent = new Promise((resolve, reject) => {
    socket.sendTo(...args, (error) => (error ? reject(error) : resolve()));
  });
  return within(sent, `the callback of sendTo ${args[1]}`);
}

const closed = (socket) => within(new Promise((done) => socket.close(done)), "'close'");

/** The messages of a socket as they come: a Queue of `{ data, path, fds, credentials }`. */
function inbox(socket) {
  const queue = new Queue();
  socket.on('data', (data, path, { fds, credentials }) =>
    queue.put({ data, path, fds, credentials }),
  );
  socket.on('error', (error) => queue.fail(error));
  return queue;
}

module.exports = { closed, inbox, openSocket, sendTo };
