'use strict';

// Owns memfd(): content, offset, seals, names, how it travels, and what goes wrong.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket, closeFd, fdType, memfd } = require('../../lib');
const { O_CLOEXEC, assertNoLeak, countFds, flagsOf } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startWorker } = require('../helpers/node.js');
const { onLinux, skipUnless } = require('../helpers/programs.js');
const { findPython, skipUnlessPython, startPython } = require('../helpers/python.js');
const { inbox, openPair } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** A file in memory that is closed when the test ends. */
function openMemfd(t, ...args) {
  const fd = memfd(...args);
  t.after(() => closeFd(fd));
  return fd;
}

const linkOf = (fd) => fs.readlinkSync(`/proc/self/fd/${fd}`);

describe('the file', onLinux({}), () => {
  test('is empty without data', (t) => {
    const fd = openMemfd(t);
    assert.equal(fs.fstatSync(fd).size, 0);
    assert.equal(fdType(fd), 'file');
    assert.equal(linkOf(fd), '/memfd:afunix (deleted)');
    assert.ok(flagsOf(fd) & O_CLOEXEC, 'inherited');
  });

  test('holds the data, and is read from its start', (t) => {
    const big = Buffer.alloc(5_000_001, 'abcdefg');
    const part = new Uint16Array([1, 2, 3, 4]).subarray(1, 3);
    for (const [data, expected] of [
      ['grüße', Buffer.from('grüße')],
      [big, big],
      [part, Buffer.from(part.buffer, part.byteOffset, part.byteLength)],
      [new DataView(big.buffer, big.byteOffset + 2, 3), big.subarray(2, 5)],
      [Buffer.alloc(0), Buffer.alloc(0)],
      [new Uint8Array(new SharedArrayBuffer(4)), Buffer.alloc(4)],
    ]) {
      const fd = openMemfd(t, data);
      assert.ok(fs.readFileSync(fd).equals(expected));
    }
  });

  test('can be written to and resized unless it is sealed', (t) => {
    const fd = openMemfd(t, 'abc');
    fs.writeSync(fd, 'X', 0);
    fs.ftruncateSync(fd, 2);
    assert.equal(fs.readFileSync(fd, 'utf8'), 'Xb');
  });

  test('cannot be changed by anybody once sealed', (t) => {
    for (const data of ['', 'abc']) {
      const fd = openMemfd(t, data, { seal: true });
      assert.throws(() => fs.writeSync(fd, 'X', 0), { code: 'EPERM' });
      assert.throws(() => fs.ftruncateSync(fd, 100), { code: 'EPERM' });
      if (data !== '') assert.throws(() => fs.ftruncateSync(fd, 0), { code: 'EPERM' });
      // Opened anew it is the same file.
      const again = fs.openSync(`/proc/self/fd/${fd}`, 'r+');
      t.after(() => fs.closeSync(again));
      assert.throws(() => fs.writeSync(again, 'X', 0), { code: 'EPERM' });
      assert.equal(fs.readFileSync(fd, 'utf8'), data);
    }
  });

  test('has exactly the seals that journald asks for', skipUnlessPython(), async (t) => {
    const script = temporaryPath(t, 'seals.py');
    // F_GET_SEALS; SEAL 1, SHRINK 2, GROW 4, WRITE 8.
    fs.writeFileSync(script, 'import fcntl; print(fcntl.fcntl(3, 1034), fcntl.fcntl(4, 1034))');
    assert.ok(findPython());
    const fds = [openMemfd(t, 'x', { seal: true }), openMemfd(t, 'x')];
    const program = startPython(t, script, [], { stdio: ['pipe', 'pipe', 'pipe', ...fds] });
    // An unsealed one can never be sealed: it was not asked for.
    assert.equal(await program.lines.next(), '15 1');
  });

  test('has the name it was given', (t) => {
    assert.equal(linkOf(openMemfd(t, '', { name: 'a name' })), '/memfd:a name (deleted)');
    const longest = 'n'.repeat(249);
    assert.equal(linkOf(openMemfd(t, '', { name: longest })), `/memfd:${longest} (deleted)`);
    assert.equal(linkOf(openMemfd(t, '', { name: '' })), '/memfd: (deleted)');
  });

  test('takes a large message past the limit of a socket', async (t) => {
    const [left, right] = openPair(t, { receiveFds: true });
    const messages = inbox(right);
    const big = Buffer.alloc(20 << 20, 'x');
    const before = countFds();
    const fd = memfd(big, { seal: true });
    left.send({ fds: [fd] });
    closeFd(fd);
    const { data, fds } = await messages.next();
    assert.equal(data.length, 0);
    assert.ok(fs.readFileSync(fds[0]).equals(big));
    closeFd(fds[0]);
    await assertNoLeak(before);
    assert.ok(left instanceof DgramSocket);
  });

  test('can be made in a worker', async (t) => {
    const { messages, exited } = startWorker(t, (afunix, _data, port) => {
      const fd = afunix.memfd('from a worker', { seal: true });
      port.postMessage(require('node:fs').readFileSync(fd, 'utf8'));
      afunix.closeFd(fd);
    });
    assert.equal(await messages.next(), 'from a worker');
    assert.equal(await exited(), 0);
  });
});

describe('bad input', () => {
  const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };

  test('is refused at once and opens nothing', () => {
    const before = countFds();
    for (const data of [null, 0, true, {}, [], new ArrayBuffer(4), () => {}, Symbol('x')]) {
      assert.throws(() => memfd(data), TYPE);
    }
    for (const options of [null, 0, 'x', [], new Map(), () => {}]) {
      assert.throws(() => memfd('', options), TYPE);
    }
    for (const name of [null, 0, {}, Buffer.from('x'), Symbol('x')]) {
      assert.throws(() => memfd('', { name }), TYPE);
    }
    for (const seal of [null, 0, 1, 'true', {}]) {
      assert.throws(() => memfd('', { seal }), TYPE);
    }
    for (const name of ['a\0b', 'n'.repeat(250), 'ü'.repeat(125)]) {
      assert.throws(() => memfd('', { name }), VALUE);
    }
    assert.equal(countFds(), before);
  });

  test('EMFILE where there is no room', onLinux({}), async (t) => {
    const result = await runScript(
      t,
      (afunix) => {
        const open = [];
        try {
          for (;;) open.push(afunix.memfd('x'));
        } catch ({ code, syscall }) {
          console.log(JSON.stringify({ code, syscall, some: open.length > 5 }));
        }
      },
      [],
      { openFiles: 64 },
    );
    assert.deepEqual(result, { code: 'EMFILE', syscall: 'memfd_create', some: true });
  });

  test(
    'a file beyond the limit of its size is closed and reports it',
    skipUnless('prlimit'),
    async (t) => {
      const before = countFds();
      const result = await runScript(
        t,
        (afunix) => {
          process.on('SIGXFSZ', () => {});
          const { readdirSync } = require('node:fs');
          const count = () => readdirSync('/proc/self/fd').length;
          const { execFileSync } = require('node:child_process');
          const limit = (size) =>
            execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${size}:`]);
          limit(100_000);
          const open = count();
          try {
            afunix.memfd(Buffer.alloc(1_000_000));
          } catch ({ code, syscall }) {
            console.log(JSON.stringify({ code, syscall, leaked: count() - open }));
          }
          // What Node writes at its end, of coverage, is larger.
          limit('unlimited');
        },
        [],
      );
      assert.deepEqual(result, { code: 'EFBIG', syscall: 'pwrite', leaked: 0 });
      assert.equal(countFds(), before);
    },
  );
});
