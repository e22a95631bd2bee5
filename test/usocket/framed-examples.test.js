'use strict';

// Owns the examples that read messages with descriptors out of a stream, and the proxy that forwards both: whatever
// pieces the bytes come in, each message has its own descriptors, and nothing is left open.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, test } = require('node:test');
const { UServer, USocket, closeFd } = require('../../lib');
const {
  assertNoLeak,
  countFds,
  makeFiles,
  nulls,
  readAndClose,
} = require('../helpers/descriptors.js');
const fs = require('node:fs');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const example = (name) => require(path.join(__dirname, '..', '..', 'examples', name));

/** Files to pass: 30 of them, closed by whoever sends them. */
function openFiles(t, count = 30) {
  const { paths, texts } = makeFiles(t, count);
  return { fds: paths.map((file) => fs.openSync(file)), texts };
}

/** The pieces in which a peer may write bytes: all at once, by byte, by three. */
function pieces(bytes, size) {
  const all = [];
  for (let at = 0; at < bytes.length; at += size) all.push(bytes.subarray(at, at + size));
  return all;
}

describe('framed-nul.js', onLinux(), () => {
  const { messagesOf, send } = example('framed-nul.js');

  test('each message has its own descriptors', async (t) => {
    const { fds, texts } = openFiles(t);
    const before = countFds() - fds.length;
    const [one, two] = USocket.pair({ fdsWithData: true }).map((end) => cleanUp(t, end));
    let next = 0;
    const expected = Array.from({ length: 20 }, (_, index) => {
      const from = next;
      next += index % 4;
      send(one, { index }, fds.slice(from, next));
      return { index, texts: texts.slice(from, next) };
    });
    fds.forEach(closeFd);
    one.end();
    const found = [];
    for await (const { value, fds: received } of messagesOf(two)) {
      found.push({ index: value.index, texts: readAndClose(received) });
    }
    assert.deepEqual(found, expected);
    await Promise.all([closing(one), closing(two)]);
    await assertNoLeak(before);
  });

  test('descriptors that came with the beginning are the message’s', async (t) => {
    const [one, two] = USocket.pair({ fdsWithData: true }).map((end) => cleanUp(t, end));
    const fds = nulls(1);
    one.write('{"a":1}\0');
    one.write({ data: '{"b"', fds });
    fds.forEach(closeFd);
    setImmediate(() => one.end(':2}\0'));
    const found = [];
    for await (const { value, fds: received } of messagesOf(two)) {
      found.push([Object.keys(value)[0], received.length]);
      received.forEach(closeFd);
    }
    assert.deepEqual(found, [
      ['a', 0],
      ['b', 1],
    ]);
  });
});

describe('framed-length.js', onLinux(), () => {
  const { onMessage, send } = example('framed-length.js');

  test('each message has its own descriptors, also without a body', async (t) => {
    const { fds, texts } = openFiles(t);
    const before = countFds() - fds.length;
    const [one, two] = USocket.pair().map((end) => cleanUp(t, end));
    const found = [];
    onMessage(two, (body, received) => found.push([String(body), readAndClose(received)]));
    let next = 0;
    const expected = Array.from({ length: 20 }, (_, index) => {
      const from = next;
      next += index % 4;
      const body = index % 3 === 0 ? '' : `message ${index}`;
      send(one, body, fds.slice(from, next));
      return [body, texts.slice(from, next)];
    });
    fds.forEach(closeFd);
    one.end();
    await nextEvent(two, 'end');
    assert.deepEqual(found, expected);
    await Promise.all([closing(one), closing(two)]);
    await assertNoLeak(before);
  });

  test('a message that is too long ends the socket', async (t) => {
    const [one, two] = USocket.pair().map((end) => cleanUp(t, end));
    onMessage(two, () => assert.fail('no message'));
    one.write(Buffer.alloc(8, 0xff));
    const [error] = await nextEvent(two, 'error');
    assert.match(error.message, /a message of 4294967295 bytes/);
  });
});

describe('framed-queue.js', onLinux(), () => {
  const { encode, onMessage } = example('framed-queue.js');

  for (const size of [1, 3, 1000]) {
    test(`descriptors that came early wait for their messages, in pieces of ${size}`, async (t) => {
      const { fds, texts } = openFiles(t, 6);
      const before = countFds() - fds.length;
      const [one, two] = USocket.pair().map((end) => cleanUp(t, end));
      const found = [];
      onMessage(two, (type, body, received) => {
        found.push([type, String(body), readAndClose(received)]);
      });
      const bytes = Buffer.concat([
        encode(2, 'a'),
        encode(1, 'b'),
        encode(3, 'c'),
        encode(3, ''),
        encode(1, 'd'),
      ]);
      pieces(bytes, size).forEach((data, index) => {
        one.write(index === 0 ? { data, fds } : data);
      });
      fds.forEach(closeFd);
      one.end();
      await nextEvent(two, 'end');
      await closing(two);
      assert.deepEqual(found, [
        [2, 'a', texts.slice(0, 1)],
        [1, 'b', []],
        [3, 'c', texts.slice(1, 3)],
        [3, '', texts.slice(3, 5)],
        [1, 'd', []],
      ]);
      await closing(one);
      // The last one, which no message asked for, too.
      await assertNoLeak(before);
    });
  }
});

describe('proxy.js', onLinux(), () => {
  const { startProxy } = example('proxy.js');
  const OPTIONS = { fdsWithData: true, allowHalfOpen: true };

  /** A client, a proxy, and the connection that a service behind it has. */
  async function connectThrough(t) {
    const [front, back] = [temporaryPath(t), temporaryPath(t)];
    const service = new UServer(OPTIONS).listen(back);
    const proxy = startProxy(front, back);
    const client = cleanUp(t, new USocket({ ...OPTIONS, path: front }));
    const [served] = await nextEvent(service, 'connection');
    const close = async () => {
      client.destroy();
      served.destroy();
      const servers = [proxy, service].map((server) => server[Symbol.asyncDispose]());
      await Promise.all([...servers, closing(client), closing(served)]);
    };
    return { client, served: cleanUp(t, served), close };
  }

  test('descriptors go both ways, each with its bytes', async (t) => {
    const before = countFds();
    const { client, served, close } = await connectThrough(t);
    for (const [from, to] of [
      [client, served],
      [served, client],
    ]) {
      const { fds, texts } = openFiles(t, 12);
      const found = [];
      to.on('data', (chunk) => {
        found.push(...`${chunk}`.split(';').slice(0, -1));
        const received = readAndClose([...chunk.fds]);
        if (received.length > 0) found[found.length - 1] += ` with ${received}`;
      });
      const expected = fds.map((fd, index) => {
        from.write(`plain ${index};`);
        from.write({ data: `${index};`, fds: [fd] });
        return [`plain ${index}`, `${index} with ${texts[index]}`];
      });
      fds.forEach(closeFd);
      await until(() => found.length === 24, 'what was sent');
      assert.deepEqual(found, expected.flat());
    }
    await close();
    await assertNoLeak(before);
  });

  test('each end comes by itself, with what was sent before', async (t) => {
    const { client, served, close } = await connectThrough(t);
    const fds = nulls(1);
    // The end can come in the turn of the data, and close the socket with descriptors that nobody took.
    const untilEnd = async (socket) => {
      const chunks = [];
      socket.on('data', (chunk) => chunks.push({ text: String(chunk), fds: chunk.fds }));
      await nextEvent(socket, 'end');
      assert.equal(chunks.length, 1);
      return chunks[0];
    };
    client.end({ data: 'the end', fds });
    fds.forEach(closeFd);
    const there = await untilEnd(served);
    assert.deepEqual([there.text, there.fds.length], ['the end', 1]);
    served.end({ data: 'mine', fds: there.fds });
    there.fds.forEach(closeFd);
    const back = await untilEnd(client);
    assert.deepEqual([back.text, back.fds.length], ['mine', 1]);
    back.fds.forEach(closeFd);
    await close();
  });

  test('it takes no more than the other end reads', async (t) => {
    const { client, served, close } = await connectThrough(t);
    served.pause();
    const chunk = Buffer.alloc(64 * 1024, 'x');
    let written = 0;
    const fds = nulls(1);
    // Until nothing moves any more: what the kernel and the marks hold, and no more.
    const hasStopped = async () => {
      const waited = client.writableLength;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return waited > 0 && waited === client.writableLength;
    };
    do {
      for (let count = 0; count < 16; count++) {
        client.write({ data: chunk, fds });
        written += chunk.length;
      }
    } while (!(await hasStopped()));
    fds.forEach(closeFd);
    const held = written - client.writableLength;
    assert.ok(held < 4 << 20, `the proxy and the kernel hold ${held} bytes`);
    let received = 0;
    let descriptors = 0;
    served.on('data', (data) => {
      received += data.length;
      descriptors += data.fds.length;
      data.fds.forEach(closeFd);
    });
    served.resume();
    client.end();
    await nextEvent(served, 'end');
    assert.deepEqual([received, descriptors], [written, written / chunk.length]);
    await close();
  });

  test('either side’s failure ends both', async (t) => {
    for (const victim of ['client', 'served']) {
      const ends = await connectThrough(t);
      const other = ends[victim === 'client' ? 'served' : 'client'];
      other.on('error', () => {});
      other.resume();
      ends[victim].destroy();
      await nextEvent(other, 'end');
      await ends.close();
    }
  });
});
