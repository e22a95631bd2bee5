'use strict';

// Owns what becomes of a datagram for which there is no room: `whenFull`, `dropped`, backpressure, end().

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { DgramSocket } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startStalled } = require('../helpers/node.js');
const { own } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { Outcomes, closed, inbox, nextEvent, openSocket, turn } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** Sends until one fails for want of room; returns how many went. */
async function fill(socket, send) {
  let count = 0;
  for (;;) {
    const error = await within(new Promise((done) => send(done)), 'a callback');
    assert.equal(socket.writableLength, 0);
    if (error !== undefined) {
      assert.equal(error.code, 'EAGAIN');
      assert.equal(error.syscall, 'sendmsg');
      return count;
    }
    count++;
  }
}

describe("whenFull: 'fail'", onLinux(), () => {
  test('a name that cannot be is the outcome, and not dropped', async (t) => {
    const socket = openSocket(t, { whenFull: 'fail' });
    const error = await new Promise((done) => socket.sendTo('x', `/${'x'.repeat(200)}`, done));
    assert.deepEqual([error.code, error.syscall], ['ENAMETOOLONG', 'sendmsg']);
    assert.equal(socket.dropped, 0);
  });

  for (const how of ['sendTo()', 'send()']) {
    test(`${how}: EAGAIN to the callback, never queued, counted`, async (t) => {
      const receiver = await startStalled(t, temporaryPath(t));
      const socket = openSocket(t, { whenFull: 'fail' });
      if (how === 'send()') socket.connect(receiver.name);
      const send = (callback) =>
        how === 'send()'
          ? socket.send('x', callback)
          : socket.sendTo('x', 0, 1, receiver.name, callback);
      assert.equal(socket.dropped, 0);
      const sent = await fill(socket, send);
      assert.ok(sent > 0);
      assert.equal(socket.dropped, 1);
      const outcomes = new Outcomes();
      for (let round = 0; round < 5; round++) assert.equal(send(outcomes.callback()), true);
      assert.deepEqual(await outcomes.settled(), Outcomes.all(5, 'EAGAIN'));
      assert.equal(socket.dropped, 6);
      receiver.resume();
      assert.equal((await receiver.take(sent)).length, sent);
      // There is room again.
      const now = new Outcomes();
      send(now.callback());
      assert.deepEqual(await now.settled(), [[0, undefined]]);
      assert.equal(socket.dropped, 6);
    });
  }

  test("without a callback: 'error'", async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const socket = openSocket(t, { whenFull: 'fail' });
    await fill(socket, (callback) => socket.sendTo('x', receiver.name, callback));
    const failing = nextEvent(socket, 'error');
    socket.sendTo('x', receiver.name);
    const [error] = await failing;
    assert.deepEqual([error.code, error.path], ['EAGAIN', receiver.name]);
    assert.ok(socket.fd >= 0);
  });

  test('other faults are none of it, and other destinations go on', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const other = openSocket(t).bind(temporaryPath(t));
    const messages = inbox(other);
    const socket = openSocket(t, { whenFull: 'fail' });
    await fill(socket, (callback) => socket.sendTo('x', receiver.name, callback));
    const outcomes = new Outcomes();
    socket.sendTo('x', `${receiver.name}-nobody`, outcomes.callback());
    socket.sendTo('through', other.address(), outcomes.callback());
    assert.deepEqual(await outcomes.settled(), [
      [0, 'ENOENT'],
      [1, undefined],
    ]);
    assert.equal(String((await messages.next()).data), 'through');
    assert.equal(socket.dropped, 1);
  });

  test("'wait', the default, queues and drops nothing", async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    for (const options of [{}, { whenFull: 'wait' }, { whenFull: undefined }]) {
      const socket = openSocket(t, options);
      while (socket.writableLength === 0) socket.sendTo('x', receiver.name, () => {});
      assert.equal(socket.dropped, 0);
    }
    await assertIdle('messages that wait');
  });

  test('another value is refused', () => {
    for (const whenFull of [null, 'drop', true, 0]) {
      assert.throws(() => new DgramSocket({ whenFull }), { code: 'ERR_INVALID_ARG_VALUE' });
    }
  });
});

test("one 'drain' for all that has waited", onLinux(), async (t) => {
  const receiver = await startStalled(t, temporaryPath(t));
  const socket = openSocket(t, { writableHighWaterMark: 100 });
  let drains = 0;
  socket.on('drain', () => drains++);
  const outcomes = new Outcomes();
  while (socket.sendTo('0123456789', receiver.name, outcomes.callback()));
  for (let more = 0; more < 5; more++) {
    assert.equal(socket.sendTo('0123456789', receiver.name, outcomes.callback()), false);
  }
  assert.deepEqual([drains, socket.writableNeedDrain], [0, true]);
  receiver.resume();
  await outcomes.settled();
  await turn();
  assert.deepEqual([drains, socket.writableNeedDrain, socket.writableLength], [1, false, 0]);
});

describe('end()', onLinux(), () => {
  test('sends what waits, then closes; nothing more can be sent', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const path = temporaryPath(t);
    const socket = openSocket(t).bind(path);
    const order = [];
    socket.on('close', () => order.push('close'));
    let sent = 0;
    while (socket.writableLength < 5) {
      socket.sendTo(`${sent++}`, receiver.name, (error) => order.push(error?.code ?? 'sent'));
    }
    assert.equal(
      socket.end(() => order.push('ended')),
      socket,
    );
    socket.end(() => order.push('ended again'));
    const refusal = { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' };
    assert.throws(() => socket.sendTo('late', receiver.name), refusal);
    assert.throws(() => socket.send('late'), refusal);
    assert.throws(() => socket.connect(receiver.name), refusal);
    await turn();
    assert.ok(socket.fd >= 0 && fs.existsSync(path));
    receiver.resume();
    const texts = await receiver.texts(sent);
    assert.deepEqual(
      texts,
      Array.from({ length: sent }, (_, index) => `${index}`),
    );
    if (socket.fd >= 0) await once(socket, 'close');
    await turn();
    assert.deepEqual(order, [...Array(sent).fill('sent'), 'close', 'ended', 'ended again']);
    assert.equal(fs.existsSync(path), false);
  });

  test('closes at once where nothing waits, and calls back though it is closed', async (t) => {
    const socket = openSocket(t).bind();
    const order = [];
    socket.on('close', () => order.push('close'));
    await within(new Promise((done) => socket.end(done)), "end()'s callback");
    await within(new Promise((done) => socket.end(done)), "end()'s callback");
    assert.deepEqual([order, socket.fd], [['close'], -1]);
    assert.throws(() => socket.end('text'), { code: 'ERR_INVALID_ARG_TYPE' });
  });

  test('receives no more', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const socket = openSocket(t).bind();
    socket.on('data', () => assert.fail('received'));
    while (socket.writableLength === 0) socket.sendTo('x', receiver.name);
    const address = socket.address();
    socket.end();
    const peer = openSocket(t);
    await new Promise((done) => peer.sendTo('unheard', address, done));
    await turn();
    receiver.resume();
    await nextEvent(socket, 'close');
  });

  test('receives no more behind an iterator that is broken off, either', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const socket = openSocket(t).bind();
    while (socket.writableLength === 0) socket.sendTo('x', receiver.name);
    const address = socket.address();
    const iterator = socket[Symbol.asyncIterator]();
    iterator.next();
    socket.end();
    await iterator.return();
    socket.on('data', () => assert.fail('received'));
    await new Promise((done) => openSocket(t).sendTo('unheard', address, done));
    await turn();
    receiver.resume();
    await nextEvent(socket, 'close');
  });

  test('close() cuts it short: ECANCELED', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const socket = openSocket(t);
    const outcomes = new Outcomes();
    while (socket.writableLength === 0) socket.sendTo('x', receiver.name, outcomes.callback());
    const ended = new Promise((done) => socket.end(done));
    await closed(socket);
    await within(ended, "end()'s callback");
    assert.equal(outcomes.codes.at(-1)[1], 'ECANCELED');
  });

  test('is what asyncDispose does', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const socket = openSocket(t);
    let sent = 0;
    while (socket.writableLength === 0) socket.sendTo(`${sent++}`, receiver.name);
    const disposed = socket[Symbol.asyncDispose]();
    receiver.resume();
    await within(disposed, 'asyncDispose');
    assert.equal((await receiver.take(sent)).length, sent);
    assert.equal(socket.fd, -1);
  });
});

describe('a full send buffer', onLinux(), () => {
  const SIZE = 100_000;

  /** A receiver that reads on command. */
  function makeReceiver(t) {
    const path = temporaryPath(t);
    const fd = own(t, posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM | posix.SOCK_NONBLOCK, 0));
    posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path: path });
    const room = Buffer.alloc(SIZE);
    const take = () => {
      try {
        return posix.recv(fd, room, SIZE, 0) === SIZE;
      } catch (error) {
        assert.equal(error.code, 'EAGAIN');
        return false;
      }
    };
    return { path, take };
  }

  test('is shared by the destinations, in turns', async (t) => {
    const [first, second] = [makeReceiver(t), makeReceiver(t)];
    const socket = openSocket(t);
    const outcomes = new Outcomes();
    const send = ({ path }) => socket.sendTo(Buffer.alloc(SIZE), path, outcomes.callback());
    for (let count = 0; count < 30; count++) send(first);
    send(second);
    let taken = 0;
    await until(() => {
      if (first.take()) taken++;
      return second.take();
    }, 'the message to the second');
    assert.ok(taken < 15, `only after ${taken} of 30 to the first`);
    await until(() => {
      if (first.take()) taken++;
      return taken === 30;
    }, 'the rest');
    await outcomes.settled();
    assert.deepEqual(outcomes.errors, []);
  });
});
