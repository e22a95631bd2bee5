'use strict';

// Owns the calls of afunix/posix for descriptors of any kind: fcntl(), dup(), pipe(), poll(), close().

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { memfd } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeak, closeQuietly, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { isCloseOnExec, pair } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const { F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, O_NONBLOCK } = posix;

/** Closes it with the test, if it is open then. */
function owned(t, fd) {
  t.after(() => closeQuietly(fd));
  return fd;
}

/** A file that is open to be read and written. */
const openFile = (t) => owned(t, fs.openSync(temporaryPath(t, 'file'), 'w+'));

describe('fcntl()', onLinux({}), () => {
  test('asks for and sets the flags of a descriptor', (t) => {
    const fd = openFile(t);
    assert.equal(posix.fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert.equal(posix.fcntl(fd, F_SETFD, 0), 0);
    assert.equal(isCloseOnExec(fd), false);
    assert.equal(posix.fcntl(fd, F_GETFD), 0);
    posix.fcntl(fd, F_SETFD, FD_CLOEXEC);
    assert.equal(isCloseOnExec(fd), true);
  });

  test('asks for and sets the flags of an open file', (t) => {
    const [left, right] = pair(t);
    assert.equal(posix.fcntl(left, F_GETFL) & posix.O_ACCMODE, posix.O_RDWR);
    posix.fcntl(left, F_SETFL, posix.fcntl(left, F_GETFL) | O_NONBLOCK);
    assert.throws(() => posix.recv(left, Buffer.alloc(1)), { code: 'EAGAIN' });
    assert.equal(posix.fcntl(right, F_GETFL) & O_NONBLOCK, 0);
    const file = openFile(t);
    posix.fcntl(file, F_SETFL, posix.O_APPEND);
    fs.writeSync(file, 'ab');
    fs.writeSync(file, 'X', 0);
    assert.equal(fs.fstatSync(file).size, 3);
  });

  test('duplicates from a number on', (t) => {
    const fd = openFile(t);
    const [any, high] = [undefined, 300].map((least) =>
      owned(t, posix.fcntl(fd, F_DUPFD_CLOEXEC, least)),
    );
    assert.ok(high >= 300 && any !== fd);
    for (const copy of [any, high]) {
      assert.ok(isCloseOnExec(copy));
      assert.equal(fs.fstatSync(copy).ino, fs.fstatSync(fd).ino);
    }
  });

  test('seals a file in memory, and asks for its seals', (t) => {
    const { F_ADD_SEALS, F_GET_SEALS, F_SEAL_SEAL, F_SEAL_WRITE } = posix;
    const fd = owned(t, memfd('abc'));
    assert.equal(posix.fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
    assert.throws(() => posix.fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), {
      code: 'EPERM',
      syscall: 'fcntl',
    });
    const sealed = owned(t, memfd('abc', { seal: true }));
    assert.equal(posix.fcntl(sealed, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
    assert.throws(() => posix.fcntl(openFile(t), F_GET_SEALS), { code: 'EINVAL' });
  });

  test('refuses commands that it does not know, whose argument would be a pointer', (t) => {
    const fd = openFile(t);
    const F_GETLK = 5;
    for (const cmd of [F_GETLK, -1, 0, 2 ** 31 - 1]) {
      const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE', message: /F_GETFL/ };
      assert.throws(() => posix.fcntl(fd, cmd, 1), failure);
    }
    for (const wrong of [null, '1', {}, 1n]) {
      const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
      assert.throws(() => posix.fcntl(wrong, F_GETFD), failure);
      assert.throws(() => posix.fcntl(fd, wrong), failure);
      assert.throws(() => posix.fcntl(fd, F_SETFD, wrong), failure);
    }
    assert.throws(() => posix.fcntl(fd, F_SETFL), { code: 'ERR_INVALID_ARG_TYPE' });
    for (const closed of [-1, 1_000_000]) {
      assert.throws(() => posix.fcntl(closed, F_GETFD), { code: 'EBADF', syscall: 'fcntl' });
    }
  });
});

describe('dup()', onLinux({}), () => {
  test('makes a close-on-exec descriptor of the same open file', (t) => {
    const fd = openFile(t);
    posix.fcntl(fd, F_SETFD, 0);
    const copy = owned(t, posix.dup(fd));
    assert.ok(isCloseOnExec(copy));
    fs.writeSync(fd, 'one ');
    fs.writeSync(copy, 'two');
    posix.close(fd);
    const room = Buffer.alloc(20);
    assert.equal(room.toString('utf8', 0, fs.readSync(copy, room, 0, 20, 0)), 'one two');
  });

  test('fails with EBADF, and EMFILE where there is no room', async (t) => {
    assert.throws(() => posix.dup(-1), { code: 'EBADF', syscall: 'fcntl' });
    const result = await runScript(
      t,
      ({ dup }) => {
        const copies = [];
        try {
          for (;;) copies.push(dup(0));
        } catch ({ code, syscall }) {
          console.log(JSON.stringify({ code, syscall, some: copies.length > 5 }));
        }
      },
      [],
      { openFiles: 64 },
    );
    assert.deepEqual(result, { code: 'EMFILE', syscall: 'fcntl', some: true });
  });
});

describe('pipe()', onLinux({}), () => {
  test('makes two close-on-exec ends, which block', async (t) => {
    const before = countFds();
    const [read, write] = posix.pipe();
    assert.deepEqual([read, write].map(isCloseOnExec), [true, true]);
    assert.deepEqual(
      [read, write].map((fd) => posix.fcntl(fd, F_GETFL) & (O_NONBLOCK | posix.O_ACCMODE)),
      [posix.O_RDONLY, posix.O_WRONLY],
    );
    fs.writeSync(write, 'through');
    posix.close(write);
    assert.equal(fs.readFileSync(read, 'utf8'), 'through');
    posix.close(read);
    await assertNoLeak(before);
    assert.ok(t);
  });

  test('makes ends that do not block, if that is asked for', (t) => {
    const [read, write] = posix.pipe({ nonblocking: true }).map((fd) => owned(t, fd));
    for (const fd of [read, write]) assert.ok(posix.fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert.throws(() => fs.readSync(read, Buffer.alloc(1)), { code: 'EAGAIN' });
    for (const wrong of [null, 1, 'x', []]) {
      assert.throws(() => posix.pipe(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    assert.throws(() => posix.pipe({ nonblocking: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  });
});

describe('poll()', onLinux({}), () => {
  test('without a time waits until something happens', (t) => {
    const [here, there] = pair(t);
    const fds = [{ fd: here, events: posix.POLLIN }];
    assert.equal(posix.poll(fds, 0), 0);
    const options = { stdio: ['ignore', there, 'inherit'] };
    const child = spawn(process.execPath, ['-e', 'process.stdout.write("x")'], options);
    t.after(() => once(child, 'close'));
    assert.equal(posix.poll(fds), 1);
    assert.equal(fds[0].revents, posix.POLLIN);
  });
});
