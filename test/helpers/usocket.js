'use strict';

// Owns UServers and USockets in tests: ended with their test, their bytes and descriptors awaited.
// What does not depend on the class is in seqpacket.js.

const { createHash, randomBytes } = require('node:crypto');
const fs = require('node:fs');
const { UServer, USocket } = require('../../lib');
const { closeQuietly } = require('./descriptors.js');
const { cleanUp } = require('./seqpacket.js');
const { nextEvent } = require('./sockets.js');
const { abstractName, temporaryPath } = require('./tmp.js');
const { until } = require('./wait.js');

/** A socket that is destroyed when the test ends. */
const makeSocket = (t, ...args) => cleanUp(t, new USocket(...args));

/** Two connected sockets that are destroyed when the test ends. */
const makePair = (t, options) => USocket.pair(options).map((end) => cleanUp(t, end));

/** A server, not listening yet, that is closed with its connections when the test ends. */
function makeServer(t, ...args) {
  const server = new UServer(...args);
  server.on('connection', (socket) => cleanUp(t, socket));
  t.after(() => server.close());
  return server;
}

/** A listening server, by default at an abstract name. */
const startServer = (t, options, path = abstractName()) => makeServer(t, options).listen(path);

/** A server and a connection to it: `{ server, client, socket }`. */
async function connectedPair(t, options) {
  const server = startServer(t, options);
  const client = makeSocket(t, options).connect(server.address());
  const [socket] = await nextEvent(server, 'connection');
  if (client.connecting) await nextEvent(client, 'connect');
  return { server, client, socket };
}

/** Everything a socket receives until its end, as one Buffer. */
async function allBytes(socket) {
  const chunks = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Notes the bytes and the descriptors of a socket as they come: `{ bytes(), fds }`. */
function collect(t, socket) {
  const chunks = [];
  const fds = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('fds', (some) => fds.push(...some));
  t.after(() => fds.forEach(closeQuietly));
  return { bytes: () => Buffer.concat(chunks), fds };
}

/** Waits until a collector has so many descriptors, and returns them. */
async function untilFds(collected, count) {
  await until(() => collected.fds.length >= count, `${count} descriptors`);
  return collected.fds;
}

/** Which file a descriptor is of: equal for duplicates, different for others. */
function identity(fd) {
  const { dev, ino } = fs.fstatSync(fd);
  return `${dev}:${ino}`;
}

/** An open descriptor of a new file that holds its own number. */
function numberedFile(t, number, folder = temporaryPath(t, 'x').slice(0, -2)) {
  const file = `${folder}/${number}`;
  fs.writeFileSync(file, String(number));
  const fd = fs.openSync(file);
  t.after(() => closeQuietly(fd));
  return fd;
}

/** The number in a file that numberedFile() made, wherever the descriptor stands. */
function numberIn(fd) {
  const bytes = Buffer.alloc(20);
  return Number(bytes.toString('utf8', 0, fs.readSync(fd, bytes, 0, 20, 0)));
}

/** Random bytes in chunks, and their digest: `{ chunks, digest }`. */
function makeBulk(megabytes) {
  const block = randomBytes(1 << 20);
  const hash = createHash('sha256');
  const chunks = Array.from({ length: megabytes }, (_, index) => {
    const chunk = Buffer.from(block);
    chunk.writeUInt32LE(index);
    hash.update(chunk);
    return chunk;
  });
  return { chunks, digest: hash.digest('hex') };
}

/** The digest of all that a socket receives until its end. */
async function digestOf(socket) {
  const hash = createHash('sha256');
  for await (const chunk of socket) hash.update(chunk);
  return hash.digest('hex');
}

module.exports = {
  allBytes,
  collect,
  connectedPair,
  digestOf,
  identity,
  makeBulk,
  makePair,
  makeServer,
  makeSocket,
  numberIn,
  numberedFile,
  startServer,
  untilFds,
};
