'use strict';

// Owns descriptors that a USocket cannot send at once: behind a full buffer, corked, before it is
// connected, too many in flight. None is lost, repeated or moved.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { beforeEach, describe, test } = require('node:test');
const { USocket, closeFd } = require('../../lib');
const posix = require('../../posix.js');
const { assertNoLeak, countFds, nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { WITHOUT_IO_URING, runScript, scriptArguments } = require('../helpers/node.js');
const { open: openPosix } = require('../helpers/posix.js');
const { onLinux, skipUnless } = require('../helpers/programs.js');
const { closing, quiet } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { systemCalls } = require('../helpers/strace.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { collect, makePair, numberIn, numberedFile, untilFds } = require('../helpers/usocket.js');
const { delay } = require('../helpers/wait.js');

assertNoLeaks();

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

describe('waiting', onLinux(), () => {
  test('a write of nothing is called back, and the descriptors go on waiting', async (t) => {
    const [one, two] = makePair(t);
    const outcomes = new Outcomes();
    const files = nulls(1);
    one.write({ fds: files, callback: outcomes.callback() });
    files.forEach(closeFd);
    let isCalled = false;
    one.write('', () => (isCalled = true));
    await quiet();
    assert.equal(isCalled, true);
    const coming = nextEvent(two, 'fds');
    one.write('with them');
    const [fds] = await coming;
    fds.forEach(closeFd);
    assert.equal(fds.length, 1);
  });

  // write(2) of one chunk without bytes finds a peer that is gone; writev(2) of several does not look.
  for (const chunks of [1, 2]) {
    test(`before the connection: ${chunks} chunks of nothing do as net's, with descriptors behind them`, async (t) => {
      const name = temporaryPath(t);
      const listener = openPosix(t);
      posix.bind(listener, { sun_family: posix.AF_UNIX, sun_path: name });
      posix.listen(listener, 5);
      const codes = { ours: [], net: [] };
      const sockets = { ours: new USocket(), net: new net.Socket() };
      for (const [kind, socket] of Object.entries(sockets)) {
        t.after(() => socket.destroy());
        socket.on('error', (error) => codes[kind].push(`error ${error.code}`));
        const note = (error) => codes[kind].push(error?.code ?? 'sent');
        socket.connect(name);
        posix.close(posix.accept(listener));
        socket.cork();
        for (let chunk = 0; chunk < chunks; chunk++) socket.write('', note);
        socket.uncork();
        if (kind === 'ours') socket.write({ data: 'x', fds: [0], callback: note });
        else socket.write('x', note);
      }
      await Promise.all(Object.values(sockets).map(closing));
      const first = chunks === 1 ? ['EPIPE'] : ['sent', 'sent'];
      assert.deepEqual(codes.net, [...first, 'EPIPE', 'error EPIPE']);
      assert.deepEqual(codes.ours, codes.net);
    });
  }

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
    // The last ones wait for bytes to travel with.
    for (let round = 0; round < 11; round++) {
      const fds = nulls(30);
      one.write(round % 2 ? { data: 'x', fds } : fds, outcomes.callback());
      fds.forEach(closeFd);
    }
    one.destroy();
    two.destroy();
    assert.deepEqual(await outcomes.settled(), Outcomes.all(11, 'ERR_STREAM_DESTROYED'));
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

  test('too many in flight are tried again after pauses', skipUnless('strace'), async (t) => {
    const script = async ({ USocket, closeFd }) => {
      const [one] = USocket.pair();
      const fd = require('node:fs').openSync('/dev/null');
      one.write({ data: 'x', fds: [fd] });
      closeFd(fd);
      // A pause is at most as long as one of these.
      for (let turn = 0; turn < 10; turn++) await new Promise((done) => setTimeout(done, 32));
      process.exit(one.writableLength > 0 ? 0 : 1);
    };
    const refused = 'sendmsg:error=ETOOMANYREFS';
    const threads = await systemCalls(t, scriptArguments(script, []), 'sendmsg', refused);
    if (threads === null) return;
    const tries = threads.flat().filter((line) => line.includes('ETOOMANYREFS')).length;
    assert.ok(tries > 3 && tries < 40, `${tries} tries`);
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
