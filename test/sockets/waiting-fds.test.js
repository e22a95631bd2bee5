'use strict';

// Owns backpressure that counts descriptors: `maxWaitingFds`, and one 'drain' for all that has waited.

const assert = require('node:assert/strict');
const { beforeEach, describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, USocket, closeFd } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { makePair } = require('../helpers/usocket.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

// What the test before destroyed is closed when descriptors are counted.
beforeEach(() => quiet(20));

/** How each kind stalls, sends, goes on. */
const KINDS = {
  DgramSocket: {
    Socket: DgramSocket,
    send: (socket, message, callback) => socket.send(message, callback),
    close: (socket) => socket.close(),
    // Whatever listens to nothing reads all the same: it is the other side that has no owner.
    stall: (socket) => {
      const { fd } = socket.detach();
      return () => new DgramSocket({ fd });
    },
  },
  SeqpacketSocket: {
    Socket: SeqpacketSocket,
    send: (socket, message, callback) => socket.write(message, callback),
    close: (socket) => socket.destroy(),
    stall: (socket) => {
      socket.pause();
      return () => socket.resume();
    },
  },
  USocket: {
    Socket: USocket,
    send: (socket, message, callback) => socket.write(message, callback),
    close: (socket) => socket.destroy(),
    stall: (socket) => {
      socket.pause();
      return () => socket.resume();
    },
  },
};

for (const [name, { Socket, close, send, stall }] of Object.entries(KINDS)) {
  describe(name, onLinux(), () => {
    /** A pair whose second end reads nothing before `goOn()`, with something waiting. */
    async function stalledPair(t, options) {
      const [one, two] = Socket.pair({ receiveFds: false, ...options });
      const resume = stall(two);
      let reader;
      const goOn = () => (reader ??= resume() ?? two);
      await quiet();
      t.after(() => [one, goOn()].forEach(close));
      while (one.writableLength === 0) send(one, Buffer.alloc(1000), () => {});
      // What waits is little: bytes play no part.
      return { one, goOn };
    }

    test('maxWaitingFds descriptors that wait make sends return false', async (t) => {
      const before = countFds();
      const { one, goOn } = await stalledPair(t, {
        maxWaitingFds: 5,
        writableHighWaterMark: 10_000_000,
      });
      const outcomes = new Outcomes();
      const results = [];
      for (let count = 0; count < 4; count++) {
        results.push(send(one, { data: 'x', fds: [0, 1] }, outcomes.callback()));
      }
      // Also one without any has to wait.
      results.push(send(one, 'x', outcomes.callback()));
      assert.deepEqual(results, [true, true, false, false, false]);
      let drains = 0;
      one.on('drain', () => drains++);
      goOn();
      await outcomes.settled();
      await until(() => drains > 0, "'drain'");
      await quiet(10);
      assert.deepEqual(outcomes.codes, Outcomes.all(5, undefined));
      assert.equal(drains, 1);
      assert.equal(send(one, { data: 'x', fds: [0, 1] }, outcomes.callback()), true);
      await outcomes.settled();
      close(one);
      await quiet(10);
      assert.ok(countFds() <= before + 1);
    });

    test('256 by default', async (t) => {
      const { one } = await stalledPair(t, { writableHighWaterMark: 10_000_000 });
      const fds = Array(253).fill(0);
      assert.equal(
        send(one, { data: 'x', fds }, () => {}),
        true,
      );
      assert.equal(
        send(one, { data: 'x', fds: [0, 0] }, () => {}),
        true,
      );
      assert.equal(
        send(one, { data: 'x', fds: [0] }, () => {}),
        false,
      );
    });

    test('what waits is closed with the socket', async () => {
      const before = countFds();
      const [one, two] = Socket.pair();
      const goOn = stall(two);
      await quiet();
      while (one.writableLength === 0) send(one, Buffer.alloc(1000), () => {});
      const outcomes = new Outcomes();
      send(one, { data: 'x', fds: [0, 1, 2] }, outcomes.callback());
      close(one);
      const [[, code]] = await outcomes.settled();
      assert.match(code, /^(ECANCELED|ERR_STREAM_DESTROYED)$/);
      const other = goOn() ?? two;
      other.on('error', () => {});
      close(other);
      await nextEvent(other, 'close');
      await assertNoLeak(before);
    });

    test('is checked', () => {
      for (const maxWaitingFds of [0, -1, 1.5, NaN, 2 ** 31]) {
        assert.throws(() => Socket.pair({ maxWaitingFds }), { code: 'ERR_OUT_OF_RANGE' });
      }
      assert.throws(() => Socket.pair({ maxWaitingFds: '1' }), { code: 'ERR_INVALID_ARG_TYPE' });
    });
  });
}

test(
  'a USocket: those of a write of which a part is sent count until the rest is',
  onLinux(),
  async (t) => {
    const options = { maxWaitingFds: 1, writableHighWaterMark: 10_000_000 };
    const [one, two] = makePair(t, options);
    two.pause();
    const outcomes = new Outcomes();
    const message = { data: Buffer.alloc(2_000_000), fds: [0] };
    assert.equal(one.write(message, outcomes.callback()), false);
    two.on('fds', (fds) => fds.forEach(closeFd)).resume();
    await outcomes.settled();
    assert.equal(one.write({ data: 'x', fds: [0] }, outcomes.callback()), true);
    await outcomes.settled();
    assert.deepEqual(outcomes.codes, Outcomes.all(2, undefined));
  },
);

test(
  'descriptors that wait for bytes make no write return false: no drain would follow',
  onLinux(),
  async (t) => {
    const [one, two] = makePair(t, { maxWaitingFds: 3 });
    const outcomes = new Outcomes();
    for (let count = 0; count < 3; count++) {
      assert.equal(one.write([0, 0], undefined, outcomes.callback()), true);
      assert.equal(one.writableNeedDrain, false);
    }
    const received = nextEvent(two, 'fds');
    // They have waited, up to here: from these bytes on there is something that drains.
    const drained = nextEvent(one, 'drain');
    assert.equal(one.write('x'), false);
    await drained;
    const [fds] = await received;
    fds.forEach(closeFd);
    assert.equal(fds.length, 6);
    assert.deepEqual(await outcomes.settled(), Outcomes.all(3, undefined));
  },
);

test(
  'a write of descriptors without bytes returns false while others wait, as one of no bytes does',
  onLinux(),
  async (t) => {
    const [one, two] = makePair(t, { writableHighWaterMark: 1000 });
    two.pause();
    while (one.write(Buffer.alloc(1000)));
    const outcomes = new Outcomes();
    assert.equal(one.write('', outcomes.callback()), false);
    assert.equal(one.write([0], outcomes.callback()), false);
    const drained = nextEvent(one, 'drain');
    two.resume();
    await drained;
    assert.equal(one.write([0], outcomes.callback()), true);
    const received = nextEvent(two, 'fds');
    one.write('x', outcomes.callback());
    const [fds] = await received;
    fds.forEach(closeFd);
    assert.equal(fds.length, 2);
    assert.deepEqual(await outcomes.settled(), Outcomes.all(4, undefined));
  },
);
