'use strict';

// Owns SeqpacketServers and SeqpacketSockets in tests: ended with their test, their messages,
// events and ends awaited.

const { SeqpacketServer, SeqpacketSocket } = require('../../lib');
const { nextEvent } = require('./sockets.js');
const { abstractName } = require('./tmp.js');
const { Queue, until, within } = require('./wait.js');

/** Destroys a socket when the test ends; an error that comes late is of no interest then. */
function cleanUp(t, socket) {
  t.after(() => {
    socket.on('error', () => {});
    socket.destroy();
  });
  return socket;
}

/** A socket that is destroyed when the test ends. */
const makeSocket = (t, options) => cleanUp(t, new SeqpacketSocket(options));

/** Two connected sockets that are destroyed when the test ends. */
const makePair = (t, options) => SeqpacketSocket.pair(options).map((end) => cleanUp(t, end));

/** A server, not listening yet, that is closed with its connections when the test ends. */
function makeServer(t, ...args) {
  const server = new SeqpacketServer(...args);
  server.on('connection', (socket) => cleanUp(t, socket));
  t.after(() => server.close());
  return server;
}

/** A listening server, by default at an abstract name. */
const startServer = (t, options, path = abstractName()) => makeServer(t, options).listen(path);

/** A connecting socket that is destroyed when the test ends. */
const connectTo = (t, path, options) => makeSocket(t, options).connect(path);

/** A server and a connection to it: `{ server, client, socket }`. */
async function connectedPair(t, options, path) {
  const server = startServer(t, options, path);
  const client = connectTo(t, server.address(), options);
  const [socket] = await nextEvent(server, 'connection');
  if (client.connecting) await nextEvent(client, 'connect');
  return { server, client, socket };
}

/** Writes as a promise; the arguments are those of write() without the callback. */
function write(socket, ...args) {
  const written = new Promise((resolve, reject) => {
    socket.write(...args, (error) => (error ? reject(error) : resolve()));
  });
  return within(written, 'the callback of write');
}

/** The messages of a socket as they come; `next()` throws after an error or the end. */
function messagesOf(socket) {
  const queue = new Queue();
  socket.on('data', (message) => queue.put(message));
  socket.on('error', (error) => queue.fail(error));
  socket.on('end', () => queue.fail(new Error("there was 'end'")));
  return queue;
}

/** The texts of the next `count` messages. */
async function texts(queue, count) {
  return (await queue.take(count, 'a message')).map(String);
}

/**
 * Notes events as they come: `['connect', 'error ECONNRESET', 'close true', …]`, with error codes
 * and the argument of 'close'.
 */
function eventsOf(socket, names = ['connect', 'end', 'finish', 'error', 'close']) {
  const events = [];
  for (const name of names) {
    socket.on(name, (argument) => {
      if (name === 'error') events.push(`error ${argument.code ?? argument}`);
      else if (name === 'close') events.push(`close ${argument}`);
      else events.push(name);
    });
  }
  return events;
}

/** Waits for 'close', and then long enough that a second one would show. */
async function closing(socket) {
  if (!socket.closed) await nextEvent(socket, 'close');
  await quiet();
}

/** A few turns of the event loop: what was under way has happened. */
async function quiet(turns = 5) {
  for (let turn = 0; turn < turns; turn++) await new Promise((done) => setImmediate(done));
}

/** Writes small messages until so many wait; returns how many were written in all. */
async function fillUp(socket, waiting = 1) {
  let count = 0;
  while (socket.writableLength < waiting) {
    socket.write(`fill ${count}`);
    count++;
    // The far end, if it reads, has its turn.
    if (count % 100 === 0) await quiet(1);
  }
  return count;
}

/** Waits until a server has so many connections. */
function untilConnections(server, count) {
  let now = -1;
  const check = () => {
    server.getConnections((_error, found) => (now = found));
    return now === count;
  };
  return until(check, `${count} connections`);
}

module.exports = {
  cleanUp,
  closing,
  connectTo,
  connectedPair,
  eventsOf,
  fillUp,
  makePair,
  makeServer,
  makeSocket,
  messagesOf,
  quiet,
  startServer,
  texts,
  untilConnections,
  write,
};
