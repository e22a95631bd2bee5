'use strict';

// Owns a DgramSocket whose peers change while messages wait for them, one by one and at random: who gets which message,
// once, in the order of the calls, and what each callback says of it.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { DgramSocket, closeFd } = require('../../lib');
const { kSetReading } = require('../../lib/sockets/dgram-iterator.js');
const { eachSeed } = require('../differential/chance.js');
const { nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closed, inbox, openSocket, tick, turn } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { delay, until } = require('../helpers/wait.js');

assertNoLeaks();

/** No process may open so many. */
const NEVER_OPEN = 2 ** 30;
const RUNS = Number(process.env.RUNS ?? 60);

describe('what waits for a peer', onLinux(), () => {
  for (const [how, change] of [
    ['connect() once more', () => {}],
    ['disconnect() and connect()', (socket) => socket.disconnect()],
    ['connect() to another one, and back', (socket, other) => socket.connect(other)],
  ]) {
    test(`is not overtaken after ${how}`, async (t) => {
      const [first, other] = [0, 1].map(() => openSocket(t).bind(abstractName()));
      first[kSetReading](0);
      const socket = openSocket(t).connect(first.address());
      let number = 0;
      const codes = [];
      const send = () => socket.send(String(number++), (error) => codes.push(error?.code));
      while (socket.writableLength < 10) send();
      const before = number;
      // Those to its name are another destination.
      socket.sendTo('to the name', first.address());
      change(socket, other.address());
      socket.connect(first.address());
      const [closedFd] = nulls(1);
      closeFd(closedFd);
      socket.send({ data: 'x', fds: [closedFd] }, ({ code }) => codes.push(code));
      const texts = [];
      first.on('data', (data) => {
        texts.push(String(data));
        // There is room now, and nothing of what waits has had a chance yet.
        if (number < 100) send();
      });
      first[kSetReading](1);
      await until(() => texts.length === number + 1, 'all messages');
      assert.equal(texts.filter((text) => text === 'to the name').length, 1);
      // Nor are its callbacks.
      await until(() => codes.length > number, 'all callbacks');
      assert.equal(codes.indexOf('EBADF'), before);
      const expected = Array.from({ length: number }, (_, at) => String(at));
      assert.deepEqual(
        texts.filter((text) => text !== 'to the name'),
        expected,
      );
    });
  }

  test('fails with it, also after a connect() once more, and then its successor is found', async (t) => {
    const name = abstractName();
    const first = openSocket(t).bind(name);
    first[kSetReading](0);
    const socket = openSocket(t).connect(name);
    const codes = [];
    const send = (text) => socket.send(text, (error) => codes.push(error?.code));
    while (socket.writableLength < 3) send('x');
    const waiting = socket.writableLength;
    socket.connect(name);
    await until(() => codes.length > 0, 'what was sent');
    await closed(first);
    await until(() => socket.writableLength === 0, 'the errors');
    assert.deepEqual(codes.slice(-waiting), Array(waiting).fill('ECONNREFUSED'));
    const messages = inbox(openSocket(t).bind(name));
    send('found');
    assert.equal(String((await messages.next()).data), 'found');
    await until(() => codes.at(-1) === undefined, 'its callback');
  });
});

/** Places at which receivers are and are not, and stop reading for a while. */
class Places {
  constructor(t, chance) {
    this.names = [0, 1, 2].map(() => (chance.maybe(0.5) ? abstractName() : temporaryPath(t)));
    this.now = [null, null, null];
    this.all = [];
  }

  start(at) {
    if (this.now[at] !== null) return;
    const socket = new DgramSocket().bind(this.names[at]);
    const receiver = { at, socket, reads: true, isGone: false, got: [] };
    socket.on('data', (data) => receiver.got.push(Number(data)));
    this.now[at] = receiver;
    this.all.push(receiver);
  }

  stop(at) {
    const receiver = this.now[at];
    if (receiver === null) return;
    receiver.socket.close();
    receiver.isGone = true;
    this.now[at] = null;
  }

  stall(at) {
    const receiver = this.now[at];
    if (receiver === null) return;
    receiver.reads = !receiver.reads;
    receiver.socket[kSetReading](+receiver.reads);
  }

  /** All read what is left. */
  finish() {
    for (const receiver of this.now) if (receiver?.reads === false) this.stall(receiver.at);
  }
}

/** A socket that sends to places at random, and what became of each message. */
class Sender {
  constructor(chance, places) {
    this.chance = chance;
    this.places = places;
    this.socket = new DgramSocket({ writableHighWaterMark: chance.one([0, 100, 65_536]) });
    /** Where the peer is; null without one. */
    this.peer = null;
    this.sends = [];
    this.isOver = false;
    this.events = 0;
  }

  /** A callback for the next message, which goes to that place. */
  note(way, to) {
    const sent = { number: this.sends.length, way, to, times: 0, code: undefined, order: 0 };
    this.sends.push(sent);
    return (error) => {
      sent.times++;
      sent.code = error?.code;
      sent.order = ++this.events;
      if (!this.isOver && this.chance.maybe(0.05)) this.step();
    };
  }

  send() {
    this.socket.send(this.message(), this.note('send', this.peer));
  }

  sendTo(at) {
    this.socket.sendTo(this.message(), this.places.names[at], this.note('sendTo', at));
  }

  /** Some are too large, or have a descriptor that is not open. */
  message() {
    const data = String(this.sends.length);
    if (this.chance.maybe(0.03)) return Buffer.alloc(1_000_000);
    return this.chance.maybe(0.03) ? { data, fds: [NEVER_OPEN] } : data;
  }

  connect(at) {
    try {
      this.socket.connect(this.places.names[at]);
      this.peer = at;
    } catch (error) {
      assert.ok(['ENOENT', 'ECONNREFUSED'].includes(error.code), error);
    }
  }

  disconnect() {
    if (this.peer === null) return;
    this.socket.disconnect();
    this.peer = null;
  }

  step() {
    const { chance, places } = this;
    const at = chance.below(3);
    const steps = {
      connect: () => this.connect(at),
      disconnect: () => this.disconnect(),
      send: () => this.send(),
      sendTo: () => this.sendTo(at),
      burst: () => {
        const way = chance.one(['send', 'sendTo']);
        for (let count = 0; count < 25; count++) this[way](at);
      },
      start: () => places.start(at),
      stop: () => places.stop(at),
      stall: () => places.stall(at),
    };
    const weights = { connect: 2, disconnect: 1, send: 8, sendTo: 6, burst: 2 };
    steps[chance.weighted({ ...weights, start: 2, stop: 1, stall: 1.5 })]();
  }
}

/** What is wrong with what arrived, as one line each. */
function faultsOf({ sends }, { all }) {
  const faults = [];
  for (const sent of sends) {
    const { number, to, times, code } = sent;
    const here = all.filter(({ got }) => got.includes(number));
    const count = all.flatMap(({ got }) => got).filter((one) => one === number).length;
    const isExcused = all.some(({ at, isGone }) => isGone && at === to);
    if (times !== 1) faults.push(`${number}: ${times} callbacks`);
    if (count > 1) faults.push(`${number} arrived ${count} times`);
    if (here.length > 0 && here[0].at !== to) {
      faults.push(`${number} for ${to} came to ${here[0].at}`);
    }
    if (code === undefined && count === 0 && !isExcused) faults.push(`${number} is lost`);
    if (code !== undefined && count > 0) faults.push(`${number} arrived, and ${code}`);
  }
  for (const way of ['send', 'sendTo']) {
    for (const { got } of all) {
      const own = got.filter((number) => sends[number].way === way);
      const at = own.findIndex((number, index) => index > 0 && number < own[index - 1]);
      if (at > 0) faults.push(`${own[at]} by ${way}() arrived behind ${own[at - 1]}`);
    }
  }
  for (const [at, way] of [0, 1, 2].flatMap((one) => [
    [one, 'send'],
    [one, 'sendTo'],
  ])) {
    const own = sends.filter((sent) => sent.way === way && sent.to === at);
    const late = own.findIndex(({ order }, index) => index > 0 && order < own[index - 1].order);
    if (late > 0) faults.push(`the callback of ${own[late].number} came before an earlier one`);
  }
  return faults;
}

async function run(t, chance) {
  const places = new Places(t, chance);
  const sender = new Sender(chance, places);
  for (const at of [0, 1, 2]) if (chance.maybe(0.7)) places.start(at);
  for (let count = 10 + chance.below(40); count > 0; count--) {
    sender.step();
    const pause = chance.one([undefined, undefined, tick, turn, () => delay(1), () => delay(4)]);
    await pause?.();
  }
  sender.isOver = true;
  places.finish();
  await until(() => sender.sends.every(({ times }) => times > 0), 'all callbacks');
  const arrived = () => places.all.reduce((sum, { got }) => sum + got.length, 0);
  for (let before = -1; before !== arrived(); await delay(5)) before = arrived();
  const faults = faultsOf(sender, places);
  sender.socket.close();
  for (const receiver of places.now) receiver?.socket.close();
  assert.deepEqual(faults, []);
}

test('peers that come, go, stall and change at random', onLinux(), async (t) => {
  await eachSeed(RUNS, (chance) => run(t, chance));
});
