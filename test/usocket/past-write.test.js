'use strict';

// Owns sockets where chunks come past their write(): in Node 26.12 pipe() calls _write() for a Buffer where nothing
// waits. With an older Node a Writable's own write() does.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { once } = require('node:events');
const { PassThrough, Readable, Writable } = require('node:stream');
const { describe, test } = require('node:test');
const { makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, makePair } = require('../helpers/seqpacket.js');
const { collect, makeSocket, startServer } = require('../helpers/usocket.js');
const { openPair } = require('../helpers/streams.js');
const { delay, until } = require('../helpers/wait.js');

assertNoLeaks();

const SIZE = 1000;
const COUNT = 20;

const chunks = () => Array.from({ length: COUNT }, (_, index) => Buffer.alloc(SIZE, 65 + index));

/** How chunks come: each takes a socket and Buffers, and ends nothing. */
const WAYS = {
  'by pipe()': (socket, buffers) =>
    Readable.from(buffers, { objectMode: false }).pipe(socket, { end: false }),
  "by a Writable's write()": (socket, buffers) => {
    for (const buffer of buffers) Writable.prototype.write.call(socket, buffer);
  },
};

for (const [way, give] of Object.entries(WAYS)) {
  describe(way, () => {
    test('bytes count once, in order', async (t) => {
      const [ours, theirs] = openPair(t);
      const got = collect(t, theirs);
      give(ours, chunks());
      await until(() => got.bytes().length === COUNT * SIZE, 'all bytes');
      assert.equal(got.bytes().compare(Buffer.concat(chunks())), 0);
      assert.equal(ours.bytesWritten, COUNT * SIZE);
    });

    test('bytes count once behind others that were corked', async (t) => {
      const [ours, theirs] = openPair(t);
      const got = collect(t, theirs);
      ours.cork();
      for (const text of ['a', 'b', 'c']) ours.write(text);
      ours.uncork();
      await until(() => got.bytes().length === 3, 'those before');
      give(ours, chunks());
      await until(() => got.bytes().length === 3 + COUNT * SIZE, 'all bytes');
      assert.equal(ours.bytesWritten, 3 + COUNT * SIZE);
    });

    test('descriptors that wait travel with them', async (t) => {
      const [ours, theirs] = openPair(t);
      const { paths, texts } = makeFiles(t, 3);
      const fds = paths.map((path) => fs.openSync(path));
      const outcomes = [];
      ours.write(fds, (error) => outcomes.push(error));
      for (const fd of fds) fs.closeSync(fd);
      const got = [];
      theirs.on('fds', (some) => got.push(...readAndClose(some)));
      theirs.resume();
      give(ours, chunks().slice(0, 2));
      assert.deepEqual(outcomes, []);
      await until(() => got.length === 3, 'descriptors');
      await until(() => outcomes.length === 1, 'a callback');
      assert.deepEqual(got, texts);
      assert.ifError(outcomes[0]);
      assert.equal(ours.bytesWritten, 2 * SIZE);
    });

    test('descriptors that wait get an error when the peer is gone', async (t) => {
      const [ours, theirs] = openPair(t);
      const { paths } = makeFiles(t, 1);
      const fd = fs.openSync(paths[0]);
      const events = [];
      ours.on('error', ({ code }) => events.push(`error ${code}`));
      ours.write([fd], ({ code }) => events.push(`callback ${code}`));
      fs.closeSync(fd);
      theirs.destroy();
      give(ours, chunks().slice(0, 1));
      await closing(ours);
      assert.deepEqual(events, ['callback EPIPE', 'error EPIPE']);
    });

    test('messages of a SeqpacketSocket count, and wait for their reader', onLinux(), async (t) => {
      const [ours, theirs] = makePair(t);
      const got = [];
      give(ours, chunks());
      await delay(20);
      theirs.on('data', (message) => got.push(message));
      await until(() => got.length === COUNT, 'all messages');
      assert.equal(Buffer.concat(got).compare(Buffer.concat(chunks())), 0);
      assert.equal(ours.bytesWritten, COUNT * SIZE);
    });

    test('one that is too large is an error, and not the end', onLinux(), async (t) => {
      const [ours, theirs] = makePair(t, { sendBufferSize: 10_000 });
      const events = [];
      ours.on('error', ({ code }) => events.push(code));
      const got = [];
      theirs.on('data', (message) => got.push(`${message}`));
      give(ours, [Buffer.alloc(200_000)]);
      await until(() => events.length === 1, 'an error');
      ours.write('small');
      await until(() => got.length === 1, 'a message');
      assert.deepEqual([events, got, ours.destroyed], [['EMSGSIZE'], ['small'], false]);
    });
  });
}

test('a pipe behind writes that wait for the connection', async (t) => {
  const server = startServer(t);
  const client = makeSocket(t);
  client.connect(server.address());
  client.write('first');
  client.cork();
  client.write('second');
  client.write('third');
  process.nextTick(() => client.uncork());
  WAYS['by pipe()'](client, chunks());
  const [connection] = await once(server, 'connection');
  const got = collect(t, connection);
  const length = COUNT * SIZE + 'firstsecondthird'.length;
  await until(() => got.bytes().length === length, 'all bytes');
  assert.equal(client.bytesWritten, length);
  assert.equal(got.bytes().subarray(0, 16).toString(), 'firstsecondthird');
});

test('a source that is faster than a SeqpacketSocket waits', onLinux(), async (t) => {
  const [ours] = makePair(t);
  const source = new PassThrough();
  source.pipe(ours);
  const message = Buffer.alloc(8192);
  let written = 0;
  const fill = () => {
    while (written < 5000 && source.write(message)) written++;
  };
  fill();
  const pump = setInterval(fill);
  t.after(() => clearInterval(pump));
  await delay(100);
  assert.ok(written < 1000, `${written} messages wait`);
});
