'use strict';

// Owns the option fdsWithData of USocket: chunks that have the descriptors which came with them, however they are
// read, and whose are those that nobody takes.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { Writable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { describe, test } = require('node:test');
const { UServer, USocket, closeFd } = require('../../lib');
const { assertNoLeak, countFds, nulls, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const makePair = (t, options) =>
  USocket.pair({ fdsWithData: true, ...options }).map((end) => cleanUp(t, end));

/** Files that say which one they are, by number. */
function numbered(t, count) {
  const folder = temporaryFolder(t);
  return Array.from({ length: count }, (_, index) => {
    fs.writeFileSync(`${folder}/${index}`, String(index));
    return fs.openSync(`${folder}/${index}`);
  });
}

/** Writes frames with 0 to 3 descriptors, numbered from 0 on: the numbers by frame. */
function writeFrames(t, socket, count) {
  const files = numbered(t, 2 * count);
  let next = 0;
  const frames = Array.from({ length: count }, (_, index) => {
    const from = next;
    next += index % 4;
    socket.write({ data: `frame ${index};`, fds: files.slice(from, next) });
    return Array.from({ length: next - from }, (_each, at) => String(from + at));
  });
  files.forEach(closeFd);
  return frames;
}

/** Frames with the texts of their descriptors, out of chunks. */
class Frames {
  all = [];
  #rest = '';

  add(chunk) {
    const texts = readAndClose([...chunk.fds]);
    const [...frames] = `${this.#rest}${chunk}`.split(';');
    this.#rest = frames.pop();
    const found = frames.map((frame) => ({ frame, texts: [] }));
    if (texts.length > 0) {
      assert.equal(this.#rest, '', 'a chunk ends where its descriptors came');
      found.at(-1).texts = texts;
    }
    this.all.push(...found);
  }
}

describe('fdsWithData', onLinux(), () => {
  const COUNT = 100;
  const readers = {
    "'data'": (socket, add) => {
      socket.on('data', add);
      return nextEvent(socket, 'end');
    },
    'a loop': async (socket, add) => {
      for await (const chunk of socket) add(chunk);
    },
    'read()': (socket, add) => {
      socket.on('readable', () => {
        for (let chunk; (chunk = socket.read()) !== null;) add(chunk);
      });
      return nextEvent(socket, 'end');
    },
    "'data' after a pause": async (socket, add) => {
      socket.pause();
      socket.on('data', (chunk) => {
        add(chunk);
        socket.pause();
        setImmediate(() => socket.resume());
      });
      socket.resume();
      await nextEvent(socket, 'end');
    },
    'a slow pipe()': async (socket, add) => {
      const write = (chunk, _encoding, done) => {
        add(chunk);
        setImmediate(done);
      };
      await pipeline(socket, new Writable({ write, highWaterMark: 1 }));
    },
    'a slow loop': async (socket, add) => {
      for await (const chunk of socket) {
        add(chunk);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  };
  for (const [name, read] of Object.entries(readers)) {
    test(`${name}: each frame has its own`, async (t) => {
      const before = countFds();
      // Small enough for a pipe to have one chunk that waits.
      const [one, two] = makePair(t, name.includes('pipe') ? { readableHighWaterMark: 1 } : {});
      const expected = writeFrames(t, one, COUNT);
      one.end();
      const frames = new Frames();
      await read(two, (chunk) => frames.add(chunk));
      assert.deepEqual(
        frames.all,
        expected.map((texts, index) => ({ frame: `frame ${index}`, texts })),
      );
      await Promise.all([closing(one), closing(two)]);
      await assertNoLeak(before);
    });
  }

  test('read(size): with the chunk that has the last of their bytes', async (t) => {
    const [one, two] = makePair(t);
    const fds = nulls(3);
    one.write('ab');
    one.write({ data: 'cd', fds: [fds[0]] });
    one.write({ data: 'ef', fds: [fds[1], fds[2]] });
    one.end('g');
    fds.forEach(closeFd);
    two.on('readable', () => {});
    await until(() => two.readableLength === 7, 'all of it');
    const found = [3, 2, 1].map((size) => {
      const chunk = two.read(size);
      chunk.fds.forEach(closeFd);
      return [String(chunk), chunk.fds.length];
    });
    assert.deepEqual(found, [
      ['abc', 0],
      ['de', 1],
      ['f', 2],
    ]);
  });

  test('the first byte of all may be the one that they came with', async (t) => {
    const [one, two] = makePair(t);
    const [fd] = nulls(1);
    one.write({ data: 'a', fds: [fd] });
    one.write('bc');
    closeFd(fd);
    two.on('readable', () => {});
    await until(() => two.readableLength === 3, 'both writes');
    const [first, second] = [two.read(), two.read()];
    assert.deepEqual([String(first), first.fds.length], ['a', 1]);
    assert.deepEqual([String(second), second.fds.length], ['bc', 0]);
    first.fds.forEach(closeFd);
  });

  test('chunks may be looked at in any order, and what is put back comes again', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    const fds = numbered(t, 3);
    const chunks = [];
    two.on('data', (chunk) => chunks.push(chunk));
    for (const fd of fds) {
      const arrived = nextEvent(two, 'data');
      one.write({ data: 'x', fds: [fd] });
      await arrived;
      closeFd(fd);
    }
    two.pause();
    assert.deepEqual(readAndClose([...chunks[1].fds]), ['1']);
    const third = chunks[2].fds;
    assert.equal(chunks[2].fds, third);
    const again = nextEvent(two, 'data');
    two.unshift(chunks[2], third);
    two.resume();
    const [chunk] = await again;
    assert.deepEqual(readAndClose([...chunk.fds]), ['2']);
    assert.deepEqual(readAndClose([...chunks[0].fds]), ['0']);
    one.destroy();
    two.destroy();
    await Promise.all([closing(one), closing(two)]);
    await assertNoLeak(before);
  });

  test('what nobody takes is closed with the socket, and counts until then', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t, { maxPendingFds: 4 });
    const fds = nulls(2);
    const chunks = [];
    two.on('data', (chunk) => chunks.push(chunk));
    for (let count = 0; count < 2; count++) {
      const arrived = nextEvent(two, 'data');
      one.write({ data: 'x', fds });
      await arrived;
    }
    const failed = nextEvent(two, 'error');
    one.write({ data: 'x', fds });
    fds.forEach(closeFd);
    assert.equal((await failed)[0].code, 'ERR_AFUNIX_TOO_MANY_FDS');
    assert.throws(() => chunks[0].fds, { code: 'ERR_AFUNIX_FDS_CLOSED' });
    one.destroy();
    await Promise.all([closing(one), closing(two)]);
    await assertNoLeak(before);
  });

  test('a chunk that is read behind destroy() says of none: they are closed', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    two.on('readable', () => {});
    one.write({ data: 'x', fds: [0] });
    await until(() => two.readableLength === 1, 'the byte');
    two.destroy();
    const chunk = two.read();
    assert.equal(String(chunk), 'x');
    assert.equal(chunk.fds, undefined);
    one.destroy();
    await Promise.all([closing(one), closing(two)]);
    await assertNoLeak(before);
  });

  test('of the connections of a server, too; without descriptors the array is empty', async (t) => {
    const server = new UServer({ fdsWithData: true }).listen(temporaryPath(t));
    t.after(() => server.close());
    const client = cleanUp(t, new USocket(server.address()));
    const [socket] = await nextEvent(server, 'connection');
    cleanUp(t, socket);
    client.write('plain');
    assert.deepEqual((await nextEvent(socket, 'data'))[0].fds, []);
    const fds = nulls(1);
    socket.on('fds', () => assert.fail('with the chunk alone'));
    client.write({ data: 'x', fds });
    fds.forEach(closeFd);
    const [chunk] = await nextEvent(socket, 'data');
    assert.equal(chunk.fds.length, 1);
    chunk.fds.forEach(closeFd);
  });

  test('written on, a chunk is bytes alone', async (t) => {
    const [one, two] = makePair(t);
    const [three, four] = makePair(t);
    const fds = nulls(1);
    one.write({ data: 'x', fds });
    fds.forEach(closeFd);
    two.pipe(three);
    const [chunk] = await nextEvent(four, 'data');
    assert.deepEqual([String(chunk), chunk.fds], ['x', []]);
  });

  test('leaves no other way to the descriptors', (t) => {
    const [socket] = makePair(t);
    assert.throws(() => socket.read(1, 1), { code: 'ERR_INVALID_STATE' });
    assert.throws(() => socket.read(null, null), { code: 'ERR_INVALID_STATE' });
    assert.throws(() => socket.setEncoding('utf8'), { code: 'ERR_INVALID_STATE' });
    const onread = { buffer: new Uint8Array(8), callback() {} };
    assert.throws(() => new USocket({ fdsWithData: true, onread }), {
      code: 'ERR_INVALID_ARG_VALUE',
    });
    assert.throws(() => new USocket({ fdsWithData: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  });
});
