'use strict';

// Owns setTimeout() of the connected kinds: which time counts, and what counts as activity. No test waits for
// a time-out not to come: another socket's, which was set later, has to come first.

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, test } = require('node:test');
const { SeqpacketSocket, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** Milliseconds: long enough for what has to happen before it. */
const SOON = 300;
/** Longer than any wait of a test. */
const NEVER = 1_000_000;
/** How often a test whose time-out came too early, on a busy machine, is tried: each time with one four times as long. */
const TRIES = 5;

/** The first result that is one. */
async function tryLonger(attempt) {
  for (let tried = 0, soon = SOON; tried < TRIES; tried++, soon *= 4) {
    const result = await attempt(soon);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** Waits until a time-out that is set now differs from one of that time by more than the clock's grain. */
const later = (time) => until(() => performance.now() > time + 5, 'the clock to go on');

const CLASSES = { USocket, SeqpacketSocket };

/** Two connected sockets that are destroyed when the test ends; what they receive is thrown away. */
function makePair(t, Class) {
  const pair = Class.pair();
  for (const end of pair) cleanUp(t, end).resume();
  return pair;
}

/** Writes until some wait, of which the callbacks are counted: `{ waiting }`. */
async function fill([one, two]) {
  two.pause();
  const count = { waiting: 0 };
  // The reader stops at its mark: from then on they wait.
  while (one.writableLength === 0) {
    count.waiting++;
    one.write(Buffer.alloc(60_000), () => count.waiting--);
    await quiet(1);
  }
  return count;
}

/** Name → what prepares a pair, and returns the activity of its first socket. */
const ACTIVITIES = {
  'a write that is sent at once': ([one]) => {
    return () => new Promise((done) => one.write('x', done));
  },
  'what it receives': ([one, two]) => {
    return async () => {
      two.write('x');
      await nextEvent(one, 'data');
    };
  },
  'a write that had to wait and is sent, although nothing else is written': async (pair) => {
    const count = await fill(pair);
    return async () => {
      pair[1].resume();
      await until(() => count.waiting === 0, 'the callbacks of what waits');
    };
  },
};

/**
 * In what order a socket whose write had to wait, and is done, and one whose time-out is set then emit 'timeout'.
 * Undefined if that took too long to say anything.
 */
async function orderAfterWait(t, Class, soon) {
  const pair = makePair(t, Class);
  const [idle] = makePair(t, Class);
  pair[0].setTimeout(soon);
  const count = await fill(pair);
  // It has looked how much waits.
  await nextEvent(pair[0], 'timeout');
  pair[1].resume();
  await until(() => count.waiting === 0, 'the callbacks of what waits');
  const order = [];
  const start = performance.now();
  pair[0].once('timeout', () => order.push('waited'));
  await later(start);
  idle.setTimeout(soon, () => order.push('idle'));
  const isLate = performance.now() - start > soon - 50;
  await until(() => order.length === 2, 'both time-outs');
  return isLate ? undefined : order;
}

/**
 * In what order a socket that is active and one that is not, whose time-out is set later, emit
 * 'timeout'. Undefined if the activity took too long to say anything.
 */
async function orderOf(t, Class, prepare, soon) {
  const pair = makePair(t, Class);
  const [idle] = makePair(t, Class);
  const act = await prepare(pair);
  const order = [];
  const start = performance.now();
  pair[0].setTimeout(soon, () => order.push('active'));
  await later(start);
  idle.setTimeout(soon, () => order.push('idle'));
  await act();
  const isLate = performance.now() - start > soon - 50;
  await until(() => order.length === 2, 'both time-outs');
  return isLate ? undefined : order;
}

for (const [name, Class] of Object.entries(CLASSES)) {
  describe(name, onLinux(), () => {
    test('a shorter time takes the place of a longer one', async (t) => {
      const [one] = makePair(t, Class);
      one.setTimeout(NEVER);
      one.setTimeout(20);
      await nextEvent(one, 'timeout');
    });

    test('a longer time takes the place of a shorter one', async (t) => {
      const [one] = makePair(t, Class);
      const [other] = makePair(t, Class);
      let calls = 0;
      one.on('timeout', () => calls++);
      one.setTimeout(20);
      one.setTimeout(NEVER);
      other.setTimeout(60);
      await nextEvent(other, 'timeout');
      assert.equal(calls, 0);
      assert.equal(one.timeout, NEVER);
    });

    test('one that is switched off twice is off', async (t) => {
      const [one] = makePair(t, Class);
      const [other] = makePair(t, Class);
      let calls = 0;
      one.on('timeout', () => calls++);
      one.setTimeout(20).setTimeout(0).setTimeout(0);
      other.setTimeout(60);
      await nextEvent(other, 'timeout');
      assert.equal(calls, 0);
    });

    test('the same time again starts anew', async (t) => {
      const found = await tryLonger(async (soon) => {
        const [one] = makePair(t, Class);
        const [other] = makePair(t, Class);
        const order = [];
        const start = performance.now();
        one.setTimeout(soon, () => order.push('again'));
        other.setTimeout(soon, () => order.push('once'));
        const set = performance.now();
        await later(set);
        one.setTimeout(soon);
        const isLate = performance.now() - start > soon - 50;
        await until(() => order.length >= 2, 'both time-outs');
        return isLate ? undefined : order;
      });
      assert.deepEqual(found, ['once', 'again']);
    });

    test('starts anew when a write that had to wait is done, and not once more', async (t) => {
      const order = await tryLonger((soon) => orderAfterWait(t, Class, soon));
      assert.deepEqual(order, ['waited', 'idle']);
    });

    for (const [activity, prepare] of Object.entries(ACTIVITIES)) {
      test(`starts anew with ${activity}`, async (t) => {
        const order = await tryLonger((soon) => orderOf(t, Class, prepare, soon));
        assert.deepEqual(order, ['idle', 'active']);
      });
    }
  });
}

for (const Class of [net.Socket, USocket, SeqpacketSocket]) {
  test(`comes without a connection, too, and once: ${Class.name}`, onLinux(), async (t) => {
    const socket = cleanUp(t, new Class());
    const events = [];
    socket.on('timeout', () => events.push('timeout')).on('close', () => events.push('close'));
    assert.equal(
      socket.setTimeout(10, () => events.push('callback')),
      socket,
    );
    await nextEvent(socket, 'timeout');
    // Another one, set later, comes behind a second one.
    const later = cleanUp(t, new Class());
    later.setTimeout(30);
    await nextEvent(later, 'timeout');
    assert.deepEqual(events, ['timeout', 'callback']);
    assert.deepEqual([socket.destroyed, socket.connecting, socket.timeout], [false, false, 10]);
  });
}

test('a message that goes on waiting is no activity', onLinux(), async (t) => {
  const prepare = async (pair) => {
    await fill(pair);
    return quiet;
  };
  const order = await tryLonger((soon) => orderOf(t, SeqpacketSocket, prepare, soon));
  assert.deepEqual(order, ['active', 'idle']);
});

test('a write that waits, and of which more is sent, is activity', onLinux(), async (t) => {
  const prepare = async ([one, two]) => {
    two.pause();
    await quiet();
    one.write(Buffer.alloc(4_000_000));
    return async () => {
      const enough = two.bytesRead + 1_000_000;
      two.on('data', () => two.bytesRead > enough && two.pause()).resume();
      await until(() => two.isPaused(), 'some of it');
    };
  };
  const order = await tryLonger((soon) => orderOf(t, USocket, prepare, soon));
  assert.deepEqual(order, ['idle', 'active']);
});
