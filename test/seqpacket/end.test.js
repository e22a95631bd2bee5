'use strict';

// Owns how a SeqpacketSocket ends: end() and half-open, destroy at every moment, and the death of
// the peer, which loses none of its messages.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const {
  closing,
  connectTo,
  connectedPair,
  eventsOf,
  makePair,
  makeServer,
  makeSocket,
  messagesOf,
  quiet,
  startServer,
  texts,
  untilConnections,
  write,
} = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { delay, within } = require('../helpers/wait.js');

assertNoLeaks();

/** Names for messages, in order. */
const numbered = (count) => Array.from({ length: count }, (_, index) => `message ${index}`);

describe('end()', onLinux(), () => {
  test("ends both sides: 'end', 'finish' and one 'close' without an error each", async (t) => {
    const { client, socket } = await connectedPair(t);
    const clientEvents = eventsOf(client);
    const serverEvents = eventsOf(socket);
    socket.resume();
    client.end();
    await Promise.all([closing(client), closing(socket)]);
    assert.deepEqual(clientEvents, ['finish', 'end', 'close false']);
    assert.deepEqual(serverEvents, ['end', 'finish', 'close false']);
  });

  test("needs no 'data' listener at the far end", async (t) => {
    const { client, socket } = await connectedPair(t);
    const events = eventsOf(socket);
    client.end();
    await closing(socket);
    assert.deepEqual(events, ['end', 'finish', 'close false']);
  });

  for (const [what, args, expected] of [
    ['a message', ['last'], ['first', 'last']],
    ['a message and its encoding', ['6869', 'hex'], ['first', 'hi']],
    ['an empty message', [''], ['first', '']],
    ['a message with options', [{ data: Buffer.from('last') }], ['first', 'last']],
    ['null', [null], ['first']],
  ]) {
    test(`takes ${what}, and calls back once`, async (t) => {
      const [one, two] = makePair(t);
      const received = [];
      two.on('data', (message) => received.push(String(message)));
      let calls = 0;
      one.write('first');
      assert.equal(
        one.end(...args, (error) => {
          assert.ifError(error);
          calls++;
        }),
        one,
      );
      assert.equal(calls, 0);
      await closing(two);
      await closing(one);
      assert.deepEqual(received, expected);
      assert.equal(calls, 1);
    });
  }

  test('waits for what is queued', async (t) => {
    const [one, two] = makePair(t);
    const sent = numbered(2000);
    for (const text of sent) one.write(text);
    one.end('the very last');
    assert.ok(one.writableLength > 0);
    const received = [];
    two.on('data', (message) => received.push(String(message)));
    const events = eventsOf(one);
    await Promise.all([closing(one), closing(two)]);
    assert.deepEqual(received, [...sent, 'the very last']);
    assert.deepEqual(events, ['finish', 'end', 'close false']);
  });

  test('fails, and does not say finish, if the peer dies before it has everything', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one);
    const outcomes = new Outcomes();
    two.pause();
    for (const text of numbered(2000)) one.write(text, outcomes.callback());
    let ended;
    one.end('the last', (error) => (ended = error));
    await delay(20);
    two.destroy();
    await closing(one);
    assert.match(ended.code, /^(EPIPE|ECONNRESET)$/);
    assert.equal(events.length, 2, String(events));
    assert.match(events[0], /^error (EPIPE|ECONNRESET)$/);
    assert.equal(events[1], 'close true');
    await outcomes.settled(2000);
    assert.deepEqual(
      outcomes.codes.map(([number]) => number),
      Array.from({ length: 2000 }, (_, number) => number),
    );
    const failed = outcomes.codes.findIndex(([, code]) => code !== undefined);
    assert.ok(failed > 0 && outcomes.codes.slice(failed).every(([, code]) => code !== undefined));
  });

  test('forbids later writes: an error to the callback and as an event', async (t) => {
    const [one] = makePair(t);
    const errors = eventsOf(one, ['error']);
    one.end();
    await assert.rejects(write(one, 'late'), { code: 'ERR_STREAM_WRITE_AFTER_END' });
    await quiet();
    assert.deepEqual(errors, ['error ERR_STREAM_WRITE_AFTER_END']);
  });

  test('takes nothing but a function for the callback, and sends nothing then', async (t) => {
    const [one, other] = makePair(t);
    const got = messagesOf(other);
    for (const callback of ['chunk', Buffer.from('chunk'), 5, {}]) {
      assert.throws(() => one.end('message', 'utf8', callback), { code: 'ERR_INVALID_ARG_TYPE' });
      assert.throws(() => new SeqpacketSocket().end('x', 'utf8', callback), {
        code: 'ERR_INVALID_ARG_TYPE',
      });
    }
    one.end('last');
    assert.deepEqual(await texts(got, 1), ['last']);
    await assert.rejects(got.take(1, 'a message'), /there was 'end'/);
  });

  for (const [what, index] of [
    ['we', 0],
    ['the peer', 1],
  ]) {
    test(`leaves the other direction open with allowHalfOpen, when ${what} end first`, async (t) => {
      const pair = makePair(t, { allowHalfOpen: true });
      const [first, second] = index === 0 ? pair : pair.toReversed();
      const answers = messagesOf(first);
      const events = eventsOf(second);
      const firstEvents = eventsOf(first);
      second.resume();
      first.end('no more from here');
      await nextEvent(second, 'end');
      await assertIdle('a half-open pair');
      assert.deepEqual(events, ['end']);
      assert.equal(second.writable, true);
      assert.equal(first.readyState, 'readOnly');
      await write(second, 'still here');
      await write(second, '');
      assert.deepEqual(await texts(answers, 2), ['still here', '']);
      second.end('bye');
      assert.deepEqual(await texts(answers, 1), ['bye']);
      await closing(first);
      await closing(second);
      assert.deepEqual(firstEvents, ['finish', 'end', 'close false']);
      assert.deepEqual(events, ['end', 'finish', 'close false']);
    });
  }

  test("destroySoon() sends what is queued, then closes without waiting for the peer's end", async (t) => {
    const [one, two] = makePair(t, { allowHalfOpen: true });
    let count = 0;
    two.on('data', () => count++);
    const ended = nextEvent(two, 'end');
    for (const text of numbered(1000)) one.write(text);
    one.destroySoon();
    await closing(one);
    await ended;
    assert.equal(count, 1000);
  });
});

describe('destroy()', onLinux(), () => {
  test("once or thrice, with close() too: one 'close', in a later tick", async (t) => {
    const [one] = makePair(t);
    const events = eventsOf(one);
    let called = 0;
    assert.equal(one.destroy(), one);
    one.destroy();
    one.close(() => called++);
    one.close();
    assert.deepEqual(events, []);
    assert.equal(one.fd, -1);
    await closing(one);
    assert.deepEqual(events, ['close false']);
    assert.equal(called, 1);
    one.close(() => called++);
    await quiet();
    assert.equal(called, 2);
  });

  test("with an error: 'error', then 'close' with true", async (t) => {
    const [one] = makePair(t);
    const events = eventsOf(one);
    one.destroy(Object.assign(new Error('ours'), { code: 'OURS' }));
    await closing(one);
    assert.deepEqual(events, ['error OURS', 'close true']);
  });

  for (const event of ['connect', 'ready', 'data', 'end', 'finish', 'close']) {
    test(`inside '${event}': one 'close'`, async (t) => {
      const server = startServer(t);
      server.on('connection', (socket) => {
        socket.on('error', () => {}); // The client may have gone.
        socket.write('one');
        socket.write('two');
        socket.end();
      });
      const client = connectTo(t, server.address());
      const events = eventsOf(client, ['data', 'error', 'close']);
      let calls = 0;
      client.on(event, () => {
        calls++;
        client.destroy();
      });
      if (event !== 'data') client.resume();
      await closing(client);
      assert.equal(calls, 1);
      assert.equal(events.filter((name) => name.startsWith('close')).length, 1);
      assert.ok(!events.some((name) => name.startsWith('error')), String(events));
      assert.equal(events.at(-1), 'close false');
    });
  }

  test("inside 'error': one 'close', one 'error'", async (t) => {
    const client = makeSocket(t);
    const events = eventsOf(client);
    client.on('error', () => client.destroy(new Error('another')));
    client.connect(abstractName());
    await closing(client);
    assert.deepEqual(events, ['error ECONNREFUSED', 'close true']);
  });

  test('inside the callback of a write: the later ones get an error, all in order', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one);
    const outcomes = new Outcomes();
    const first = outcomes.callback();
    one.write('first', (error) => {
      first(error);
      one.destroy();
    });
    two.pause();
    for (const text of numbered(1000)) one.write(text, outcomes.callback());
    assert.ok(one.writableLength > 0);
    await closing(one);
    assert.deepEqual(events, ['close false']);
    const codes = await outcomes.settled(1001);
    assert.equal(codes.length, 1001);
    assert.ok(codes.every(([number], index) => number === index));
    assert.equal(codes[1000][1], 'ERR_STREAM_DESTROYED');
    assert.equal(one.writableLength, 0);
  });

  test("the callbacks of what waits run before 'close'", async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    const order = [];
    for (const text of numbered(1000)) one.write(text, (error) => order.push(error?.code));
    const reason = Object.assign(new Error('ours'), { code: 'OURS' });
    one.on('error', () => {});
    one.on('close', () => order.push('close'));
    one.destroy(reason);
    await closing(one);
    assert.equal(order.length, 1001);
    assert.equal(order.at(-1), 'close');
    assert.equal(order.at(-2), 'OURS');
  });

  test("while connecting: one 'close', no 'connect', queued writes get an error", async (t) => {
    const server = makeServer(t).listen(abstractName(), 0).pause();
    const sockets = [];
    const waiting = () => sockets.find((socket) => socket.connecting);
    // As many as the backlog holds connect at once.
    while (!waiting()) sockets.push(connectTo(t, server.address()));
    const client = waiting();
    const events = eventsOf(client);
    const written = write(client, 'never sent');
    client.destroy();
    await assert.rejects(written, { code: 'ERR_STREAM_DESTROYED' });
    await closing(client);
    server.resume();
    await delay(100);
    assert.deepEqual(events, ['close false']);
    await untilConnections(server, sockets.length - 1);
  });

  test('before connect(): one close', async (t) => {
    const client = makeSocket(t);
    const events = eventsOf(client);
    client.destroy();
    await closing(client);
    // As in net, whose sockets without a handle have nothing to say of an error.
    assert.deepEqual(events, ['close undefined']);
  });

  test('forbids later writes: an error to the callback alone', async (t) => {
    const [one] = makePair(t);
    const events = eventsOf(one);
    one.destroy();
    await assert.rejects(write(one, 'late'), { code: 'ERR_STREAM_DESTROYED' });
    one.write('late and nobody to hear');
    await quiet();
    assert.deepEqual(events, ['close false']);
  });

  test('an AbortSignal destroys, also one that is aborted already', async (t) => {
    const before = countFds();
    const controller = new AbortController();
    const pair = SeqpacketSocket.pair({ signal: controller.signal });
    const [events, others] = pair.map((end) => eventsOf(end));
    controller.abort();
    await Promise.all(pair.map(closing));
    assert.deepEqual(events, ['error ABORT_ERR', 'close true']);
    assert.deepEqual(others, ['error ABORT_ERR', 'close true']);

    const server = startServer(t);
    const late = makeSocket(t, { signal: controller.signal });
    const lateEvents = eventsOf(late);
    await closing(late);
    assert.deepEqual(lateEvents, ['error ABORT_ERR', 'close undefined']);
    const ends = SeqpacketSocket.pair({ signal: controller.signal });
    const endEvents = ends.map((end) => eventsOf(end));
    await Promise.all(ends.map(closing));
    assert.deepEqual(endEvents, Array(2).fill(['error ABORT_ERR', 'close true']));
    server.close();
    await assertNoLeak(before);
  });

  test('asyncDispose closes', async (t) => {
    const [one] = makePair(t);
    await within(one[Symbol.asyncDispose](), 'asyncDispose');
    assert.equal(one.destroyed, true);
    assert.equal(one.fd, -1);
  });
});
