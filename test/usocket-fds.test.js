'use strict';

// Owns descriptors that travel with a USocket's bytes: how many, in what order, with which bytes, who
// owns them when, and what happens where there is no room for them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { beforeEach, describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const { USocket, closeFd } = require('../lib');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('./helpers/descriptors.js');
const { WITHOUT_IO_URING, runScript } = require('./helpers/node.js');
const { onLinux } = require('./helpers/programs.js');
const { closing, quiet, write } = require('./helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('./helpers/sockets.js');
const { temporaryFolder } = require('./helpers/tmp.js');
const { until } = require('./helpers/wait.js');
const {
  closeQuietly,
  collect,
  identity,
  makePair,
  numberIn,
  numberedFile,
  untilFds,
} = require('./helpers/usocket.js');

/** Opens files, passes their descriptors to the body, and closes them afterwards. */
async function withFiles(t, count, body) {
  const { paths, texts } = makeFiles(t, count);
  const fds = paths.map((path) => fs.openSync(path));
  try {
    return await body(fds, texts);
  } finally {
    fds.forEach(closeQuietly);
  }
}

/** Descriptors of /dev/null, as cheap as they come. */
const nulls = (count) => Array.from({ length: count }, () => fs.openSync('/dev/null'));

/** Stops reading, and writes until the kernel takes no more. */
async function fillUp(one, two) {
  two.pause();
  await quiet();
  const before = one.bytesWritten;
  while (one.writableLength === 0) one.write(Buffer.alloc(10_000, '.'));
  return one.bytesWritten - before;
}

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

describe('waiting', onLinux(), () => {
  test('descriptors behind a full buffer arrive in order, with none lost', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    await fillUp(one, two);
    const outcomes = new Outcomes();
    const folder = temporaryFolder(t);
    let total = 0;
    for (const count of [1, 0, 253, 3, 254, 10, 2]) {
      const fds = Array.from({ length: count }, () => numberedFile(t, total++, folder));
      one.write({ data: 'abc', fds, callback: outcomes.callback() });
      fds.forEach(closeFd);
    }
    const got = collect(t, two);
    two.resume();
    await untilFds(got, total);
    assert.deepEqual(await outcomes.settled(), Outcomes.all(7, undefined));
    assert.deepEqual(
      got.fds.map(numberIn),
      Array.from({ length: total }, (_, index) => index),
    );
    got.fds.splice(0).forEach(closeFd);
    one.destroy();
    two.destroy();
    await assertNoLeak(before);
  });

  test('random sizes and counts against a slow reader: all there, none repeated or moved', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t, { maxPendingFds: 1_000_000 });
    const folder = temporaryFolder(t);
    let seed = 12345;
    // The same sizes each time: a failure can be repeated.
    const random = (limit) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % limit;
    const expected = [];
    const places = [];
    const outcomes = new Outcomes();
    let sent = 0;
    let number = 0;
    const got = [];
    const bytes = [];
    // What came no later than these bytes were read. Descriptors come with the first byte of their
    // message, or earlier, since the kernel may add them to bytes before it.
    const reader = (async () => {
      let taken = 0;
      for (;;) {
        const result = two.read(null, null);
        if (result === null) {
          if (two.readableEnded || two.destroyed) return;
          await Promise.race([nextEvent(two, 'readable'), nextEvent(two, 'end')]);
          continue;
        }
        bytes.push(result.data);
        taken += result.data.length;
        for (const fd of result.fds) {
          const which = numberIn(fd);
          got.push(which);
          assert.ok(places[which] < taken, `descriptor ${which} came before its byte`);
          closeFd(fd);
        }
        assert.ok(places.slice(0, number).filter((at) => at < taken).length <= got.length);
        if (random(4) === 0) await delay(1);
      }
    })();
    for (let round = 0; round < 150; round++) {
      const size = [1, 10, 1000, 70_000, 300_000][random(5)];
      const count = [0, 0, 1, 2, 20, 253, 300][random(7)];
      const data = Buffer.alloc(Math.max(size, Math.ceil(count / 253)), String(round));
      const fds = [];
      for (let index = 0; index < count; index++) {
        places[number] = sent + Math.floor(index / 253);
        fds.push(numberedFileOnce(folder, number++));
      }
      sent += data.length;
      expected.push(data);
      const more = one.write(count > 0 ? { data, fds } : data, outcomes.callback());
      fds.forEach(closeFd);
      if (!more && random(3) > 0) await nextEvent(one, 'drain');
    }
    one.end();
    await reader;
    assert.deepEqual(await outcomes.settled(), Outcomes.all(150, undefined));
    assert.ok(Buffer.concat(bytes).equals(Buffer.concat(expected)));
    assert.deepEqual(
      got,
      Array.from({ length: number }, (_, index) => index),
    );
    one.destroy();
    two.destroy();
    await assertNoLeak(before);
  });

  test('what waits when the socket is destroyed is closed, and every callback runs in order', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    await fillUp(one, two);
    const outcomes = new Outcomes();
    for (let round = 0; round < 10; round++) {
      const fds = nulls(30);
      one.write(round % 2 ? { data: 'x', fds } : fds, outcomes.callback());
      fds.forEach(closeFd);
    }
    one.destroy();
    two.destroy();
    assert.deepEqual(await outcomes.settled(), Outcomes.all(10, 'ERR_STREAM_DESTROYED'));
    await assertNoLeak(before);
  });

  test('descriptors written while corked or connecting travel with their own bytes', async (t) => {
    const [one, two] = makePair(t);
    const chunks = [];
    two.on('readable', () => {
      for (let part; (part = two.read(null, null)) !== null;) {
        chunks.push([String(part.data), ...part.fds.map(numberIn)]);
        part.fds.forEach(closeFd);
      }
    });
    const folder = temporaryFolder(t);
    one.cork();
    one.write('plain');
    one.write({ data: 'first', fds: [numberedFile(t, 1, folder)] });
    one.write('and');
    one.write([numberedFile(t, 2, folder)]);
    one.write('second');
    one.uncork();
    one.end();
    await nextEvent(two, 'end');
    // Descriptors end what one call receives; the next bytes come apart.
    const text = chunks.map(([bytes]) => bytes).join('');
    assert.equal(text, 'plainfirstandsecond');
    const seen = chunks.flatMap(([, ...numbers]) => numbers);
    assert.deepEqual(seen, [1, 2]);
    const until1 = chunks.slice(0, chunks.findIndex((chunk) => chunk.includes(1)) + 1);
    assert.doesNotMatch(until1.map(([bytes]) => bytes).join(''), /second/);
  });

  test('too many in flight (ETOOMANYREFS) wait and go on', async (t) => {
    const result = await runScript(
      t,
      async ({ USocket, closeFd }) => {
        const fs = require('node:fs');
        const [one, two] = USocket.pair({ pauseOnConnect: true });
        one.resume();
        // Root is exempt, and the processes of one user share the limit.
        if (process.getuid() === 0) {
          process.setgid(100_000 + process.pid);
          process.setuid(100_000 + process.pid);
        }
        let called = 0;
        const fd = fs.openSync('/dev/null');
        for (let round = 0; round < 40; round++) {
          one.write(
            { data: 'x', fds: Array(20).fill(fd) },
            (error) => (called += error ? 1000 : 1),
          );
        }
        closeFd(fd);
        await new Promise((done) => setTimeout(done, 50));
        const waiting = one.writableLength;
        let count = 0;
        two.on('fds', (fds) => {
          count += fds.length;
          fds.forEach((each) => closeFd(each));
        });
        two.resume();
        one.end();
        await require('node:events').once(two, 'end');
        console.log(JSON.stringify({ waiting, count, called }));
      },
      [],
      { ...WITHOUT_IO_URING, openFiles: 600 },
    );
    assert.ok(result.waiting > 0, 'the limit was never reached');
    assert.deepEqual([result.count, result.called], [800, 40]);
  });
});

/** A descriptor as of numberedFile(), without a clean-up of its own. */
function numberedFileOnce(folder, number) {
  const file = `${folder}/${number}`;
  fs.writeFileSync(file, String(number));
  const fd = fs.openSync(file);
  fs.unlinkSync(file);
  return fd;
}

describe('receiving', onLinux(), () => {
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

  test('unshift(chunk, fds)', async (t) => {
    const [one, two] = makePair(t);
    await withFiles(t, 3, async (fds, texts) => {
      one.write({ data: 'abc', fds });
      await nextEvent(two, 'readable');
      const part = two.read(null, null);
      two.unshift(part.data, part.fds);
      const again = two.read(3, 3);
      assert.deepEqual([String(again.data), again.fds], ['abc', part.fds]);
      two.unshift(null, again.fds.slice(1));
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
  });

  test('what the collector takes has no descriptors left', async () => {
    const before = countFds();
    (() => {
      for (let round = 0; round < 20; round++) {
        // One that reads is held by the event loop, as net's are.
        const [one] = USocket.pair({ pauseOnConnect: true });
        one.write({ data: 'x', fds: [0, 0] });
      }
    })();
    await until(() => {
      globalThis.gc();
      return countFds() === before;
    }, 'the collector');
  });
});
