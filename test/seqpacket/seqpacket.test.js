'use strict';

// Owns messages of SeqpacketSocket: their boundaries, sizes and order, all overloads of write() and
// its callbacks, backpressure both ways, time-outs. For descriptors, credentials and connect() see
// seqpacket-connect.test.js.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { randomBytes } = require('node:crypto');
const { describe, test } = require('node:test');
const { Readable, Transform, Writable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { SeqpacketSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const {
  closing,
  connectedPair,
  eventsOf,
  fillUp,
  makePair,
  messagesOf,
  quiet,
  texts,
  write,
} = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { delay, until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** Names for messages, in order. */
const numbered = (count) => Array.from({ length: count }, (_, index) => `message ${index}`);

/** More than the kernel takes of a message with the default buffer, 212992 bytes. */
const TOO_LARGE = 300_000;

/** Everything a socket receives until its end, as texts. */
async function allTexts(socket) {
  const got = [];
  socket.on('data', (message) => got.push(String(message)));
  await nextEvent(socket, 'end');
  return got;
}

describe('messages', onLinux(), () => {
  test('arrive whole and singly, in order, both ways', async (t) => {
    const { client, socket } = await connectedPair(t);
    for (const [from, to] of [
      [client, socket],
      [socket, client],
    ]) {
      const messages = messagesOf(to);
      for (const text of numbered(1000)) from.write(text);
      assert.deepEqual(await texts(messages, 1000), numbered(1000));
    }
  });

  for (const [what, sent] of [
    ['alone', ['']],
    ['first', ['', 'a', 'b']],
    ['last', ['a', 'b', '']],
    ['in between', ['a', '', 'b']],
    ['several', ['', '', 'a', '', '', '', 'b', '', '']],
    ['only', Array(100).fill('')],
  ]) {
    for (const reader of ['data', 'iteration', 'readable']) {
      test(`may be empty: ${what}, right before the end (${reader})`, async (t) => {
        const [one, two] = makePair(t);
        for (const text of sent) one.write(text);
        one.end();
        const got = [];
        if (reader === 'data') {
          got.push(...(await allTexts(two)));
        } else if (reader === 'iteration') {
          for await (const message of two) got.push(String(message));
        } else {
          two.on('readable', () => {
            for (let message; (message = two.read()) !== null;) got.push(String(message));
          });
          await nextEvent(two, 'end');
        }
        assert.deepEqual(got, sent);
      });
    }
  }

  test('may be empty one at a time, with pauses', async (t) => {
    const [one, two] = makePair(t);
    const messages = messagesOf(two);
    for (const text of ['', 'a', '', '']) {
      one.write(text);
      assert.deepEqual(await texts(messages, 1), [text]);
      await delay(2);
    }
  });

  test('have any size up to the limit', async (t) => {
    const [one, two] = makePair(t);
    const messages = messagesOf(two);
    const sizes = [0, 1, 2, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 200_000, 212_000];
    for (const size of [...sizes, ...sizes.toReversed()]) {
      const data = randomBytes(size);
      one.write(data);
      const got = await messages.next(`${size} bytes`);
      assert.ok(Buffer.isBuffer(got));
      assert.ok(got.equals(data), `${size} bytes became ${got.length}`);
    }
  });

  test('may be larger with a larger sendBufferSize', async (t) => {
    const [one, two] = makePair(t, { sendBufferSize: 400_000 });
    const messages = messagesOf(two);
    const data = randomBytes(TOO_LARGE);
    await write(one, data);
    assert.ok((await messages.next()).equals(data));
  });

  test('too large ones fail alone: EMSGSIZE, and later writes arrive', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one, ['error', 'close']);
    const messages = messagesOf(two);
    one.write('before');
    const failed = write(one, Buffer.alloc(TOO_LARGE));
    one.write('after');
    await assert.rejects(failed, { code: 'EMSGSIZE', errno: -90, syscall: 'sendmsg' });
    assert.deepEqual(await texts(messages, 2), ['before', 'after']);
    assert.deepEqual(events, []);
    // While others wait, too.
    two.pause();
    const count = await fillUp(one);
    const queued = write(one, Buffer.alloc(TOO_LARGE));
    one.write('the last');
    two.resume();
    await assert.rejects(queued, { code: 'EMSGSIZE' });
    assert.equal((await texts(messages, count + 1)).at(-1), 'the last');
    assert.deepEqual(events, []);
  });

  test("a too large one without a callback is one 'error', and later writes arrive", async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one, ['error', 'close']);
    const messages = messagesOf(two);
    one.write(Buffer.alloc(TOO_LARGE));
    one.write('after');
    assert.deepEqual(await texts(messages, 1), ['after']);
    await quiet();
    assert.deepEqual(events, ['error EMSGSIZE']);
    assert.equal(one.destroyed, false);
  });

  test('stay as they were sent, whatever becomes of the Buffer', async (t) => {
    const [one, two] = makePair(t);
    const messages = messagesOf(two);
    two.pause();
    const buffer = Buffer.from('original');
    const count = await fillUp(one);
    one.write(buffer);
    buffer.fill('x');
    two.resume();
    assert.equal((await texts(messages, count + 1)).at(-1), 'original');
  });

  test('received stay as they came', async (t) => {
    const [one, two] = makePair(t);
    const messages = messagesOf(two);
    for (const text of numbered(500)) one.write(text);
    const first = await messages.take(500);
    for (const text of numbered(500)) one.write(text.toUpperCase());
    await messages.take(500);
    assert.deepEqual(first.map(String), numbered(500));
  });

  test('become strings with setEncoding(), empty ones too', async (t) => {
    const [one, two] = makePair(t);
    two.setEncoding('utf8');
    const messages = messagesOf(two);
    for (const text of ['hé', '', 'c']) one.write(text);
    assert.deepEqual(await messages.take(3), ['hé', '', 'c']);
  });
});

describe('write()', onLinux(), () => {
  const data = Buffer.from('0123456789');
  for (const [what, args, expected] of [
    ['a Buffer', [data], '0123456789'],
    ['a part from an offset on', [data, 4], '456789'],
    ['a part', [data, 2, 3], '234'],
    ['an empty part', [data, 10, 0], ''],
    ['a string', ['text'], 'text'],
    ['a string and its encoding', ['74657874', 'hex'], 'text'],
    [
      'a view with an offset of its own',
      [new Uint8Array(data.buffer, data.byteOffset + 1, 2)],
      '12',
    ],
    ['a DataView', [new DataView(Uint8Array.of(65, 66, 67).buffer, 1)], 'BC'],
    ['an Uint16Array', [Uint16Array.of(0x4241)], 'AB'],
    ['an object', [{ data }], '0123456789'],
    ['an object with a string', [{ data: 'text' }], 'text'],
    ['an object with fds', [{ data: 'text', fds: [0] }], 'text'],
    ['fds alone', [{ fds: [0] }], ''],
  ]) {
    for (const withCallback of [false, true]) {
      test(`takes ${what}${withCallback ? ' and a callback' : ''}`, async (t) => {
        const [one, two] = makePair(t);
        const messages = messagesOf(two);
        const outcomes = new Outcomes();
        const callback = withCallback ? [outcomes.callback()] : [];
        assert.equal(one.write(...args, ...callback), true);
        assert.deepEqual(outcomes.codes, []);
        assert.deepEqual(await texts(messages, 1), [expected]);
        await quiet();
        assert.deepEqual(outcomes.codes, Outcomes.all(callback.length));
        assert.equal(one.bytesWritten, expected.length);
        assert.equal(two.bytesRead, expected.length);
      });
    }
  }

  test('throws for bad arguments, and sends nothing', async (t) => {
    const [one, two] = makePair(t);
    const got = allTexts(two);
    const type = 'ERR_INVALID_ARG_TYPE';
    for (const [args, code] of [
      [[], type],
      [[null], type],
      [[5], type],
      [[{}], type],
      [[[1, 2]], type],
      [[new ArrayBuffer(3)], type],
      [[data, 11], 'ERR_BUFFER_OUT_OF_BOUNDS'],
      [[data, 4, 7], 'ERR_BUFFER_OUT_OF_BOUNDS'],
      [[data, -1], 'ERR_OUT_OF_RANGE'],
      [[data, 0, 1.5], 'ERR_OUT_OF_RANGE'],
      [[data, {}], type],
      [[data, 0, 1, 'callback'], type],
      [[{ data, fds: 5 }], type],
      [[{ data, fds: ['5'] }], type],
      [[{ data, fds: [-1] }], 'ERR_OUT_OF_RANGE'],
      [[{ data, fds: Array(254).fill(0) }], 'ERR_OUT_OF_RANGE'],
    ]) {
      assert.throws(() => one.write(...args), { code }, String(args));
    }
    assert.equal(one.bytesWritten, 0);
    one.end();
    assert.deepEqual(await got, []);
  });

  test('calls back once for each, in order, never inside the call', async (t) => {
    const [one, two] = makePair(t);
    const outcomes = new Outcomes();
    for (let count = 0; count < 2000; count++) one.write(`${count}`, outcomes.callback());
    assert.deepEqual(outcomes.codes, []);
    two.resume();
    await outcomes.settled();
    await quiet();
    assert.deepEqual(outcomes.codes, Outcomes.all(2000));
  });

  test('carries the async context to its callback; data has that of the connection', async (t) => {
    const storage = new AsyncLocalStorage();
    const pair = storage.run('pair', () => makePair(t));
    const [one, two] = pair;
    const stores = [];
    two.on('data', () => stores.push(`data ${storage.getStore()}`));
    storage.run('sent at once', () => one.write('x', () => stores.push(storage.getStore())));
    await until(() => stores.length === 2, 'the callback and the message');
    assert.deepEqual(stores.sort(), ['data pair', 'sent at once']);
    two.pause();
    await fillUp(one);
    storage.run('queued', () => one.write('x', () => stores.push(storage.getStore())));
    two.removeAllListeners('data').resume();
    await until(() => stores.length === 3, 'the callback');
    assert.equal(stores[2], 'queued');
  });

  test('returns false above the mark, and emits drain when the queue is short again', async (t) => {
    const [one, two] = makePair(t, { writableHighWaterMark: 1000 });
    assert.equal(one.writableHighWaterMark, 1000);
    two.pause();
    let drains = 0;
    one.on('drain', () => drains++);
    const message = Buffer.alloc(100);
    while (one.write(message));
    assert.equal(one.writableLength, 1000);
    assert.equal(one.writableNeedDrain, true);
    assert.equal(one.write(message), false);
    await delay(10);
    assert.equal(drains, 0);
    two.resume();
    await until(() => drains > 0, "'drain'");
    assert.ok(one.writableLength <= 500);
    assert.equal(one.writableNeedDrain, false);
    await until(() => one.writableLength === 0, 'the queue to be empty');
    await quiet();
    assert.equal(drains, 1);
  });

  test('before connect() fails with ENOTCONN and does not close', async (t) => {
    const socket = new SeqpacketSocket();
    t.after(() => socket.destroy());
    await assert.rejects(write(socket, 'x'), { code: 'ENOTCONN', syscall: 'sendmsg' });
    // Who gives no callback hears of it, too.
    const failing = nextEvent(socket, 'error');
    socket.write('x');
    assert.equal((await failing)[0].code, 'ENOTCONN');
    assert.equal(socket.destroyed, false);
  });
});

describe('reading', onLinux(), () => {
  for (const reader of ['pause()', "'readable' and read()", 'slow iteration', 'slow pipe']) {
    test(`with ${reader} holds the sender back: bounded on both sides`, async (t) => {
      const [one, two] = makePair(t, { readableHighWaterMark: 16, writableHighWaterMark: 10_000 });
      const total = 3000;
      const sent = Array.from({ length: total }, (_, index) => `${index}`.padEnd(1000));
      const piped = pipeline(Readable.from(sent, { objectMode: true }), one);
      const got = [];
      let [longest, widest] = [0, 0];
      const look = () => {
        longest = Math.max(longest, two.readableLength);
        widest = Math.max(widest, one.writableLength);
      };
      if (reader === 'pause()') {
        two.on('data', (message) => {
          look();
          got.push(message);
          two.pause();
          setImmediate(() => two.resume());
        });
      } else if (reader === 'slow pipe') {
        const slow = new Writable({
          objectMode: true,
          highWaterMark: 2,
          write(message, _encoding, callback) {
            look();
            got.push(message);
            setImmediate(callback);
          },
        });
        two.pipe(slow);
      } else if (reader === 'slow iteration') {
        (async () => {
          for await (const message of two) {
            look();
            got.push(message);
            if (got.length % 100 === 0) await delay(1);
          }
        })();
      } else {
        two.on('readable', () => {
          look();
          for (let message; (message = two.read()) !== null;) got.push(message);
        });
      }
      await within(piped, 'the pipeline to end');
      await closing(two);
      assert.deepEqual(got.map(String), sent);
      // A batch may come on top of the mark.
      assert.ok(longest <= 16 + 32, `${longest} messages waited for the reader`);
      assert.ok(widest <= 11_000, `${widest} bytes waited to be sent`);
    });
  }

  test('stops while nobody reads: the rest waits in the kernel and in the sender', async (t) => {
    const [one, two] = makePair(t, { readableHighWaterMark: 4 });
    const sent = numbered(1000);
    for (const text of sent) one.write(text);
    await until(() => two.readableLength >= 4, 'messages');
    await quiet();
    assert.ok(two.readableLength <= 36, `${two.readableLength}`);
    assert.ok(one.writableLength > 0);
    const messages = messagesOf(two);
    assert.deepEqual(await texts(messages, 1000), sent);
  });

  test('pipeline through a Transform and back: an echo of whole messages', async (t) => {
    const { client, socket } = await connectedPair(t);
    const upper = new Transform({
      objectMode: true,
      transform: (message, _encoding, callback) => callback(null, String(message).toUpperCase()),
    });
    const echo = pipeline(socket, upper, socket);
    const sent = [...numbered(300), '', 'last'];
    for (const text of sent) client.write(text);
    client.end();
    assert.deepEqual(
      await allTexts(client),
      sent.map((text) => text.toUpperCase()),
    );
    await within(echo, 'the pipeline to end');
  });

  test('async iteration ends with the peer; break destroys', async (t) => {
    const [one, two] = makePair(t);
    for (const text of numbered(10)) one.write(text);
    for await (const message of two) {
      if (String(message) === 'message 4') break;
    }
    assert.equal(two.destroyed, true);
  });

  test('an exception in a handler is uncaught and loses no other message', async (t) => {
    const result = await runScript(t, ({ SeqpacketSocket: Socket }) => {
      const [uncaught, seen] = [[], []];
      process.on('uncaughtException', (error) => uncaught.push(error.message));
      const [one, two] = Socket.pair();
      two.on('data', (message) => {
        seen.push(Number(message));
        if (seen.length % 3 === 0) throw new Error(String(message));
      });
      for (let count = 0; count < 300; count++) one.write(`${count}`);
      one.end();
      two.on('end', () => {
        console.log(JSON.stringify({ seen, uncaught: uncaught.length }));
      });
    });
    assert.deepEqual(result, { seen: [...Array(300).keys()], uncaught: 100 });
  });
});

describe('setTimeout()', onLinux(), () => {
  test('reports silence, again after the next traffic, and leaves the socket open', async (t) => {
    const [one, two] = makePair(t);
    one.resume();
    let [timeouts, calls] = [0, 0];
    one.on('timeout', () => timeouts++);
    const receive = async () => {
      const arrived = nextEvent(one, 'data');
      two.write('x');
      await arrived;
    };

    /**
     * How often 'timeout' has come when a timer of the same length ends that began later: Node runs them in their order,
     * unless the traffic put the first one off. Undefined where the traffic took longer than that.
     */
    async function timeoutsBy(time, traffic) {
      // Not while Node calls timers: the one that it calls next can not be put off any more.
      await quiet(1);
      assert.equal(one.setTimeout(time), one);
      timeouts = 0;
      let isOver = false;
      const end = new Promise((done) => {
        setTimeout(() => {
          isOver = true;
          done(timeouts);
        }, time);
      });
      await traffic();
      const isLate = isOver || timeouts > 0;
      const count = await end;
      return isLate ? undefined : count;
    }

    let time = 40;
    one.setTimeout(time, () => calls++);
    assert.equal(one.timeout, time);
    for (const traffic of [receive, () => write(one, 'x')]) {
      let count;
      while ((count = await timeoutsBy(time, traffic)) === undefined) time *= 5;
      assert.equal(count, 0);
    }
    await until(() => timeouts === 1, "'timeout'");
    assert.equal(await timeoutsBy(time, () => {}), 1);
    await delay(time);
    assert.equal(timeouts, 1);
    await receive();
    await until(() => timeouts === 2, "'timeout'");
    assert.equal(calls, 1);
    assert.equal(one.destroyed, false);
    one.setTimeout(0);
    await receive();
    await delay(time);
    assert.equal(timeouts, 2);
    for (const bad of [-1, 'soon', NaN]) {
      assert.throws(() => one.setTimeout(bad), { code: /^ERR_/ });
    }
  });

  test('is silent after destroy()', async (t) => {
    const [one] = makePair(t);
    const events = eventsOf(one, ['timeout']);
    one.setTimeout(10);
    one.destroy();
    await delay(40);
    one.setTimeout(10);
    await delay(40);
    assert.deepEqual(events, []);
  });
});
