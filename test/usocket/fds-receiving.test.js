'use strict';

// Owns the descriptors that a USocket receives: 'fds', read(size, fdCount), unshift(), and what becomes
// of those that nobody takes or that there is no room for.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { beforeEach, describe, test } = require('node:test');
const { USocket, closeFd } = require('../../lib');
const {
  assertNoLeak,
  countFds,
  readAndClose,
  nulls,
  withFiles,
} = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { until, within } = require('../helpers/wait.js');
const { collect, makePair } = require('../helpers/usocket.js');

assertNoLeaks();

// What the test before destroyed is closed when descriptors are counted.
beforeEach(() => quiet(20));

describe('receiving', onLinux(), () => {
  test("addListener('fds') is on('fds')", async (t) => {
    const [one, two] = makePair(t);
    two.write({ data: 'x', fds: [0] });
    await nextEvent(one, 'readable');
    const received = new Promise((done) => assert.equal(one.addListener('fds', done), one));
    const fds = await within(received, "'fds'");
    assert.equal(fds.length, 1);
    closeFd(fds[0]);
  });

  test('read(size, fdCount) where none ever came is null, and after the end too', async (t) => {
    const [one, two] = makePair(t, { pauseOnConnect: true });
    const never = new USocket();
    for (const socket of [never, one]) {
      for (const args of [
        [1, 1],
        [null, 1],
        [1, 0],
        [null, null],
        [0, null],
      ]) {
        assert.equal(socket.read(...args), null, JSON.stringify(args));
      }
    }
    two.write('abc');
    await until(() => one.readableLength > 0, 'the data');
    assert.deepEqual(one.read(1, null), { data: Buffer.from('a'), fds: [] });
    assert.deepEqual(one.read(null, null), { data: Buffer.from('bc'), fds: [] });
    two.write({ data: 'x', fds: [0, 0] });
    await until(() => one.readableLength > 0, 'the data');
    two.destroy();
    one.destroy();
    await closing(one);
    assert.equal(one.read(null, 1), null);
    for (const socket of [one, never.destroy()]) assert.equal(socket.read(1, 1), null);
  });

  test("with a 'fds' listener they are the listener's, in time for their bytes", async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    const order = [];
    two.on('fds', function (fds) {
      assert.equal(this, two);
      order.push(`fds ${fds.length}`);
      fds.forEach(closeFd);
    });
    two.on('data', (data) => order.push(`data ${data}`));
    const [fd] = nulls(1);
    one.write({ data: 'a', fds: [fd, fd] });
    await until(() => order.length === 2, 'both events');
    assert.deepEqual(order, ['fds 2', 'data a']);
    assert.equal(two.read(0, 1), null);
    closeFd(fd);
    one.destroy();
    two.destroy();
    await assertNoLeak(before);
  });

  test('read(size, fdCount)', async (t) => {
    const [one, two] = makePair(t);
    await withFiles(t, 4, async (fds, texts) => {
      one.write({ data: 'abcdef', fds });
      await nextEvent(two, 'readable');
      assert.equal(two.read(7, 0), null);
      assert.equal(two.read(2, 5), null);
      assert.equal(two.readableLength, 6);
      let part = two.read(2, 1);
      assert.equal(String(part.data), 'ab');
      assert.deepEqual(readAndClose(part.fds), texts.slice(0, 1));
      assert.deepEqual({ ...two.read(1, 0), data: 'c' }, { data: 'c', fds: [] });
      part = two.read(0, 1);
      assert.equal(part.data, null);
      assert.deepEqual(readAndClose(part.fds), texts.slice(1, 2));
      part = two.read(1, null);
      // The message goes on.
      assert.deepEqual([String(part.data), part.fds], ['d', []]);
      assert.equal(String(two.read(1)), 'e');
      part = two.read(null, null);
      assert.equal(String(part.data), 'f');
      assert.deepEqual(readAndClose(part.fds), texts.slice(2));
      assert.equal(two.read(null, null), null);
      assert.equal(two.read(0, 0), null);
    });
    for (const bad of [-1, 1.5, '1', {}]) {
      assert.throws(() => two.read(1, bad), { code: /^ERR_/ });
    }
  });

  test('read(size, null) leaves the descriptors of later messages', async (t) => {
    const [one, two] = makePair(t);
    await withFiles(t, 4, async (fds, texts) => {
      one.write({ data: 'first', fds: fds.slice(0, 1) });
      one.write({ data: 'second', fds: fds.slice(1, 3) });
      one.write({ data: 'third', fds: fds.slice(3) });
      await until(() => two.readableLength === 16 || (two.read(0), false), 'all bytes');
      const parts = [5, 3, 3, null].map((size) => two.read(size, null));
      assert.deepEqual(
        parts.map(({ data, fds: some }) => [String(data), ...readAndClose(some)]),
        [['first', texts[0]], ['sec'], ['ond', texts[1], texts[2]], ['third', texts[3]]],
      );
    });
  });

  test('read(size, null) gives a message no descriptors before its last byte', async (t) => {
    const [one, two] = makePair(t);
    await withFiles(t, 1, async (fds, texts) => {
      one.write({ data: 'abc', fds });
      await nextEvent(two, 'readable');
      for (const byte of ['a', 'b']) {
        const { data, fds: early } = two.read(1, null);
        assert.deepEqual([String(data), early], [byte, []]);
      }
      const { data, fds: due } = two.read(1, null);
      assert.deepEqual([String(data), ...readAndClose(due)], ['c', ...texts]);
    });
  });

  test('unshift(chunk, fds)', async (t) => {
    const [one, two] = makePair(t);
    await withFiles(t, 3, async (fds, texts) => {
      one.write({ data: 'abc', fds });
      await nextEvent(two, 'readable');
      const part = two.read(null, null);
      two.unshift(part.data, part.fds);
      const again = two.read(3, 3);
      assert.deepEqual([String(again.data), again.fds], ['abc', part.fds]);
      assert.equal(two.unshift(null, again.fds.slice(1)), false);
      const [first] = again.fds;
      two.unshift(Buffer.from('longer than what came'), [first]);
      const some = two.read(2, null);
      assert.equal(String(some.data), 'lo');
      assert.deepEqual(some.fds, part.fds);
      two.read();
      assert.deepEqual(readAndClose(some.fds), texts);
      two.unshift(Buffer.from('x'));
      assert.equal(String(two.read(1)), 'x');
    });
  });

  test('unshift() refuses what it cannot keep, and keeps nothing then', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t, { maxPendingFds: 2 });
    const [dead, ...fds] = nulls(4);
    closeFd(dead);
    assert.throws(() => two.unshift(null, [dead]), { code: 'EBADF' });
    assert.throws(() => two.unshift(null, [two.fd]), { code: 'EEXIST' });
    assert.throws(() => two.unshift(null, fds), { code: 'ENOBUFS' });
    assert.throws(() => two.unshift(null, 3), { code: 'ERR_INVALID_ARG_TYPE' });
    for (const fd of fds) assert.doesNotThrow(() => fs.fstatSync(fd));
    assert.equal(two.read(0, 1), null);
    fds.forEach(closeFd);
    one.destroy();
    two.destroy();
    await closing(two);
    assert.throws(() => two.unshift(null, [0]), { code: 'ENOTCONN' });
    await assertNoLeak(before);
  });

  test('destroy() closes what nobody took, and read() finds none then', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    const [fd] = nulls(1);
    one.write({ data: 'abc', fds: Array(50).fill(fd) });
    closeFd(fd);
    await nextEvent(two, 'readable');
    assert.ok(countFds() >= before + 50);
    two.destroy();
    one.destroy();
    for (const part of [two.read(1, null), two.read(null, null)]) {
      assert.deepEqual(part?.fds ?? [], []);
    }
    assert.equal(two.read(null, 1), null);
    await assertNoLeak(before);
  });

  test('those that came before the end can be read at the end', async (t) => {
    const [one, two] = makePair(t);
    const [fd] = nulls(1);
    one.end({ data: 'abc', fds: [fd] });
    closeFd(fd);
    const taken = [];
    two.on('data', () => taken.push(two.read(0, null)?.fds));
    await closing(two);
    assert.equal(taken[0].length, 1);
    closeFd(taken[0][0]);
  });

  test('with receiveFds: false the kernel keeps them', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t, { receiveFds: false });
    const got = collect(t, two);
    const [fd] = nulls(1);
    one.write({ data: 'abc', fds: [fd] });
    closeFd(fd);
    await until(() => got.bytes().length === 3, 'the bytes');
    assert.deepEqual(got.fds, []);
    one.destroy();
    two.destroy();
    await assertNoLeak(before);
  });

  test('more than maxPendingFds: the bytes come, then ERR_AFUNIX_TOO_MANY_FDS', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t, { maxPendingFds: 10 });
    one.on('error', () => {});
    const [fd] = nulls(1);
    let text = '';
    two.on('data', (data) => (text += data));
    const failed = nextEvent(two, 'error');
    one.write({ data: 'fine', fds: Array(10).fill(fd) });
    one.write({ data: 'too many', fds: [fd] });
    closeFd(fd);
    const [error] = await failed;
    assert.equal(error.code, 'ERR_AFUNIX_TOO_MANY_FDS');
    assert.equal(text, 'finetoo many');
    await closing(two);
    one.destroy();
    await assertNoLeak(before);
  });

  test('no room for them: the bytes come, then ERR_AFUNIX_FDS_LOST', async (t) => {
    const result = await runScript(
      t,
      async ({ USocket }) => {
        const fs = require('node:fs');
        const { once } = require('node:events');
        const [one, two] = USocket.pair();
        let text = '';
        let taken = 0;
        two.on('data', (data) => (text += data));
        two.on('fds', (fds) => (taken += fds.length));
        one.on('error', () => {});
        const fd = fs.openSync('/dev/null');
        const opened = [];
        try {
          for (;;) opened.push(fs.openSync('/dev/null'));
        } catch {
          fs.closeSync(opened.pop());
          fs.closeSync(opened.pop());
        }
        one.write({ data: 'hello', fds: Array(10).fill(fd) });
        const [error] = await once(two, 'error');
        for (const each of opened) fs.closeSync(each);
        console.log(JSON.stringify({ code: error.code, text, taken }));
      },
      [],
      { openFiles: 60 },
    );
    assert.deepEqual(result, { code: 'ERR_AFUNIX_FDS_LOST', text: 'hello', taken: 2 });
  });

  test("an exception of a 'fds' listener costs no bytes", async (t) => {
    const result = await runScript(t, async ({ USocket, closeFd }) => {
      const errors = [];
      process.on('uncaughtException', ({ message }) => errors.push(message));
      const [one, two] = USocket.pair();
      let text = '';
      two.on('data', (data) => (text += data));
      two.on('fds', ([fd]) => {
        closeFd(fd);
        throw new Error('thrown');
      });
      for (const data of ['a', 'b', 'c']) one.write({ data, fds: [0] });
      one.end();
      await require('node:events').once(two, 'close');
      console.log(JSON.stringify({ text, errors }));
    });
    assert.deepEqual(result, { text: 'abc', errors: ['thrown', 'thrown', 'thrown'] });
  });

  test("destroy() in a 'fds' listener: no 'data' follows", async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    one.on('error', () => {});
    const events = [];
    two.on('data', () => events.push('data'));
    two.on('fds', (fds) => {
      events.push('fds');
      fds.forEach(closeFd);
      two.destroy();
    });
    const [fd] = nulls(1);
    one.write({ data: 'a', fds: [fd] });
    one.write({ data: 'b', fds: [fd] });
    closeFd(fd);
    await closing(two);
    assert.deepEqual(events, ['fds']);
    one.destroy();
    await assertNoLeak(before);
  });

  test('with setEncoding(), read(null, null) has all that came', async (t) => {
    const [one, two] = makePair(t);
    two.setEncoding('utf8');
    const [fd] = nulls(1);
    one.write({ data: 'ž', fds: [fd] });
    closeFd(fd);
    await nextEvent(two, 'readable');
    const part = two.read(null, null);
    assert.equal(part.data, 'ž');
    assert.equal(part.fds.length, 1);
    closeFd(part.fds[0]);
    for (const data of ['žluť', 'kůň']) {
      const fds = nulls(1);
      one.write({ data, fds });
      fds.forEach(closeFd);
    }
    await until(() => two.readableLength === 7, 'both texts');
    // Where characters end is not where the bytes do: all are due with the first of them.
    const first = two.read(2, null);
    assert.equal(first.data, 'žl');
    assert.equal(first.fds.length, 2);
    first.fds.forEach(closeFd);
  });

  test('what is closed has no descriptors left', async () => {
    const before = countFds();
    const ends = [];
    for (let round = 0; round < 20; round++) {
      const [one, two] = USocket.pair({ pauseOnConnect: true });
      one.write({ data: 'x', fds: [0, 0] });
      ends.push(one, two);
    }
    assert.ok(countFds() >= before + 40);
    for (const end of ends) end.destroy();
    await until(() => countFds() === before, 'the descriptors to be closed');
  });
});
