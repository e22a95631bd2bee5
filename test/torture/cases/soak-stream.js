'use strict';

// Owns the soak of stream sockets: millions of framed messages from two other processes, cut into
// chunks at random places, some of them with descriptors.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { UServer, USocket, closeFd } = require('../../../lib');
const soak = require('../lib/soak-messages.js');
const { flatness, startRole } = require('../lib/soak-process.js');

const { DISTRIBUTION, Expected, LARGEST, Messages, derive, makePool, randomFrom } = soak;

const SENDERS = 2;
const HEADER = 4;
/** Bytes of frames that are made at once, and cut. */
const BLOCK = 256 * 1024;
/** Chunks: most are small cuts, some of many frames at once. */
const chunkSize = (random) => 1 + Math.floor(random() ** 4 * 60_000);
/** How many of the chunks carry descriptors, and how many at most. */
const WITH_FDS = 1 / 200;
const MOST_FDS = 5;
/** Files whose descriptors are sent: which one, both sides work out from the seed. */
const FILES = 16;
/** Chunks after which a connection of the receiver pauses for a moment. */
const PAUSE_EVERY = 5000;

const fileOf = (random) => Math.floor(random() * FILES);
const pathOf = (folder, index) => path.join(folder, String(index));

/** Cuts a connection's bytes into frames again, and compares each. */
class Frames {
  #expected;
  #head = Buffer.alloc(HEADER);
  #filled = 0;
  #body = Buffer.allocUnsafe(LARGEST);
  #size = -1;
  count = 0;

  constructor(expected) {
    this.#expected = expected;
  }

  take(chunk) {
    let at = 0;
    while (at < chunk.length || this.#size === 0) {
      if (this.#size < 0) {
        // The header, or the part of it that is here.
        const part = chunk.copy(this.#head, this.#filled, at, at + HEADER - this.#filled);
        at += part;
        this.#filled += part;
        if (this.#filled < HEADER) return;
        this.#size = this.#head.readUInt32LE(0);
        if (this.#size > LARGEST) throw new Error(`a frame of ${this.#size} bytes: out of step`);
        this.#filled = 0;
      }
      const missing = this.#size - this.#filled;
      if (this.#filled === 0 && chunk.length - at >= missing) {
        this.#end(chunk, at, at + missing);
        at += missing;
      } else {
        const part = chunk.copy(this.#body, this.#filled, at, at + missing);
        at += part;
        this.#filled += part;
        if (this.#filled === this.#size) this.#end(this.#body, 0, this.#size);
      }
    }
  }

  #end(bytes, from, to) {
    this.#expected.take(bytes, from, to);
    this.#size = -1;
    this.#filled = 0;
    this.count++;
  }

  /** Whether the last frame is complete. */
  get isWhole() {
    return this.#size < 0 && this.#filled === 0;
  }
}

/** Takes all connections to their end. The first byte of each is its sender's number. */
async function receive({ name, seed, total, folder }, watch) {
  const pool = makePool(seed);
  const inodes = Array.from(
    { length: FILES },
    (_, index) => fs.statSync(pathOf(folder, index)).ino,
  );
  const results = [];
  let received = 0;
  watch.expect(total);
  const server = new UServer();
  const done = new Promise((resolve, reject) => {
    server.on('connection', (socket) => {
      let [expected, frames, files] = [null, null, null];
      let [chunks, goodFds, badFds] = [0, 0, 0];
      const early = [];
      const checkFd = (fd) => {
        if (fs.fstatSync(fd).ino === inodes[fileOf(files)]) goodFds++;
        else badFds++;
        closeFd(fd);
      };
      socket.on('fds', (fds) => {
        if (files === null) early.push(...fds);
        else fds.forEach(checkFd);
      });
      socket.on('data', (chunk) => {
        if (expected === null) {
          expected = new Expected(derive(seed, 10 + chunk[0]), pool);
          frames = new Frames(expected);
          files = randomFrom(derive(seed, 30 + chunk[0]));
          early.forEach(checkFd);
          chunk = chunk.subarray(1);
        }
        const before = frames.count;
        try {
          frames.take(chunk);
        } catch (error) {
          socket.destroy(error);
          return;
        }
        received += frames.count - before;
        watch.reached(received);
        if (++chunks % PAUSE_EVERY === 0) {
          socket.pause();
          setTimeout(() => socket.resume(), 5);
        }
      });
      socket.on('error', reject);
      socket.on('close', () => {
        const { good, bad, first } = expected;
        results.push({ good, bad: bad + (frames.isWhole ? 0 : 1), first, goodFds, badFds });
        if (results.length === SENDERS) resolve();
      });
    });
  });
  server.listen(name);
  server.on('listening', () => process.send('ready'));
  await done;
  server.close();
  return { results };
}

/** Sends its share: blocks of frames, cut into chunks. */
async function send({ name, seed, sender, count, folder }, watch) {
  const messages = new Messages(derive(seed, 10 + sender), makePool(seed));
  const files = randomFrom(derive(seed, 30 + sender));
  const cuts = randomFrom(derive(seed, 50 + sender));
  const open = Array.from({ length: FILES }, (_, index) => fs.openSync(pathOf(folder, index), 'r'));
  let [called, failed, drains, chunks, fdsSent] = [0, 0, 0, 0, 0];
  const callback = (error) => {
    called++;
    if (error) failed++;
  };
  watch.expect(count);

  /** As many frames as a block has room for; null after the last. */
  const makeBlock = () => {
    const block = Buffer.allocUnsafe(BLOCK + HEADER + LARGEST);
    let at = 0;
    while (at < BLOCK && messages.number + 1 < count) {
      messages.next();
      at = block.writeUInt32LE(messages.size, at);
      messages.write(block, at);
      at += messages.size;
    }
    return at === 0 ? null : block.subarray(0, at);
  };

  await new Promise((resolve, reject) => {
    let [block, at] = [null, 0];
    const socket = new USocket();
    socket.on('error', reject);
    socket.on('close', resolve);
    socket.resume();
    const sendMore = () => {
      if (block === null || at === block.length) {
        watch.reached(messages.number);
        [block, at] = [makeBlock(), 0];
        if (block === null) {
          socket.end();
          return;
        }
      }
      while (at < block.length) {
        const chunk = block.subarray(at, at + chunkSize(cuts));
        at += chunk.length;
        chunks++;
        let fds;
        if (cuts() < WITH_FDS) {
          const length = 1 + Math.floor(cuts() * MOST_FDS);
          fds = Array.from({ length }, () => open[fileOf(files)]);
          fdsSent += length;
        }
        if (!socket.write(fds === undefined ? chunk : { data: chunk, fds }, callback)) {
          drains++;
          socket.once('drain', sendMore);
          return;
        }
      }
      setImmediate(sendMore);
    };
    socket.connect(name, () => {
      socket.write(Buffer.of(sender));
      sendMore();
    });
  });
  return { called, failed, drains, chunks, fdsSent };
}

async function run({ quick, seed }) {
  const total = quick ? 300_000 : 10_000_000;
  const count = total / SENDERS;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-soak-'));
  try {
    for (let index = 0; index < FILES; index++) fs.writeFileSync(pathOf(folder, index), '');
    const name = path.join(folder, 'server.sock');
    const receiver = startRole(__filename, 'receive', { name, seed, total, folder });
    await receiver.ready;
    const senders = Array.from({ length: SENDERS }, (_, sender) =>
      startRole(__filename, 'send', { name, seed, sender, count, folder }),
    );
    const sent = await Promise.all(senders.map(({ report }) => report));
    const received = await receiver.report;
    const sum = (list, key) => list.reduce((all, item) => all + item[key], 0);
    const [good, bad] = [sum(received.results, 'good'), sum(received.results, 'bad')];
    const first = received.results.find((result) => result.first !== null)?.first;
    const [fds, chunks] = [sum(sent, 'fdsSent'), sum(sent, 'chunks')];
    return [
      {
        what: 'framed messages, whole and in order',
        tried: total,
        lost: Math.abs(total - good) + bad,
        note:
          first ?? `${SENDERS} senders; ${DISTRIBUTION}; ${sum(sent, 'drains')} waits for drain`,
      },
      {
        what: 'descriptors, in order',
        tried: fds,
        lost: Math.abs(fds - sum(received.results, 'goodFds')) + sum(received.results, 'badFds'),
      },
      {
        what: 'chunks of 1 B to 60 kB, called back once',
        tried: chunks,
        lost: Math.abs(chunks - sum(sent, 'called')) + sum(sent, 'failed'),
      },
      ...flatness([received, ...sent], quick ? 24 : 8),
    ];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = {
  about:
    'Two processes send frames over stream sockets, in chunks of any size, some with descriptors.',
  limit: 600,
  quickLimit: 600,
  roles: { receive, send },
  run,
};
