'use strict';

// Owns dup() and fileHandle(): what the new descriptor and the FileHandle can do, and who owns what.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { USocket, closeFd, dup, fdType, fileHandle, memfd, socketpair } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { O_CLOEXEC, assertNoLeak, countFds, flagsOf } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { WITHOUT_IO_URING, runScript, startWorker } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** A descriptor as another process would pass it: it has come through a socket. */
async function received(fd) {
  const [here, there] = USocket.pair();
  const arrived = once(there, 'fds');
  here.write({ data: 'x', fds: [fd] });
  closeFd(fd);
  const [[copy]] = await arrived;
  here.destroy();
  there.destroy();
  return copy;
}

const isOpen = (fd) => {
  try {
    return fdType(fd) !== undefined;
  } catch (error) {
    assert.equal(error.code, 'EBADF');
    return false;
  }
};

describe('fileHandle()', onLinux({}), () => {
  test("is a FileHandle of Node's own that reads, writes and closes a received file", async (t) => {
    const path = temporaryPath(t, 'file');
    const before = countFds();
    const fd = await received(fs.openSync(path, 'w+'));
    const handle = await fileHandle(fd);
    const another = await fs.promises.open(path);
    assert.equal(handle.constructor, another.constructor);
    await another.close();
    // The number has changed, and the old one is free.
    assert.notEqual(handle.fd, fd);
    assert.equal(isOpen(fd), false);
    assert.ok(flagsOf(handle.fd) & O_CLOEXEC);

    await handle.write('hello, file');
    assert.equal((await handle.stat()).ino, fs.statSync(path).ino);
    const { buffer, bytesRead } = await handle.read({ position: 7 });
    assert.equal(buffer.toString('utf8', 0, bytesRead), 'file');
    await handle.truncate(5);
    assert.equal(fs.readFileSync(path, 'utf8'), 'hello');
    assert.equal(await handle.readFile('utf8'), '');
    await handle.close();
    assert.equal(handle.fd, -1);
    await assertNoLeak(before);
  });

  test('has a pipe, a file in memory, a socket, a folder', async (t) => {
    const before = countFds();
    const [read, write] = posix.pipe();
    const [reader, writer] = [await fileHandle(await received(read)), await fileHandle(write)];
    await writer.write('through the pipe');
    await writer.close();
    assert.equal(await reader.readFile('utf8'), 'through the pipe');
    await reader.close();

    const memory = await fileHandle(await received(memfd('in memory', { seal: true })));
    assert.equal(await memory.readFile('utf8'), 'in memory');
    await assert.rejects(memory.write('x'), { code: 'EPERM' });
    await memory.close();

    const [left, right] = socketpair('stream');
    const ends = [await fileHandle(left), await fileHandle(right)];
    assert.ok((await ends[0].stat()).isSocket());
    await ends[0].write('through the socket');
    const { buffer, bytesRead } = await ends[1].read();
    assert.equal(buffer.toString('utf8', 0, bytesRead), 'through the socket');
    for (const end of ends) await end.close();

    const folder = await fileHandle(await received(fs.openSync('/', 'r')));
    assert.ok((await folder.stat()).isDirectory());
    await folder.close();
    await assertNoLeak(before);
    assert.ok(t);
  });

  test('makes streams, which close it', async (t) => {
    const path = temporaryPath(t, 'file');
    fs.writeFileSync(path, 'line by line');
    const before = countFds();
    const handle = await fileHandle(fs.openSync(path, 'r'));
    const chunks = await handle.createReadStream({ start: 8 }).toArray();
    assert.equal(Buffer.concat(chunks).toString(), 'line');
    await assertNoLeak(before);
  });

  test('works after privileges were dropped, where the file could not be opened anew', async (t) => {
    if (process.getuid() !== 0) return t.skip('needs root');
    const path = temporaryPath(t, 'secret');
    fs.writeFileSync(path, 'for root', { mode: 0o600 });
    const result = await runScript(
      t,
      async ({ fileHandle }, path) => {
        const fs = require('node:fs');
        const fd = fs.openSync(path, 'r');
        process.setgroups([]);
        process.setgid(65534);
        process.setuid(100_000 + process.pid);
        const codes = [path, `/proc/self/fd/${fd}`].map((name) => {
          try {
            return fs.openSync(name, 'r');
          } catch ({ code }) {
            return code;
          }
        });
        const handle = await fileHandle(fd);
        const text = await handle.readFile('utf8');
        await handle.close();
        console.log(JSON.stringify({ codes, text }));
      },
      [path],
      WITHOUT_IO_URING,
    );
    assert.deepEqual(result, { codes: ['EACCES', 'EACCES'], text: 'for root' });
  });

  test('works in a worker', async (t) => {
    const { messages, exited } = startWorker(t, async (afunix, _data, port) => {
      const handle = await afunix.fileHandle(afunix.memfd('from a worker'));
      port.postMessage(await handle.readFile('utf8'));
      await handle.close();
    });
    assert.equal(await messages.next(), 'from a worker');
    assert.equal(await exited(), 0);
  });

  test('leaves the descriptor to the caller where it fails', async (t) => {
    const result = await runScript(
      t,
      async ({ closeFd, fdType, fileHandle, memfd }) => {
        const fs = require('node:fs');
        const fd = memfd('x');
        const open = [];
        try {
          for (;;) open.push(fs.openSync('/dev/null'));
        } catch {
          // Until there is no room for one more.
        }
        const { code } = await fileHandle(fd).catch((error) => error);
        const type = fdType(fd);
        closeFd(fd);
        open.forEach((each) => closeFd(each));
        console.log(JSON.stringify({ code, type }));
      },
      [],
      { openFiles: 64 },
    );
    assert.deepEqual(result, { code: 'EMFILE', type: 'file' });
  });

  test('refuses what is not open, and what is no number', async () => {
    const before = countFds();
    const fd = fs.openSync('/dev/null');
    fs.closeSync(fd);
    // Neither is the number that the folder gets, which may be this one.
    await assert.rejects(fileHandle(fd + 1000), { code: 'EBADF', syscall: 'dup3' });
    for (const wrong of [undefined, null, '3', {}, { fd: 3 }]) {
      assert.throws(() => fileHandle(wrong), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
    for (const wrong of [-1, 0.5, 2 ** 32]) {
      assert.throws(() => fileHandle(wrong), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    }
    await assertNoLeak(before);
  });

  test('warns, as Node does of its own, where it is lost', async (t) => {
    const result = await runScript(
      t,
      async ({ fileHandle, memfd }) => {
        const fs = require('node:fs');
        const isOpen = () =>
          fs.readdirSync('/proc/self/fd').some((fd) => {
            try {
              return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:lost');
            } catch {
              return false; // That of the folder itself.
            }
          });
        const warned = new Promise((resolve) => {
          // A warning up to Node 24, an error later.
          process.on('warning', resolve);
          process.on('uncaughtException', resolve);
        });
        await (async () => void (await fileHandle(memfd('', { name: 'lost' }))))();
        const was = isOpen();
        const timer = setInterval(() => globalThis.gc(), 10);
        const { message } = await warned;
        clearInterval(timer);
        console.log(JSON.stringify({ message, was, is: isOpen() }));
      },
      [],
      { flags: ['--expose-gc'] },
    );
    assert.match(result.message, /garbage collection/i);
    assert.deepEqual([result.was, result.is], [true, false]);
  });
});

describe('dup()', onLinux({}), () => {
  test('makes a close-on-exec descriptor of the same open file', (t) => {
    const fd = fs.openSync(temporaryPath(t, 'file'), 'w+');
    const copy = dup(fd);
    assert.notEqual(copy, fd);
    assert.ok(flagsOf(copy) & O_CLOEXEC);
    fs.writeSync(fd, 'one ');
    fs.closeSync(fd);
    fs.writeSync(copy, 'two');
    const room = Buffer.alloc(20);
    assert.equal(room.toString('utf8', 0, fs.readSync(copy, room, 0, 20, 0)), 'one two');
    closeFd(copy);
  });

  test('takes objects that have one, and leaves it to them', async () => {
    const before = countFds();
    const handle = await fs.promises.open('/dev/null');
    const [left, right] = USocket.pair();
    const copies = [dup(handle), dup(left), dup({ fd: right.fd })];
    assert.deepEqual(copies.map(fdType), ['character-device', 'unix-stream', 'unix-stream']);
    copies.forEach(closeFd);
    assert.deepEqual([handle.fd, left.fd].map(isOpen), [true, true]);
    await handle.close();
    left.destroy();
    right.destroy();
    await assertNoLeak(before);
  });

  test('keeps a connection open that its object has closed', async () => {
    const [left, right] = USocket.pair();
    const kept = dup(left);
    left.destroy();
    await once(left, 'close');
    posix.send(kept, Buffer.from('still here'));
    const [data] = await once(right, 'data');
    assert.equal(String(data), 'still here');
    closeFd(kept);
    right.destroy();
  });

  test('refuses what is not open, and numbers that are no descriptors, wherever they stand', () => {
    assert.throws(() => dup(1_000_000), { code: 'EBADF', syscall: 'fcntl' });
    for (const fd of [2 ** 32, 2 ** 31, Infinity, 0.5]) {
      const failure = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
      for (const holder of [fd, { fd }, { _handle: { fd } }]) {
        assert.throws(() => dup(holder), failure);
        assert.throws(() => fdType(holder), failure);
        assert.throws(() => posix.sendmsg(0, { fds: [holder] }), failure);
      }
    }
    for (const holder of [null, {}, { fd: -1 }, { fd: NaN }, { fd: '0' }]) {
      assert.throws(() => dup(holder), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
  });
});
