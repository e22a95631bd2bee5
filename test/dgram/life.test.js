'use strict';

// Owns a socket's life: async iteration, AbortSignal, asyncDispose, and whether it keeps the process
// alive.

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript, startStalled } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const {
  Outcomes,
  closed,
  inbox,
  nextEvent,
  openPair,
  openSocket,
  send,
  sendTo,
  turn,
} = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

/** The next result of an iterator, in time. */
const next = (iterator) => within(iterator.next(), 'the next message');

const DONE = { value: undefined, done: true };

/** How many listeners an iterator could have left behind. */
function countListeners(socket) {
  const events = ['data', 'error', 'close', 'drain'];
  return events.reduce((sum, event) => sum + socket.listenerCount(event), 0);
}

describe('async iteration', () => {
  test('yields the messages in order, with all that comes along', onLinux({}), async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t, { receiveFds: true, credentials: true }).bind(path);
    const sender = openSocket(t).bind(`${path}2`);
    for (let number = 0; number < 5; number++) {
      sender.sendTo(`${number}`, path, { fds: number === 3 ? [0] : [] });
    }
    const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
    let number = 0;
    for await (const message of socket) {
      assert.deepEqual(Object.keys(message).sort(), ['credentials', 'data', 'fds', 'path']);
      assert.equal(String(message.data), `${number}`);
      assert.equal(message.path, `${path}2`);
      assert.deepEqual(message.credentials, me);
      assert.equal(message.fds.length, number === 3 ? 1 : 0);
      for (const fd of message.fds) fs.closeSync(fd);
      if (++number === 5) break;
    }
    assert.equal(number, 5);
  });

  test('holds the sender back while the loop body is busy, and loses nothing', async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t).bind(path);
    const sender = openSocket(t);
    const iterator = socket[Symbol.asyncIterator]();
    const first = iterator.next();
    const outcomes = new Outcomes();
    for (let number = 0; number < 1000; number++) {
      sender.sendTo(`${number}`, path, outcomes.callback());
    }
    assert.equal(String((await first).value.data), '0');
    for (let turns = 0; turns < 50; turns++) await turn();
    const sent = outcomes.codes.length;
    assert.ok(sent < 300, `${sent} of 1000 messages were taken although nobody asked`);
    for (let number = 1; number < 1000; number++) {
      assert.equal(String((await next(iterator)).value.data), `${number}`);
    }
    assert.deepEqual(await outcomes.settled(), Outcomes.all(1000));
    await iterator.return();
  });

  test('ends when the socket is closed, waiting or busy', async (t) => {
    for (const when of ['waiting', 'busy', 'paused', 'before']) {
      const [one, two] = openPair(t);
      const iterator = two[Symbol.asyncIterator]();
      if (when === 'before') {
        await closed(two);
      } else if (when === 'waiting') {
        const waiting = iterator.next();
        two.close();
        assert.deepEqual(await within(waiting, 'the end'), DONE);
      } else {
        for (let count = 0; count < (when === 'busy' ? 3 : 250); count++) one.send('x');
        assert.equal(String((await next(iterator)).value.data), 'x');
        await turn();
        two.close();
        // What it had already may still come.
        let rest = 0;
        while (!(await next(iterator)).done) rest++;
        assert.ok(rest < 250, `${rest} messages after close`);
      }
      assert.deepEqual(await next(iterator), DONE);
      assert.equal(countListeners(two), 0);
    }
  });

  test("throws what would be an 'error' event, and the socket stays open", async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t).bind(path);
    const iterator = socket[Symbol.asyncIterator]();
    const waiting = iterator.next();
    socket.sendTo('x', `${path}-nobody`);
    await assert.rejects(within(waiting, 'the error'), { code: 'ENOENT' });
    assert.deepEqual(await next(iterator), DONE);
    assert.equal(countListeners(socket), 0);
    const messages = inbox(socket);
    await sendTo(openSocket(t), 'still here', path);
    assert.equal(String((await messages.next()).data), 'still here');
  });

  test('that is broken off leaves the socket usable, and can be taken up again', async (t) => {
    const [one, two] = openPair(t);
    for (const round of [0, 1, 2]) {
      const sent = send(one, `${round}`);
      for await (const { data } of two) {
        assert.equal(String(data), `${round}`);
        break;
      }
      await sent;
      assert.equal(countListeners(two), 0);
    }
    await assert.rejects(async () => {
      const sent = send(one, 'x');
      for await (const { data } of two) throw new Error(`${data} is no good`, { cause: sent });
    }, /x is no good/);
    assert.equal(countListeners(two), 0);
    const messages = inbox(two);
    await send(one, 'event');
    assert.equal(String((await messages.next()).data), 'event');
  });

  test('that is broken off while paused lets the socket read again', async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t).bind(path);
    const sender = openSocket(t);
    const outcomes = new Outcomes();
    for (let number = 0; number < 1000; number++) sender.sendTo('x', path, outcomes.callback());
    const iterator = socket[Symbol.asyncIterator]();
    await next(iterator);
    for (let turns = 0; turns < 10; turns++) await turn();
    assert.ok(outcomes.codes.length < 1000, 'the socket is not paused');
    await iterator.return();
    assert.deepEqual(await outcomes.settled(), Outcomes.all(1000));
  });

  test('can be ended while it waits for a message', async (t) => {
    const socket = openSocket(t).bind(temporaryPath(t));
    const messages = socket[Symbol.asyncIterator]();
    const pending = messages.next();
    const done = { value: undefined, done: true };
    assert.deepEqual(await within(messages.return(), 'the end of the iteration'), done);
    assert.deepEqual(await pending, done);
    assert.deepEqual(await messages.next(), done);
    for (const event of ['data', 'error', 'close']) assert.equal(socket.listenerCount(event), 0);
    const again = socket[Symbol.asyncIterator]();
    const first = again.next();
    socket.sendTo('x', socket.address());
    assert.equal(String((await first).value.data), 'x');
    await again.return();
  });

  test('that is broken off closes the descriptors of messages not seen', onLinux({}), async (t) => {
    const fd = fs.openSync('/dev/null');
    t.after(() => fs.closeSync(fd));
    for (const how of ['break', 'close']) {
      const [one, two] = openPair(t, { receiveFds: true });
      const before = countFds();
      const iterator = two[Symbol.asyncIterator]();
      const first = iterator.next();
      for (let count = 0; count < 30; count++) one.send({ data: 'x', fds: [fd, fd] });
      for (const mine of (await first).value.fds) fs.closeSync(mine);
      await turn();
      if (how === 'close') await closed(two);
      await iterator.return();
      if (how === 'break') await closed(two);
      await assertNoLeak(before - 1);
    }
  });
});

describe('an AbortSignal', () => {
  test('closes the socket: what waits is cancelled, the file is removed', async (t) => {
    const path = temporaryPath(t);
    const controller = new AbortController();
    const options = { signal: controller.signal, sendBufferSize: 1 };
    const socket = openSocket(t, options).bind(path);
    const peer = openSocket(t).bind(`${path}2`).connect(path);
    void peer;
    const outcomes = new Outcomes();
    for (let count = 0; count < 50; count++) socket.sendTo('x', `${path}2`, outcomes.callback());
    assert.ok(socket.writableLength > 0, 'none waits');
    const close = nextEvent(socket, 'close');
    controller.abort();
    assert.equal(socket.fd, -1);
    assert.equal(fs.existsSync(path), false);
    await close;
    await outcomes.settled();
    assert.deepEqual(outcomes.codes.at(-1), [49, 'ECANCELED']);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });

  test('that is aborted already closes in the next tick', async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t, { signal: AbortSignal.abort() });
    socket.bind(path);
    assert.ok(fs.existsSync(path));
    await nextEvent(socket, 'close');
    assert.equal(fs.existsSync(path), false);
    assert.throws(() => socket.bind(path), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
  });

  test('keeps nothing of a socket that is closed or was never made', async (t) => {
    const { signal } = new AbortController();
    const listeners = () => getEventListeners(signal, 'abort').length;
    assert.throws(() => new DgramSocket({ signal, fd: 1_000_000 }), { code: 'EBADF' });
    assert.throws(() => new DgramSocket({ signal, receiveBufferSize: -1 }), RangeError);
    assert.throws(() => DgramSocket.pair({ signal, receiveBufferSize: -1 }), RangeError);
    assert.equal(listeners(), 0);
    const sockets = [openSocket(t, { signal }), openSocket(t, { signal }).bind(temporaryPath(t))];
    sockets.push(...openPair(t, { signal }));
    assert.equal(listeners(), 4);
    for (const socket of sockets) await closed(socket);
    assert.equal(listeners(), 0);
  });

  test('closes both ends of a pair, and ends iteration', async (t) => {
    const controller = new AbortController();
    const [one, two] = openPair(t, { signal: controller.signal });
    const closes = [nextEvent(one, 'close'), nextEvent(two, 'close')];
    const waiting = two[Symbol.asyncIterator]().next();
    controller.abort();
    await Promise.all(closes);
    assert.deepEqual(await within(waiting, 'the end'), DONE);
  });
});

describe('Symbol.asyncDispose', () => {
  test("closes, and resolves after 'close'", async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t).bind(path);
    let isClosed = false;
    socket.on('close', () => (isClosed = true));
    const disposed = socket[Symbol.asyncDispose]();
    assert.equal(fs.existsSync(path), false);
    assert.equal(await within(disposed, 'asyncDispose'), undefined);
    assert.equal(isClosed, true);
    await within(socket[Symbol.asyncDispose](), 'asyncDispose of a closed socket');
  });
});

describe('ref and unref', () => {
  test('are shown by hasRef, and can be chained', async (t) => {
    const socket = openSocket(t);
    assert.equal(socket.hasRef(), true);
    assert.equal(socket.unref(), socket);
    assert.equal(socket.hasRef(), false);
    socket.bind(temporaryPath(t));
    assert.equal(socket.hasRef(), false);
    assert.equal(socket.ref().hasRef(), true);
    await closed(socket);
    assert.equal(socket.hasRef(), false);
    assert.equal(socket.unref().ref(), socket);
  });

  /** What a process does with sockets, and whether it ends by itself then. */
  const SCRIPTS = {
    'an unbound socket': [true, ({ DgramSocket: Socket }) => void new Socket()],
    'a bound one': [false, ({ DgramSocket: Socket }, path) => void new Socket().bind(path)],
    'a connected one': [
      false,
      ({ DgramSocket: Socket }, path) => {
        new Socket().bind(path).unref();
        new Socket().connect(path);
      },
    ],
    'a pair': [false, ({ DgramSocket: Socket }) => void Socket.pair()],
    'a bound one, closed': [
      true,
      ({ DgramSocket: Socket }, path) => void new Socket().bind(path).close(),
    ],
    'a bound one, unref()ed': [
      true,
      ({ DgramSocket: Socket }, path) => void new Socket().bind(path).unref(),
    ],
    'one that was unref()ed before it was bound': [
      true,
      ({ DgramSocket: Socket }, path) => void new Socket().unref().bind(path),
    ],
    'one that was unref()ed and ref()ed': [
      false,
      ({ DgramSocket: Socket }, path) => void new Socket().unref().bind(path).ref(),
    ],
    'a pair, unref()ed': [
      true,
      ({ DgramSocket: Socket }) => Socket.pair().forEach((socket) => socket.unref()),
    ],
    'a loop over messages': [
      false,
      async ({ DgramSocket: Socket }, path) => {
        for await (const message of new Socket().bind(path)) console.log(message);
      },
    ],
    'a loop over messages of one that was unref()ed': [
      true,
      async ({ DgramSocket: Socket }, path) => {
        for await (const message of new Socket().bind(path).unref()) console.log(message);
      },
    ],
  };

  for (const [name, [ends, body]] of Object.entries(SCRIPTS)) {
    test(`${name} ${ends ? 'lets the process end' : 'keeps the process alive'}`, async (t) => {
      const path = temporaryPath(t);
      const program = startScript(t, body, [path], {
        // Prints when the event loop has nothing left to do.
        env: { ...process.env, NODE_OPTIONS: `--require=${__dirname}/../helpers/idle.js` },
      });
      assert.equal(await program.lines.next(), ends ? 'beforeExit' : 'alive');
      if (ends) assert.equal((await program.ended()).code, 0);
      else program.kill();
    });
  }

  test('messages that wait keep the process alive until they are sent', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    for (const referenced of [true, false]) {
      const program = startScript(
        t,
        ({ DgramSocket: Socket }, to, keep) => {
          const socket = new Socket();
          if (!keep) socket.unref();
          for (let number = 0; number < 100; number++) socket.sendTo(`${number}`, to);
        },
        [receiver.name, referenced],
      );
      if (referenced) {
        receiver.resume();
        assert.equal((await receiver.texts(100)).at(-1), '99');
        await receiver.stop();
      }
      assert.equal((await program.ended()).code, 0);
    }
  });
});

test('an iterator that was never asked for a message can be ended', onLinux(), async (t) => {
  const socket = openSocket(t).bind();
  const before = getEventListeners(socket, 'data').length;
  const iterator = socket[Symbol.asyncIterator]();
  const ended = { value: 'ended', done: true };
  assert.deepEqual(await within(iterator.return('ended'), 'return()'), ended);
  assert.deepEqual(await within(iterator.next(), 'next()'), { value: undefined, done: true });
  assert.equal(getEventListeners(socket, 'data').length, before);
});

test('an iterator of an unbound socket that is broken off lets the process end', async (t) => {
  const program = startScript(t, async ({ DgramSocket: Socket }) => {
    const iterator = new Socket()[Symbol.asyncIterator]();
    iterator.next();
    await iterator.return();
  });
  assert.equal((await program.ended()).code, 0);
});
