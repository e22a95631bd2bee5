'use strict';

// Owns handing over at any moment: receivers give their socket up in whatever listener they are, others take it over,
// and all that was sent arrives once, in order, each message with its descriptors. Seeded, as differential/ is.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, USocket, closeFd, memfd } = require('../../lib');
const { eachSeed } = require('../differential/chance.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const RUNS = Number(process.env.RUNS ?? 12);
const MESSAGES = 150;

/** What a descriptor was sent with: a file in memory says it. */
function textOf(fd) {
  const text = fs.readFileSync(fd, 'latin1');
  closeFd(fd);
  return text;
}

/** What has arrived by whoever received it, and who receives now. */
class Receivers {
  constructor(chance, Socket, fd) {
    this.chance = chance;
    this.Socket = Socket;
    this.socket = null;
    this.handoffs = 0;
    /** Messages, and texts of their descriptors: of a stream all together. */
    this.texts = [];
    this.files = [];
    this.take(fd);
  }

  /** Somebody takes the socket over, who reads in one way or another. */
  take(fd) {
    const { Socket, chance } = this;
    const ways = ['flows', 'is asked', 'pauses', 'loops'];
    const how = chance.one(Socket === USocket ? [...ways, 'onread', 'fdsWithData'] : ways);
    const options = { fd, receiveFds: true };
    if (how === 'fdsWithData') options.fdsWithData = true;
    if (how === 'onread') {
      const callback = (length, buffer) => {
        this.receive(buffer.subarray(0, length), false);
        return this.socket === socket;
      };
      options.onread = { buffer: Buffer.alloc(1 + chance.below(100)), callback };
    }
    const socket = new Socket(options);
    this.socket = socket;
    const hasFds = Socket === SeqpacketSocket || how === 'fdsWithData';
    if (how === 'loops') {
      // Destroyed while it waits.
      const isOver = ({ code }) => assert.equal(code, 'ERR_STREAM_PREMATURE_CLOSE');
      this.loop(socket, hasFds).catch(isOver);
      return;
    }
    if (Socket === DgramSocket) {
      socket.on('data', (data, _path, { fds }) =>
        this.note(data, fds, () => this.maybeGiveUp(0.1)),
      );
      return;
    }
    if (Socket === USocket) {
      socket.on('fds', (fds) => {
        this.files.push(...fds.map(textOf));
        this.maybeGiveUp(0.1);
      });
    }
    if (how === 'onread') return;
    const onData = (data) => this.receive(data, hasFds);
    if (how === 'is asked') {
      socket.on('readable', () => {
        for (let data; this.socket === socket && (data = socket.read()) !== null;) onData(data);
      });
      return;
    }
    socket.on('data', (data) => {
      onData(data);
      if (how !== 'pauses' || this.socket !== socket || !chance.maybe(0.3)) return;
      socket.pause();
      setTimeout(() => {
        if (this.socket !== socket) return;
        this.maybeGiveUp(0.5);
        socket.resume();
      }, chance.below(4));
    });
  }

  async loop(socket, hasFds) {
    // As other readers of a stream, before the first chunk.
    if (this.Socket === USocket) socket.on('fds', (fds) => this.files.push(...fds.map(textOf)));
    for await (const item of socket) {
      if (this.Socket !== DgramSocket) this.receive(item, hasFds);
      else this.note(item.data, item.fds, () => this.maybeGiveUp(0.1));
      if (this.socket !== socket) break;
      if (this.chance.maybe(0.2)) {
        await new Promise((done) => setTimeout(done, this.chance.below(4)));
      }
      if (this.socket !== socket) break;
    }
  }

  /** A message or chunk; of a message, its descriptors are asked for before or behind a hand-over. */
  receive(data, hasFds) {
    if (!hasFds) {
      this.texts.push(String(data));
      this.maybeGiveUp(0.1);
    } else if (this.chance.maybe(0.5)) {
      this.note(data, data.fds, () => this.maybeGiveUp(0.1));
    } else {
      this.note(data, [], () => this.maybeGiveUp(0.1, data));
    }
  }

  note(data, fds, next) {
    this.texts.push(String(data));
    this.files.push(...fds.map(textOf));
    next();
  }

  /** `message`: the one that was read last, and whose descriptors nobody has asked for. */
  maybeGiveUp(share, message) {
    const { Socket, chance, socket } = this;
    if (!chance.maybe(share)) {
      if (message !== undefined) this.files.push(...message.fds.map(textOf));
      return;
    }
    this.socket = null;
    this.handoffs++;
    const { fd, data, fds } = socket.detach();
    const left = fds.map(textOf);
    if (Socket === USocket) {
      if (data !== null) this.texts.push(String(data));
      this.files.push(...left);
    } else if (Socket === SeqpacketSocket) {
      this.texts.push(...data.map(String));
      this.files.push(...left);
    } else {
      assert.deepEqual(left, []);
      for (const { data: bytes, fds: own } of data ?? []) this.note(bytes, own, () => {});
    }
    const next = () => this.take(fd);
    chance.one([next, () => setImmediate(next), () => setTimeout(next, chance.below(4))])();
  }
}

/** One run: a sender that sends in bursts, and receivers that hand over; how often. */
async function run(t, chance, Socket) {
  const [end, sender] = Socket.pair();
  t.after(() => (sender.destroy ?? sender.close).call(sender));
  const receivers = new Receivers(chance, Socket, end.detach().fd);
  const send = (sender.send ?? sender.write).bind(sender);
  const [texts, files] = [[], []];
  for (let number = 0; number < MESSAGES; number++) {
    const text = `${number} ${'x'.repeat(chance.below(20))};`;
    const own = Array.from({ length: chance.maybe(0.3) ? 1 + chance.below(3) : 0 }, (_, at) => {
      files.push(`${number}.${at}`);
      return memfd(files.at(-1));
    });
    texts.push(text);
    send(own.length > 0 ? { data: text, fds: own } : text);
    own.forEach(closeFd);
    if (chance.maybe(0.2)) await new Promise((done) => setTimeout(done, chance.below(4)));
  }
  const all = texts.join('');
  const arrived = () => receivers.texts.join('');
  await until(() => arrived().length >= all.length && receivers.socket !== null, 'all messages');
  if (Socket === USocket) assert.equal(arrived(), all);
  else assert.deepEqual(receivers.texts, texts);
  assert.deepEqual(receivers.files, files);
  const { handoffs, socket } = receivers;
  receivers.socket = null;
  (socket.destroy ?? socket.close).call(socket);
  return handoffs;
}

describe('handed over at any moment, nothing is lost', onLinux(), () => {
  for (const Socket of [USocket, SeqpacketSocket, DgramSocket]) {
    test(Socket.name, async (t) => {
      let handoffs = 0;
      await eachSeed(RUNS, async (chance) => {
        handoffs += await run(t, chance, Socket);
      });
      assert.ok(handoffs > 0);
    });
  }
});
