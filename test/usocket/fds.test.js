'use strict';

// Owns descriptors that travel with a USocket's bytes: how many, in what order, with which bytes, who
// owns them when, and what happens where there is no room for them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { beforeEach, describe, test } = require('node:test');
const { USocket, closeFd } = require('../../lib');
const {
  assertNoLeak,
  countFds,
  makeFiles,
  readAndClose,
  nulls,
  withFiles,
} = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, quiet, write } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { delay, until } = require('../helpers/wait.js');
const { collect, identity, makePair, untilFds } = require('../helpers/usocket.js');

assertNoLeaks();

// What the test before destroyed is closed when descriptors are counted.
beforeEach(() => quiet(20));

describe('sending', onLinux(), () => {
  for (const [count, bytes] of [
    [1, 1],
    [253, 1],
    [254, 2],
    [254, 1_000_000],
    [1000, 4],
    [1000, 100_000],
  ]) {
    test(`${count} descriptors with ${bytes} bytes`, async (t) => {
      const before = countFds();
      const [one, two] = makePair(t);
      const got = collect(t, two);
      const data = Buffer.alloc(bytes, 'abc');
      const { paths, texts } = makeFiles(t, count);
      const fds = paths.map((path) => fs.openSync(path));
      const written = write(one, { data, fds });
      fds.forEach(closeFd);
      await written;
      await untilFds(got, count);
      await until(() => got.bytes().length === bytes, 'the bytes');
      assert.ok(got.bytes().equals(data));
      assert.deepEqual(readAndClose(got.fds), texts);
      one.destroy();
      two.destroy();
      await assertNoLeak(before);
    });
  }

  test('more than the bytes can carry go on with the next bytes', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const outcomes = new Outcomes();
    await withFiles(t, 600, async (fds, texts) => {
      one.write({ data: 'a', fds, callback: outcomes.callback() });
      await untilFds(got, 253);
      await delay(10);
      assert.equal(got.fds.length, 253);
      assert.deepEqual(outcomes.codes, []);
      one.write('b');
      await untilFds(got, 506);
      one.write('cd', outcomes.callback());
      await untilFds(got, 600);
      await outcomes.settled();
      assert.deepEqual(outcomes.codes, Outcomes.all(2, undefined));
      assert.equal(String(got.bytes()), 'abcd');
      assert.deepEqual(readAndClose(got.fds), texts);
    });
  });

  for (const how of ['write(fds)', 'write({ fds })', "write({ data: '', fds })"]) {
    test(`${how}: they travel with the next bytes`, async (t) => {
      const [one, two] = makePair(t);
      const got = collect(t, two);
      const outcomes = new Outcomes();
      await withFiles(t, 3, async (fds, texts) => {
        for (const fd of fds) {
          const callback = outcomes.callback();
          if (how === 'write(fds)') {
            one.write([fd], callback);
          } else if (how === 'write({ fds })') {
            one.write({ fds: [fd] }, callback);
          } else {
            one.write({ data: '', fds: [fd] }, callback);
          }
          closeFd(fd);
        }
        await delay(10);
        assert.deepEqual([got.fds.length, outcomes.codes.length, got.bytes().length], [0, 0, 0]);
        assert.equal(one.write('x', outcomes.callback()), true);
        await untilFds(got, 3);
        assert.deepEqual(await outcomes.settled(), Outcomes.all(4, undefined));
        assert.equal(String(got.bytes()), 'x');
        assert.deepEqual(readAndClose(got.fds), texts);
      });
    });
  }

  test('an empty list is no descriptor', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const outcomes = new Outcomes();
    one.write([], outcomes.callback());
    one.write({ data: 'x', fds: [] }, outcomes.callback());
    one.end({ fds: [], callback: outcomes.callback() });
    assert.deepEqual(await outcomes.settled(), Outcomes.all(3, undefined));
    await closing(two);
    assert.deepEqual([String(got.bytes()), got.fds], ['x', []]);
  });

  for (const [what, make] of [
    [
      'a net.Server',
      () =>
        require('node:net')
          .createServer()
          .listen('\0afunix-' + process.pid),
    ],
    ['a USocket', () => USocket.pair()[0]],
  ]) {
    test(`of ${what}`, async (t) => {
      const holder = make();
      t.after(() => (holder.destroy ? holder.destroy() : holder.close()));
      const [one, two] = makePair(t);
      const got = collect(t, two);
      one.write({ data: 'x', fds: [holder] });
      const [fd] = await untilFds(got, 1);
      assert.equal(identity(fd), identity(holder._handle?.fd ?? holder.fd));
    });
  }

  test("the end comes first: ERR_AFUNIX_FDS_UNSENT to the callback, 'finish' all the same", async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    two.resume();
    const outcomes = new Outcomes();
    const fds = nulls(2);
    one.write(fds.slice(0, 1), outcomes.callback());
    one.write({ fds: fds.slice(1), callback: outcomes.callback() });
    fds.forEach(closeFd);
    one.end();
    assert.deepEqual(await outcomes.settled(), Outcomes.all(2, 'ERR_AFUNIX_FDS_UNSENT'));
    await closing(one);
    assert.equal(one.errored, null);
    await closing(two);
    await assertNoLeak(before);
  });

  test('the end comes first: what was not sent is closed, though the socket goes on receiving', async (t) => {
    const [one, two] = makePair(t, { allowHalfOpen: true });
    const before = countFds();
    const outcomes = new Outcomes();
    const fds = nulls(3);
    one.write(fds, outcomes.callback());
    fds.forEach(closeFd);
    assert.equal(countFds(), before + fds.length);
    one.end();
    assert.deepEqual(await outcomes.settled(), [[0, 'ERR_AFUNIX_FDS_UNSENT']]);
    assert.equal(countFds(), before);
    const received = nextEvent(one, 'data');
    two.write('still heard');
    assert.equal(String((await received)[0]), 'still heard');
  });

  test("the end comes first and there is no callback: 'error'", async (t) => {
    const [one, two] = makePair(t);
    two.resume();
    const [fd] = nulls(1);
    one.end([fd]);
    closeFd(fd);
    const [error] = await nextEvent(one, 'error');
    assert.equal(error.code, 'ERR_AFUNIX_FDS_UNSENT');
    await closing(one);
  });

  test('destroy() comes first: the callback gets its error, nothing leaks', async (t) => {
    const before = countFds();
    for (const [error, code] of [
      [undefined, 'ERR_STREAM_DESTROYED'],
      [Object.assign(new Error('mine'), { code: 'MINE' }), 'MINE'],
    ]) {
      const [one, two] = makePair(t);
      one.on('error', () => {});
      const outcomes = new Outcomes();
      const fds = nulls(3);
      one.write(fds, outcomes.callback());
      fds.forEach(closeFd);
      one.destroy(error);
      two.destroy();
      assert.deepEqual(await outcomes.settled(), [[0, code]]);
      await closing(one);
    }
    await assertNoLeak(before);
  });

  test('EBADF throws, sends nothing and harms nothing', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const [dead, alive] = nulls(2);
    closeFd(dead);
    const outcomes = new Outcomes();
    for (const message of [
      { data: 'no', fds: [alive, dead] },
      [dead],
      { fds: [dead], callback: outcomes.callback() },
    ]) {
      assert.throws(() => one.write(message), { code: 'EBADF', errno: -9 });
      assert.throws(() => one.end(message), { code: 'EBADF' });
    }
    one.cork();
    assert.throws(() => one.write({ data: 'no', fds: [dead] }), { code: 'EBADF' });
    one.uncork();
    await quiet();
    assert.deepEqual(outcomes.codes, []);
    assert.equal(one.bytesWritten, 0);
    one.write({ data: 'yes', fds: [alive] });
    closeFd(alive);
    const [fd] = await untilFds(got, 1);
    assert.equal(String(got.bytes()), 'yes');
    closeFd(fd);
    one.destroy();
    two.destroy();
    await assertNoLeak(before);
  });

  test('those that wait for bytes go before those of the bytes', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const { paths, texts } = makeFiles(t, 3);
    const fds = paths.map((path) => fs.openSync(path));
    one.write([fds[0]]);
    one.write({ data: 'x', fds: fds.slice(1) });
    fds.forEach(closeFd);
    const received = await untilFds(got, 3);
    assert.deepEqual(readAndClose(received), texts);
  });

  test('what a message has counts, its own or of its class, whatever Object.prototype has', async (t) => {
    class Given {
      get data() {
        return 'b';
      }
    }
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const foreign = { data: 1, fds: 'x', callback: 5 };
    Object.assign(Object.prototype, foreign);
    try {
      one.write({ data: 'a', fds: [0], callback: null });
      one.write(new Given());
      assert.throws(() => one.write({ fds: 'own', data: 'c' }), { code: 'ERR_INVALID_ARG_TYPE' });
    } finally {
      for (const name of Object.keys(foreign)) delete Object.prototype[name];
    }
    (await untilFds(got, 1)).forEach(closeFd);
    await until(() => got.bytes().length === 2, 'the bytes');
    assert.equal(String(got.bytes()), 'ab');
  });

  test('the bytes may be of any view', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const { buffer } = Uint8Array.from(Buffer.from('abcdefgh'));
    one.write({ data: new DataView(buffer, 1, 2), fds: [0] });
    one.write({ data: new Uint16Array(buffer, 4, 2), fds: [0] });
    one.write({ data: new Uint8Array(buffer, 3, 1), fds: [0] });
    assert.equal(one.bytesWritten, 7);
    (await untilFds(got, 3)).forEach(closeFd);
    await until(() => got.bytes().length === 7, 'the bytes');
    assert.equal(String(got.bytes()), 'bcefghd');
  });

  test('what end() sends with descriptors is counted once', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    one.end({ data: 'last', fds: [0] });
    assert.equal(one.bytesWritten, 4);
    (await untilFds(got, 1)).forEach(closeFd);
    await until(() => got.bytes().length === 4, 'the bytes');
  });

  test('faulty lists throw', async (t) => {
    const [one] = makePair(t);
    for (const message of [
      ['0'],
      [-1],
      [1.5],
      { data: 'x', fds: 3 },
      { fds: [{}] },
      {},
      { data: 1 },
    ]) {
      assert.throws(() => one.write(message), { code: /^ERR_(INVALID_ARG_TYPE|OUT_OF_RANGE)$/ });
    }
    assert.throws(() => one.write({ data: 'x', callback: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.equal(one.bytesWritten, 0);
  });
});
