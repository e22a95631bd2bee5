'use strict';

// Owns the order of callbacks and messages where sends fail behind others that wait: each callback comes in the order of
// the sends to its destination, and what fails leaves no gap in what arrives.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket } = require('../../lib');
const posix = require('../../posix.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { open } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const CLOSED_FD = 999_999;

/** Whether a message is there. */
function isReadable(fd) {
  try {
    return posix.recv(fd, Buffer.alloc(1), 1, posix.MSG_PEEK | posix.MSG_DONTWAIT) >= 0;
  } catch (error) {
    if (error.code === 'EAGAIN') return false;
    throw error;
  }
}

/** Both ends of a pair and `send(text | bad, callback)`, with the outcomes as `[number, code]` in order. */
function makeSender(t, Class) {
  const [one, two] = Class.pair();
  for (const end of [one, two]) {
    if (Class === DgramSocket) t.after(() => end.close());
    else cleanUp(t, end);
  }
  const outcomes = [];
  let count = 0;
  const send = (size, { fails = false, isSilent = false } = {}) => {
    const number = count++;
    const data = Buffer.alloc(size, `${number}`);
    data.writeUInt32BE(number);
    const callback = (error) => outcomes.push(error ? [number, error.code] : [number]);
    const message = fails ? { data, fds: [CLOSED_FD] } : data;
    const given = isSilent ? [] : [callback];
    if (Class === DgramSocket) one.send(message, ...given);
    else one.write(message, ...given);
    return number;
  };
  const fill = () => {
    while (one.writableLength < 20_000) send(10_000);
  };
  return { one, two, send, fill, outcomes, sent: () => count };
}

for (const [name, Class] of Object.entries({ DgramSocket, SeqpacketSocket })) {
  describe(`sends that fail behind others that wait: ${name}`, onLinux({}), () => {
    test('are called back in their places, and the others arrive in order', async (t) => {
      const { two, send, fill, outcomes, sent } = makeSender(t, Class);
      fill();
      const failing = [send(4, { fails: true }), send(4, { fails: true })];
      send(4);
      send(10_000);
      failing.push(send(4, { fails: true }));
      send(4);
      const received = [];
      two.on('data', (data) => received.push(data.readUInt32BE()));
      await until(() => outcomes.length === sent(), 'the callbacks');
      const numbers = [...Array(sent()).keys()];
      assert.deepEqual(
        outcomes,
        numbers.map((number) => (failing.includes(number) ? [number, 'EBADF'] : [number])),
      );
      const arriving = numbers.filter((number) => !failing.includes(number));
      await until(() => received.length >= arriving.length, 'the messages');
      assert.deepEqual(received, arriving);
    });

    test('count as what waits, and none is lost, however many they are', async (t) => {
      const { one, two, send, fill, outcomes, sent } = makeSender(t, Class);
      fill();
      const before = sent();
      let drains = 0;
      one.on('drain', () => drains++);
      while (!one.writableNeedDrain && sent() < 5000) send(4, { fails: true });
      assert.ok(sent() < 5000);
      // Who does not heed that loses nothing.
      while (sent() < 80_000) send(4, { fails: true });
      two.on('data', () => {});
      await until(() => outcomes.length === sent(), 'the callbacks');
      assert.deepEqual(
        outcomes,
        outcomes.map((_, number) => (number < before ? [number] : [number, 'EBADF'])),
      );
      await until(() => drains > 0, 'drain');
      assert.deepEqual([drains, one.writableNeedDrain], [1, false]);
    });

    test("are 'error' events in the same place where they have no callback", async (t) => {
      const { one, two, send, fill, outcomes, sent } = makeSender(t, Class);
      fill();
      const failing = send(4, { fails: true, isSilent: true });
      one.on('error', (error) => outcomes.push([failing, error.code]));
      send(4);
      two.on('data', () => {});
      await until(() => outcomes.length === sent(), 'the outcomes');
      const numbers = [...Array(sent()).keys()];
      assert.deepEqual(
        outcomes,
        numbers.map((number) => (number === failing ? [number, 'EBADF'] : [number])),
      );
    });

    test('keep their errors and their places where the socket is closed first', async (t) => {
      const { one, send, fill, outcomes, sent } = makeSender(t, Class);
      fill();
      const waiting = sent() - 1;
      const failing = send(4, { fails: true });
      const last = send(4);
      if (Class === DgramSocket) one.close();
      else one.destroy();
      await until(() => outcomes.length === sent(), 'the callbacks');
      assert.deepEqual(
        outcomes.map(([number]) => number),
        [...Array(sent()).keys()],
      );
      const cancelled = Class === DgramSocket ? 'ECANCELED' : 'ERR_STREAM_DESTROYED';
      assert.deepEqual(outcomes.slice(waiting), [
        [waiting, cancelled],
        [failing, 'EBADF'],
        [last, cancelled],
      ]);
    });
  });
}

describe('sends that fail behind others that wait for another destination', onLinux({}), () => {
  test('do not wait for those', async (t) => {
    const [full, free] = [abstractName(), abstractName()];
    const stalled = open(t, posix.AF_UNIX, posix.SOCK_DGRAM);
    posix.bind(stalled, { sun_family: posix.AF_UNIX, sun_path: full });
    const reader = new DgramSocket().bind(free);
    const sender = new DgramSocket();
    t.after(() => [reader, sender].forEach((socket) => socket.close()));
    const outcomes = [];
    const note = (text) => (error) => outcomes.push(error ? `${text} ${error.code}` : text);
    while (sender.writableLength === 0) sender.sendTo('x', full, () => {});
    sender.sendTo('y', full, note('waits'));
    sender.sendTo({ data: 'z', fds: [CLOSED_FD] }, full, note('behind it'));
    sender.sendTo({ data: 'z', fds: [CLOSED_FD] }, free, note('elsewhere'));
    const messages = [];
    reader.on('message', (data) => messages.push(`${data}`));
    sender.sendTo('arrives', free, note('sent'));
    await until(() => outcomes.length === 2 && messages.length === 1, 'what does not wait');
    await quiet();
    assert.deepEqual([outcomes, messages], [['elsewhere EBADF', 'sent'], ['arrives']]);
    // Room is made by reading, also while it is waited for.
    const room = Buffer.alloc(10);
    await until(() => {
      while (outcomes.length < 4 && isReadable(stalled)) posix.recv(stalled, room, 10);
      return outcomes.length === 4;
    }, 'what waited');
    assert.deepEqual(outcomes.slice(2), ['waits', 'behind it EBADF']);
  });
});

describe('a message for which there is room', onLinux({}), () => {
  const WAYS = {
    'DgramSocket, connected'(t) {
      const [one, two] = DgramSocket.pair();
      t.after(() => one.close() && two.close());
      return { one, two, send: (data) => one.send(data) };
    },
    'DgramSocket, by name'(t) {
      const [one, two] = [new DgramSocket(), new DgramSocket().bind()];
      t.after(() => one.close() && two.close());
      const name = two.address();
      return { one, two, send: (data) => one.sendTo(data, name) };
    },
    SeqpacketSocket(t) {
      const [one, two] = SeqpacketSocket.pair().map((end) => cleanUp(t, end));
      return { one, two, send: (data) => one.write(data) };
    },
  };
  for (const [what, make] of Object.entries(WAYS)) {
    test(`does not overtake those that wait: ${what}`, async (t) => {
      const { one, two, send } = make(t);
      const received = [];
      let count = 0;
      const next = () => send(Buffer.from(String(count++).padEnd(1000)));
      while (one.writableLength === 0) next();
      // All in one turn: nobody goes on with what waits.
      const first = Buffer.alloc(1000);
      posix.recv(two.fd, first, first.length, posix.MSG_DONTWAIT);
      received.push(Number(first));
      next();
      two.on('data', (data) => received.push(Number(data)));
      await until(() => received.length === count, 'all messages');
      assert.deepEqual(received, [...Array(count).keys()]);
    });
  }
});
