'use strict';

// Owns USockets and UServers in tests: closed with their test, and large traffic checked by digest.

const { createHash, randomBytes } = require('node:crypto');
const net = require('node:net');
const { Readable } = require('node:stream');
const { finished } = require('node:stream/promises');
const { UServer, USocket } = require('../../lib');
const { temporaryPath } = require('./tmp.js');
const { within } = require('./wait.js');

const KB = 1024;
const MB = KB * KB;
/** Bytes in a piece of large traffic: no multiple of any buffer's size. */
const PIECE = 61_111;

const digest = (data) => createHash('sha256').update(data).digest('hex');

/** The digest of everything a stream gives, and how much it was: `{ hash, length }`. */
async function digestOf(readable, limit) {
  const hash = createHash('sha256');
  let length = 0;
  // An iterator would destroy a socket that is to be written to.
  readable.on('data', (chunk) => {
    hash.update(chunk);
    length += chunk.length;
  });
  await within(finished(readable, { writable: false }), 'the end of a stream', limit);
  return { hash: hash.digest('hex'), length };
}

/** A stream of so many bytes that are hard to guess, and their digest: `{ stream, hash, length }`. */
function traffic(length) {
  const block = randomBytes(MB);
  const hash = createHash('sha256');
  const piece = (at) => {
    const start = (at * 7) % (MB - PIECE);
    return block.subarray(start, start + Math.min(PIECE, length - at));
  };
  for (let at = 0; at < length; at += PIECE) hash.update(piece(at));
  const pieces = function* () {
    for (let at = 0; at < length; at += PIECE) yield piece(at);
  };
  const stream = Readable.from(pieces(), { objectMode: false });
  return { stream, hash: hash.digest('hex'), length };
}

/** Two connected USockets that are destroyed when the test ends. */
function openPair(t, options) {
  const pair = USocket.pair(options);
  for (const socket of pair) t.after(() => socket.destroy());
  return pair;
}

/** Starts a server; it and what it accepted are gone when the test ends. Returns its path. */
async function listen(t, server) {
  const path = temporaryPath(t);
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const listening = new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  await within(listening, "'listening'");
  return path;
}

/** A UServer that listens: `{ server, path }`. */
async function openServer(t, options, listener) {
  const server = new UServer(options, listener);
  return { server, path: await listen(t, server) };
}

/** A net.Server that listens: `{ server, path }`. */
async function openNetServer(t, options, listener) {
  const server = net.createServer(options, listener);
  return { server, path: await listen(t, server) };
}

/** A USocket that connects to a path, destroyed when the test ends. */
function connect(t, path, options) {
  const socket = new USocket({ ...options, path });
  t.after(() => socket.destroy());
  return socket;
}

/** What a stream gives from now to its end, as text. */
async function textOf(readable) {
  const chunks = [];
  const reading = (async () => {
    for await (const chunk of readable) chunks.push(chunk);
  })();
  await within(reading, 'the end of a stream');
  return Buffer.concat(chunks).toString();
}

module.exports = {
  KB,
  MB,
  connect,
  digest,
  digestOf,
  listen,
  openNetServer,
  openPair,
  openServer,
  textOf,
  traffic,
};
