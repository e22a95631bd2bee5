'use strict';

// Owns the traffic of a USocket: bytes arrive whole and in order, however many and however written, in
// few system calls; and one socket's traffic is no other's trouble.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { assertNoLeak, closeQuietly, countFds, nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { scriptArguments, startScript } = require('../helpers/node.js');
const { onLinux, skipUnless } = require('../helpers/programs.js');
const { closing, quiet } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { systemCalls } = require('../helpers/strace.js');
const { delay, until } = require('../helpers/wait.js');
const {
  allBytes,
  collect,
  connectedPair,
  digestOf,
  makeBulk,
  makePair,
  startServer,
} = require('../helpers/usocket.js');

assertNoLeaks();

describe('traffic', onLinux(), () => {
  test('50 MB each way at once arrive whole', async (t) => {
    // Otherwise whoever is done first ends the other, which may have some left to send.
    const { client, socket } = await connectedPair(t, { allowHalfOpen: true });
    const [up, down] = [makeBulk(50), makeBulk(50)];
    const results = await Promise.all([
      digestOf(socket),
      digestOf(client),
      pipeline(Readable.from(up.chunks), client, { end: true }),
      pipeline(Readable.from(down.chunks), socket, { end: true }),
    ]);
    assert.deepEqual(results.slice(0, 2), [up.digest, down.digest]);
    assert.equal(client.bytesRead, 50 << 20);
    assert.equal(client.bytesWritten, 50 << 20);
  });

  test('small writes of every size keep their order', async (t) => {
    const [one, two] = makePair(t);
    const sent = [];
    const reading = allBytes(two);
    for (let size = 0; size < 3000; size++) {
      const chunk = Buffer.alloc(size, size);
      sent.push(chunk);
      if (!one.write(chunk)) await nextEvent(one, 'drain');
    }
    one.end();
    assert.ok((await reading).equals(Buffer.concat(sent)));
  });

  for (const encoding of ['utf8', 'latin1', 'ascii', 'utf16le', 'base64', 'hex']) {
    test(`strings of every length as ${encoding} arrive as Buffer.from() has them`, async (t) => {
      const [one, two] = makePair(t);
      const reading = allBytes(two);
      const sent = [];
      for (const length of [1, 2, 31, 1000, 5000, 70_000]) {
        const text = encoding === 'hex' ? 'c3'.repeat(length) : 'é€b1'.repeat(length);
        sent.push(Buffer.from(text, encoding));
        if (!one.write(text, encoding)) await nextEvent(one, 'drain');
      }
      one.end();
      assert.ok((await reading).equals(Buffer.concat(sent)));
    });
  }

  test("nothing of this process's memory is behind the bytes of a chunk", async (t) => {
    const [one, two] = makePair(t);
    let length = 0;
    let behind = 0;
    two.on('data', (data) => {
      length += data.length;
      const rest = new Uint8Array(data.buffer, data.byteOffset + data.length);
      // Small ones share memory with others that were received.
      if (data.length < 32_768 || data.byteOffset > 0) return;
      behind += rest.length;
      assert.ok(rest.every((byte) => byte === 0));
    });
    for (let sent = 0; sent < 2_000_000;) {
      // Secrets, in memory that is free again.
      for (let count = 0; count < 50; count++) Buffer.allocUnsafeSlow(65_536).fill(0xaa);
      globalThis.gc();
      for (const size of [65_536, 40_000]) {
        one.write(Buffer.alloc(size, 1));
        sent += size;
        await until(() => length === sent, 'the chunk');
      }
    }
    assert.ok(behind > 0);
  });

  test('a reader that does not read stops the writer at the marks', async (t) => {
    const [one, two] = makePair(t, { highWaterMark: 10_000 });
    two.pause();
    let more = true;
    while (more) {
      more = one.write(Buffer.alloc(5000));
      await quiet(1);
    }
    await delay(20);
    assert.ok(two.readableLength < 10_000 + 65_536, `${two.readableLength} bytes`);
    const waiting = one.writableLength;
    assert.ok(waiting >= 10_000 && waiting < 30_000, `${waiting} bytes`);
    two.resume();
    await nextEvent(one, 'drain');
    await until(() => two.bytesRead === one.bytesWritten, 'all bytes');
  });

  test("what the kernel takes at once is no reason to wait, however low the mark: true, and no 'drain'", async (t) => {
    const [one, two] = makePair(t, { writableHighWaterMark: 1 });
    const fds = nulls(1);
    t.after(() => fds.forEach(closeQuietly));
    two.on('fds', (received) => received.forEach(closeQuietly));
    one.on('drain', () => assert.fail('nothing waited'));
    for (const message of [Buffer.alloc(100), 'x'.repeat(100), { data: Buffer.alloc(100), fds }]) {
      await new Promise((done) => assert.equal(one.write(message, done), true));
    }
    await until(() => two.bytesRead === 300, 'all bytes');
  });

  test('what is corked goes in one system call', skipUnless('strace'), async (t) => {
    const script = ({ USocket }) => {
      const [one, two] = USocket.pair();
      two.resume();
      one.cork();
      for (let index = 0; index < 50; index++) one.write(`line ${index}\n`);
      one.uncork();
      one.end();
    };
    const threads = await systemCalls(t, scriptArguments(script, []), 'sendmsg,sendto');
    if (threads === null) return;
    const calls = threads.flat().filter((line) => line.includes('line '));
    assert.equal(calls.length, 1, calls.join('\n'));
    assert.match(calls[0], /sendmsg\(.*msg_iovlen=50/);
  });

  test('more parts than one call takes (1024) arrive too', async (t) => {
    const [one, two] = makePair(t);
    const reading = allBytes(two);
    one.cork();
    const outcomes = new Outcomes();
    for (let index = 0; index < 5000; index++) one.write(`${index},`, outcomes.callback());
    one.uncork();
    one.end();
    const expected = Array.from({ length: 5000 }, (_, index) => `${index},`).join('');
    assert.equal(String(await reading), expected);
    assert.deepEqual(await outcomes.settled(), Outcomes.all(5000, undefined));
  });

  test('one Buffer may be written twice, corked too, with descriptors or without', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const data = Buffer.from('x');
    one.cork();
    one.write({ data, fds: [0] });
    one.write(data);
    one.write({ data, fds: [0, 0] });
    one.uncork();
    one.end(data);
    await closing(two);
    assert.equal(String(got.bytes()), 'xxxx');
    assert.equal(got.fds.length, 3);
  });
});

describe('robustness', onLinux(), () => {
  test('a flood on one socket leaves timers and other sockets their turn', async (t) => {
    const server = startServer(t);
    const program = startScript(
      t,
      ({ USocket: Socket }, name) => {
        const socket = new Socket(name);
        const put = () => {
          while (socket.write(Buffer.alloc(60_000)));
        };
        socket.on('drain', put).on('connect', put);
        socket.on('error', () => {});
      },
      [server.address()],
    );
    const [flood] = await nextEvent(server, 'connection');
    flood.on('error', () => {}).resume();
    await until(() => flood.bytesRead > 1_000_000, 'the flood');
    const [one, two] = makePair(t);
    two.on('data', (data) => two.write(data));
    let rounds = 0;
    one.on('data', (data) => {
      rounds++;
      one.write(data);
    });
    one.write('ping');
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const before = flood.bytesRead;
    await until(() => rounds > 100 && ticks > 20, 'others to have their turn');
    clearInterval(timer);
    assert.ok(flood.bytesRead > before);
    program.kill('SIGKILL');
    await closing(flood);
  });

  test('bytes whose memory is transferred away while they wait: EFAULT, and no others sent', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    await quiet();
    const outcomes = new Outcomes();
    const bytes = new Uint8Array(3_000_000);
    one.write(bytes, outcomes.callback());
    one.write('behind', outcomes.callback());
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    const failed = nextEvent(one, 'error');
    const reading = allBytes(two);
    assert.equal((await failed)[0].code, 'EFAULT');
    await closing(one);
    assert.deepEqual(outcomes.codes, Outcomes.all(2, 'EFAULT'));
    const got = await reading;
    assert.ok(got.length > 0 && got.every((byte) => byte === 0));
  });

  test('shared memory and views with offsets are sent as they are', async (t) => {
    const [one, two] = makePair(t);
    const shared = new Uint8Array(new SharedArrayBuffer(8));
    shared.set(Buffer.from('abcdefgh'));
    one.write(shared.subarray(2, 5));
    one.cork();
    one.write(Buffer.from(shared.buffer, 0, 1));
    one.write(new Uint8Array(shared.buffer, 7));
    one.uncork();
    one.end();
    assert.equal(String(await allBytes(two)), 'cdeah');
  });

  test('a socket may be sent through itself and through its peer', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    two.on('error', () => {});
    for (let round = 0; round < 10; round++) {
      one.write({ data: 'x', fds: [one, two] });
      two.write({ data: 'x', fds: [one, two] });
    }
    await until(() => one.bytesRead === 10 && two.bytesRead === 10, 'all bytes');
    one.destroy();
    two.destroy();
    await closing(two);
    await assertNoLeak(before);
  });
});
