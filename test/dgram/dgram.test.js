'use strict';

// Owns messages: every form of sendTo, every size, the sender's name, and how failures are reported.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const {
  Outcomes,
  inbox,
  leaveDeadFile,
  openSocket,
  sendTo,
  turn,
} = require('../helpers/sockets.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** A bound socket: `{ path, socket, messages }`. */
function openBound(t, options, path = temporaryPath(t)) {
  const socket = openSocket(t, options).bind(path);
  return { path, socket, messages: inbox(socket) };
}

describe('sendTo', () => {
  const bytes = Uint8Array.from({ length: 24 }, (_, index) => index + 1);
  const shared = new Uint8Array(new SharedArrayBuffer(24));
  shared.set(bytes);
  const resizable = new Uint8Array(new ArrayBuffer(24, { maxByteLength: 64 }));
  resizable.set(bytes);
  const VIEWS = {
    Buffer: Buffer.from(bytes),
    'Buffer inside a larger one': Buffer.from([0, 0, ...bytes, 0]).subarray(2, 26),
    Uint8Array: bytes,
    Uint16Array: new Uint16Array(bytes.buffer),
    Float64Array: new Float64Array(bytes.buffer),
    BigInt64Array: new BigInt64Array(bytes.buffer),
    DataView: new DataView(bytes.buffer),
    'DataView inside a larger one': new DataView(new Uint8Array([9, ...bytes, 9]).buffer, 1, 24),
    'view of shared memory': shared,
    'view of resizable memory': resizable,
  };

  for (const [name, view] of Object.entries(VIEWS)) {
    test(`sends the bytes from offset to offset + length of a ${name}`, async (t) => {
      const { path, messages } = openBound(t);
      const sender = openSocket(t);
      const parts = [
        [0, 24],
        [2, 3],
        [0, 1],
        [23, 1],
        [24, 0],
        [7, 0],
        [5, 19],
      ];
      await Promise.all(parts.map((part) => sendTo(sender, view, ...part, path)));
      const received = await messages.take(parts.length);
      assert.deepEqual(
        received.map(({ data }) => [...data]),
        parts.map(([offset, length]) => [...bytes.slice(offset, offset + length)]),
      );
      await sendTo(sender, view, path);
      assert.deepEqual([...(await messages.next()).data], [...bytes]);
    });
  }

  test('takes strings as UTF-8, with offset and length in bytes', async (t) => {
    const { path, messages } = openBound(t);
    const sender = openSocket(t);
    await sendTo(sender, 'grüße', path);
    await sendTo(sender, 'grüße', 2, 2, path);
    await sendTo(sender, '', path);
    const received = await messages.take(3);
    assert.deepEqual(
      received.map(({ data }) => String(data)),
      ['grüße', 'ü', ''],
    );
  });

  test('takes a path as string, Buffer and URL', async (t) => {
    const { path, messages } = openBound(t, {}, temporaryPath(t, 'ein weg%20ü'));
    const sender = openSocket(t);
    const forms = [path, Buffer.from(path), pathToFileURL(path)];
    for (const form of [...forms, ...forms]) {
      await sendTo(sender, 'long', 0, 4, form);
      await sendTo(sender, 'short', form);
      assert.equal(String((await messages.next()).data), 'long');
      assert.equal(String((await messages.next()).data), 'short');
    }
  });

  test('sends to abstract names, also with NULs inside', onLinux({}), async (t) => {
    const name = abstractName();
    const one = openBound(t, {}, name);
    const other = openBound(t, {}, `${name}\0`);
    const sender = openSocket(t).bind(`${name}\0\0sender`);
    await sendTo(sender, 'one', name);
    await sendTo(sender, 'other', Buffer.from(`${name}\0`));
    for (const [{ messages }, text] of [
      [one, 'one'],
      [other, 'other'],
    ]) {
      const { data, path } = await messages.next();
      assert.deepEqual([String(data), path], [text, `${name}\0\0sender`]);
    }
  });

  test('delivers empty datagrams, each of them', async (t) => {
    const { path, messages } = openBound(t);
    const sender = openSocket(t);
    const sent = ['', 'between', '', '', 'after'];
    await Promise.all(sent.map((text) => sendTo(sender, text, path)));
    const received = await messages.take(sent.length);
    assert.deepEqual(
      received.map(({ data }) => String(data)),
      sent,
    );
    assert.ok(received.every(({ data }) => Buffer.isBuffer(data)));
  });

  test('names the sender of each message', async (t) => {
    const { path, messages } = openBound(t);
    const names = [temporaryPath(t), temporaryPath(t)];
    const senders = [openSocket(t), openSocket(t).bind(names[0]), openSocket(t).bind(names[1])];
    const order = [0, 1, 1, 2, 0, 2, 1, 0, 0];
    for (const index of order) senders[index].sendTo('x', path);
    assert.deepEqual(
      (await messages.take(order.length)).map((message) => message.path),
      order.map((index) => ['', ...names][index]),
    );
  });

  test('keeps the order over many messages', async (t) => {
    const { path, messages } = openBound(t);
    const sender = openSocket(t);
    for (let number = 0; number < 2000; number++) sender.sendTo(`${number}`, path);
    const received = await messages.take(2000);
    assert.deepEqual(
      received.map(({ data }) => Number(data)),
      Array.from({ length: 2000 }, (_, number) => number),
    );
  });

  test('reports who is not there to the callback, without an event', async (t) => {
    const folder = temporaryFolder(t);
    const dead = `${folder}/dead`;
    const stream = net.createServer().listen(`${folder}/stream`);
    t.after(() => stream.close());
    await once(stream, 'listening');
    fs.writeFileSync(`${folder}/file`, '');
    await leaveDeadFile(dead);
    const sender = openSocket(t);
    sender.on('error', (error) => assert.fail(error));
    for (const [path, code] of [
      [`${folder}/nobody`, 'ENOENT'],
      [`${folder}/file/x`, 'ENOTDIR'],
      [dead, 'ECONNREFUSED'],
      [`${folder}/file`, 'ECONNREFUSED'],
      [`${folder}/stream`, 'EPROTOTYPE'],
      [`${folder}/${'x'.repeat(108)}`, 'ENAMETOOLONG'],
    ]) {
      const message = new RegExp(`^${code}: .*, sendmsg ${path}$`);
      const properties = { name: 'Error', code, syscall: 'sendmsg', path, message };
      await assert.rejects(sendTo(sender, 'x', path), properties);
      await assert.rejects(sendTo(sender, 'x', path), ({ errno }) => errno < 0);
    }
    // A failed send closes nothing.
    const { path, messages } = openBound(t);
    await sendTo(sender, 'still here', path);
    assert.equal(String((await messages.next()).data), 'still here');
  });

  test("reports to 'error' where there is no callback, and not inside the call", async (t) => {
    const sender = openSocket(t);
    const path = temporaryPath(t, 'nobody');
    const errors = [];
    sender.on('error', (error) => errors.push(error));
    assert.equal(sender.sendTo('x', path), true);
    sender.sendTo('x', 0, 1, path);
    assert.deepEqual(errors, []);
    await until(() => errors.length === 2, "two 'error' events");
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['ENOENT', 'ENOENT'],
    );
  });

  test('calls back once for each message, in order, never inside the call', async (t) => {
    const { path } = openBound(t);
    const sender = openSocket(t);
    const outcomes = new Outcomes();
    for (let number = 0; number < 100; number++) {
      sender.sendTo('x', number % 10 === 9 ? `${path}-nobody` : path, outcomes.callback());
      assert.equal(outcomes.codes.length, 0);
    }
    await outcomes.settled();
    await turn();
    assert.equal(outcomes.codes.length, 100);
    // Each destination has its own order.
    for (const [fails, code] of [
      [false, undefined],
      [true, 'ENOENT'],
    ]) {
      const numbers = Array.from({ length: 100 }, (_, number) => number);
      assert.deepEqual(
        outcomes.codes.filter(([number]) => (number % 10 === 9) === fails),
        numbers.filter((number) => (number % 10 === 9) === fails).map((number) => [number, code]),
      );
    }
  });

  test('knows thousands of destinations', async (t) => {
    const folder = temporaryFolder(t);
    const sender = openSocket(t);
    const count = 1500;
    const sockets = Array.from({ length: count }, (_, index) =>
      openSocket(t).bind(`${folder}/${index}`),
    );
    let received = 0;
    for (const [index, socket] of sockets.entries()) {
      socket.on('data', (data) => {
        assert.equal(Number(data), index);
        received++;
      });
    }
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < count; index++) sender.sendTo(`${index}`, `${folder}/${index}`);
    }
    await until(() => received === 2 * count, `all messages, not ${received}`);
  });
});

describe('sizes', () => {
  test('from nothing to the limit arrive whole, and what is larger fails alone', async (t) => {
    const { path, messages } = openBound(t);
    const sender = openSocket(t);
    // unix_dgram_sendmsg(): the limit is the send buffer less 32.
    const limit = sender.getSendBufferSize() - 32;
    const sizes = [0, 1, 7, 8, 9, 4095, 4096, 8191, 8192, 8193, 32_767, 32_768, 32_769];
    sizes.push(65_536, 131_072, 200_000, limit - 1, limit);
    for (const size of [...sizes, ...sizes.reverse()]) {
      const sent = randomBytes(size);
      await sendTo(sender, sent, path);
      const { data } = await messages.next();
      assert.equal(data.length, size);
      assert.ok(data.equals(sent), `${size} bytes arrived changed`);
    }
    const outcomes = new Outcomes();
    for (const size of [10, limit + 1, 20]) {
      sender.sendTo(Buffer.alloc(size), path, outcomes.callback());
    }
    assert.deepEqual(await outcomes.settled(), [
      [0, undefined],
      [1, 'EMSGSIZE'],
      [2, undefined],
    ]);
    const { length } = messages;
    assert.deepEqual(
      (await messages.take(2)).map(({ data }) => data.length),
      [10, 20],
      `${length} waiting`,
    );
  });

  test('of all kinds in one batch arrive whole', async (t) => {
    const { path, messages } = openBound(t);
    const sizes = [0, 100_000, 1, 8192, 8193, 3, 60_000, 0, 31_000, 5000];
    const sent = Array.from({ length: 20 }, (_, index) => randomBytes(sizes[index % 10]));
    const senders = [openSocket(t), openSocket(t)];
    // Two send buffers: together more than one takes.
    const done = sent.map((data, index) => sendTo(senders[index < 10 ? 0 : 1], data, path));
    const received = await messages.take(sent.length);
    await Promise.all(done);
    const key = (data) => data.toString('latin1');
    assert.deepEqual(
      received.map(({ data }) => key(data)).sort(),
      sent.map((data) => key(data)).sort(),
    );
  });

  const most = Number(fs.readFileSync('/proc/sys/net/core/wmem_max', 'latin1'));
  for (const size of [1 << 20, 3 << 20]) {
    const skip = most < size && `net.core.wmem_max is ${most}`;
    test(`of ${size >> 20} MiB arrive whole with a larger send buffer`, { skip }, async (t) => {
      const { path, messages } = openBound(t);
      const sender = openSocket(t);
      const sent = randomBytes(size);
      await assert.rejects(sendTo(sender, sent, path), { code: 'EMSGSIZE' });
      sender.setSendBufferSize(size);
      assert.equal(sender.getSendBufferSize(), 2 * size);
      for (let round = 0; round < 3; round++) {
        sent[round] ^= 1;
        await sendTo(sender, sent, path);
        await sendTo(sender, 'small', path);
        const { data } = await messages.next();
        assert.equal(data.length, size);
        assert.ok(data.equals(sent), 'arrived changed');
        assert.equal(String((await messages.next()).data), 'small');
      }
    });
  }
});

describe('buffer sizes', () => {
  test('can be read and set, by method and by option', (t) => {
    const socket = openSocket(t, { receiveBufferSize: 30_000, sendBufferSize: 40_000 });
    // The kernel doubles what is set, socket(7).
    assert.equal(socket.getRecvBufferSize(), 60_000);
    assert.equal(socket.getSendBufferSize(), 80_000);
    socket.setRecvBufferSize(50_000);
    socket.setSendBufferSize(60_000);
    assert.equal(socket.getRecvBufferSize(), 100_000);
    assert.equal(socket.getSendBufferSize(), 120_000);
  });
});
