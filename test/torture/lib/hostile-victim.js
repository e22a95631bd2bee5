'use strict';

// The process that cases/hostile.js attacks: a socket of every class, with listeners as users have
// them, which count what they see. Imports lib/ of the project; answers as hostile-process.js asks.
//
// A connection whose first byte is p is a decent client: it gets back what it sends. 'D': a peer that
// is sent more than it takes. 'H': one whose messages are counted.

const fs = require('node:fs');
const { DgramSocket, SeqpacketServer, UServer, closeFd } = require('../../../lib');
const { answer } = require('./hostile-process.js');

const SERVERS = { stream: UServer, seqpacket: SeqpacketServer };
const CHUNK = Buffer.alloc(16 * 1024, 'x');

const seen = {
  connections: 0,
  closed: 0,
  received: 0,
  bytes: 0,
  /** What is not as it should be, whatever the scene. */
  wrong: [],
  errors: {},
  warnings: {},
};
const count = (list, code) => (list[code] = (list[code] ?? 0) + 1);
const wrong = (text) => seen.wrong.length < 20 && seen.wrong.push(text);

/** Open files that leave no descriptor free. */
const fillers = [];
let server = null;
let datagrams = null;
/** The peer that never reads: its socket, and what became of the writes. */
let deaf = null;

/** Checks what `pour` sends. */
class Numbered {
  next = 0;

  message(data, size) {
    if (data.length < size) return wrong(`a message of ${data.length} bytes`);
    const [first, last] = [data.readUInt32LE(0), data.readUInt32LE(data.length - 4)];
    if (first !== this.next || last !== first) wrong(`${first}, ${last} instead of ${this.next}`);
    this.next = first + 1;
  }

  bytes(data, before, size) {
    const byteAt = (position) => Math.floor(position / size) & 0xff;
    const [first, last] = [data[0], data.at(-1)];
    if (first !== byteAt(before) || last !== byteAt(before + data.length - 1)) {
      wrong(`bytes ${first}, ${last} at ${before}`);
    }
  }
}

/** Writes until the socket asks to wait, and then goes on for a while all the same. */
function deluge(write, length, mark, socket) {
  const outcome = { written: 0, called: 0, failed: {}, twice: 0, refused: false };
  const writeOne = () => {
    const index = outcome.written++;
    let isCalled = false;
    return write((error) => {
      if (isCalled) outcome.twice++;
      isCalled = true;
      if (index !== outcome.called) wrong(`callback ${index} instead of ${outcome.called}`);
      outcome.called++;
      if (error) count(outcome.failed, error.code);
    });
  };
  while (writeOne()) if (outcome.written > 10_000) break;
  outcome.refused = outcome.written <= 10_000;
  const waiting = length();
  if (waiting < mark || waiting > mark + CHUNK.length) wrong(`${waiting} bytes wait, of ${mark}`);
  for (let more = 0; more < 50; more++) if (writeOne()) wrong('write() has room again');
  if (length() < 50 * CHUNK.length) wrong('what was written is not kept');
  deaf = { socket, outcome, closes: 0 };
  socket.on('close', () => deaf.closes++);
}

function serve(socket, { kind, numbered, every }) {
  seen.connections++;
  const own = { role: null, errors: 0, closes: 0, bytes: 0, messages: 0, numbers: new Numbered() };
  socket.on('error', (error) => {
    if (own.role === 'p') wrong(`a decent client's connection: ${error.message}`);
    if (++own.errors > 1 || own.closes > 0) wrong(`another error: ${error.message}`);
    count(seen.errors, error.code ?? error.message);
  });
  socket.on('close', () => {
    seen.closed++;
    if (++own.closes > 1) wrong("another 'close'");
  });
  socket.on('data', (data) => {
    own.role ??= numbered && data[0] !== 0x70 ? 'H' : String.fromCharCode(data[0]);
    if (own.role === 'p') {
      socket.write(Buffer.from(data));
    } else if (own.role === 'D') {
      const write = (callback) => socket.write(CHUNK, callback);
      deluge(write, () => socket.writableLength, socket.writableHighWaterMark, socket);
    } else {
      seen.received++;
      if (numbered && kind === 'stream') own.numbers.bytes(data, own.bytes, numbered);
      else if (numbered) own.numbers.message(data, numbered / 2);
      own.bytes += data.length;
      seen.bytes += data.length;
      if (++own.messages % every === 0) {
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      }
    }
  });
}

async function readSlowly(socket, { numbered, every }) {
  const numbers = new Numbered();
  for await (const { data } of socket) {
    numbers.message(data, numbered / 2);
    seen.bytes += data.length;
    if (++seen.received % every === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

answer({
  /**
   * Opens the socket that is attacked.
   *
   * `numbered`: messages are what `pour` sends, about so large. `every`: after so many it rests.
   * `unheard`: a datagram socket has no listener for messages.
   */
  async open({ kind, path, options, numbered = 0, every = Infinity, unheard = false }) {
    if (kind === 'dgram') {
      datagrams = new DgramSocket(options).bind(path);
      datagrams.on('error', (error) => count(seen.errors, error.code));
      if (numbered) {
        readSlowly(datagrams, { numbered, every });
      } else if (!unheard) {
        datagrams.on('data', (_data, _path, { fds }) => {
          seen.received++;
          fds.forEach(closeFd);
        });
      }
      return;
    }
    server = new SERVERS[kind](options, (socket) => serve(socket, { kind, numbered, every }));
    server.on('error', (error) => wrong(`the server: ${error.message}`));
    server.on('warning', ({ code }) => count(seen.warnings, code));
    await new Promise((resolve) => server.listen(path, resolve));
  },

  seen: () => seen,

  /** What ran since the process began, in microseconds. */
  cpu() {
    const { user, system } = process.cpuUsage();
    return { used: user + system, at: performance.now() * 1000 };
  },

  /** Leaves as many descriptors free, and says how many it took. */
  fill({ free }) {
    try {
      for (;;) fillers.push(fs.openSync('/dev/null'));
    } catch (error) {
      if (error.code !== 'EMFILE') throw error;
    }
    for (const fd of fillers.splice(-free)) fs.closeSync(fd);
    return fillers.length;
  },

  empty() {
    for (const fd of fillers.splice(0)) fs.closeSync(fd);
  },

  /** Sends to a datagram socket that nobody reads. */
  sendToDeaf({ path }) {
    const socket = new DgramSocket();
    socket.on('error', (error) => wrong(`the sender: ${error.message}`));
    const write = (callback) => socket.sendTo(CHUNK, path, callback);
    deluge(write, () => socket.writableLength, socket.writableHighWaterMark, socket);
  },

  /** What became of the writes to the peer that never reads; null before. */
  deaf: () => deaf && { ...deaf.outcome, closes: deaf.closes },

  /** Gives the deaf peer up. */
  leaveDeaf({ by }) {
    if (by === 'end' && deaf.socket.end) deaf.socket.end();
    if (by === 'end') setTimeout(() => deaf.socket.close(), 50);
    else deaf.socket.close();
  },
});
