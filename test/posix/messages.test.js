'use strict';

// Owns sendmsg() and recvmsg() of afunix/posix: several buffers, descriptors, credentials, addresses.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const posix = require('../../lib/posix/index.js');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript } = require('../helpers/node.js');
const { isCloseOnExec, open, pair, receive } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName } = require('../helpers/tmp.js');
const { LIB } = require('../helpers/node.js');

assertNoLeaks();

const { AF_UNIX, MSG_CTRUNC, MSG_EOR, MSG_TRUNC, SOCK_DGRAM, SOCK_SEQPACKET, SOL_SOCKET } = posix;

describe('buffers', onLinux({}), () => {
  test('are sent and filled one after the other', (t) => {
    const [left, right] = pair(t);
    const iov = [
      Buffer.from('ab'),
      new Uint16Array([0x6463, 0x6665]).subarray(1),
      new SharedArrayBuffer(0),
      new DataView(Uint8Array.from([1, 2, 0x67, 0x68]).buffer, 2),
      Uint8Array.from([0x69]).buffer,
    ];
    assert.equal(posix.sendmsg(left, { iov }), 7);
    const [first, second] = [Buffer.alloc(3), new ArrayBuffer(10)];
    const received = posix.recvmsg(right, { iov: [first, second] });
    assert.equal(String(first), 'abe');
    assert.equal(String(Buffer.from(second, 0, 4)), 'fghi');
    assert.deepEqual(received, {
      size: 7,
      fds: [],
      credentials: undefined,
      pidfd: undefined,
      flags: 0,
      address: { sun_family: AF_UNIX, sun_path: '' },
    });
  });

  test('may be a single one, or none', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    assert.equal(posix.sendmsg(left, { iov: Buffer.from('one') }), 3);
    assert.equal(posix.sendmsg(left, {}), 0);
    assert.equal(posix.sendmsg(left, { iov: [] }), 0);
    const room = Buffer.alloc(9);
    assert.equal(posix.recvmsg(right, { iov: room }).size, 3);
    assert.equal(posix.recvmsg(right, { iov: [room] }).size, 0);
    assert.equal(posix.recvmsg(right, {}).size, 0);
  });

  test('that are too small, or too many, show', (t) => {
    const [left, right] = pair(t, SOCK_SEQPACKET);
    posix.sendmsg(left, { iov: Buffer.from('message') }, MSG_EOR);
    const cut = posix.recvmsg(right, { iov: Buffer.alloc(4) });
    assert.deepEqual([cut.size, cut.flags & MSG_TRUNC], [4, MSG_TRUNC]);
    const iov = Array.from({ length: 1025 }, () => Buffer.alloc(1));
    const failure = { code: 'EMSGSIZE', syscall: 'sendmsg' };
    assert.throws(() => posix.sendmsg(left, { iov }), failure);
  });
});

describe('addresses', onLinux({}), () => {
  test('go with the message and come with it', (t) => {
    const addr = { sun_family: AF_UNIX, sun_path: abstractName() };
    const [server, client] = [open(t, AF_UNIX, SOCK_DGRAM), open(t, AF_UNIX, SOCK_DGRAM)];
    posix.bind(server, addr);
    posix.bind(client, { sun_family: AF_UNIX, sun_path: '' });
    posix.sendmsg(client, { iov: Buffer.from('ask'), address: addr });
    const { address, size } = posix.recvmsg(server, { iov: Buffer.alloc(9) });
    assert.equal(size, 3);
    assert.deepEqual(address, posix.getsockname(client));
    posix.sendmsg(server, { iov: Buffer.from('answer'), address });
    assert.equal(receive(client), 'answer');
    const nobody = { sun_family: AF_UNIX, sun_path: abstractName() };
    assert.throws(() => posix.sendmsg(client, { address: nobody }), {
      code: 'ECONNREFUSED',
      syscall: 'sendmsg',
      path: nobody.sun_path,
    });
  });
});

describe('descriptors', onLinux({}), () => {
  test('arrive open and close-on-exec, and are the caller’s', async (t) => {
    const { paths, texts } = makeFiles(t, 253);
    const before = countFds();
    const [left, right] = pair(t);
    const fds = paths.map((path) => fs.openSync(path));
    posix.sendmsg(left, { iov: Buffer.from('x'), fds });
    for (const fd of fds) fs.closeSync(fd);
    const received = posix.recvmsg(right, { iov: Buffer.alloc(1) });
    assert.equal(received.flags, 0);
    assert.deepEqual(readAndClose(received.fds), texts);
    posix.close(left);
    posix.close(right);
    await assertNoLeak(before);
  });

  test('may be given as objects that hold one', async (t) => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const [left, right] = pair(t, SOCK_DGRAM);
    posix.sendmsg(left, { fds: [server] });
    const [fd] = posix.recvmsg(right, {}).fds;
    assert.equal(posix.getsockname(fd).sin_port, server.address().port);
    posix.close(fd);
  });

  test('that recv() does not take are closed by the kernel', async (t) => {
    const before = countFds();
    const [left, right] = pair(t);
    const [reader, writer] = pair(t);
    posix.sendmsg(left, { iov: Buffer.from('x'), fds: [writer] });
    posix.close(writer);
    assert.equal(receive(right), 'x');
    assert.equal(posix.recv(reader, Buffer.alloc(1)), 0);
    for (const fd of [left, right, reader]) posix.close(fd);
    await assertNoLeak(before);
  });

  test('that are closed are EBADF, and nothing is sent', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    const failure = { code: 'EBADF', syscall: 'sendmsg' };
    assert.throws(() => posix.sendmsg(left, { iov: Buffer.from('x'), fds: [1_000_000] }), failure);
    assert.throws(() => receive(right, 1, posix.MSG_DONTWAIT), { code: 'EAGAIN' });
  });

  test('for which the process has no room show as MSG_CTRUNC', async (t) => {
    const program = startScript(
      t,
      (_afunix, lib) => {
        const posix = require(`${lib}/posix`);
        const fs = require('node:fs');
        const [left, right] = posix.socketpair(posix.AF_UNIX, posix.SOCK_STREAM);
        posix.sendmsg(left, { iov: Buffer.from('x'), fds: Array(10).fill(0) });
        const taken = [];
        try {
          for (;;) taken.push(fs.openSync('/dev/null'));
        } catch {
          for (const fd of taken.splice(0, 3)) fs.closeSync(fd);
        }
        const { size, fds, flags } = posix.recvmsg(right, { iov: Buffer.alloc(1) });
        for (const fd of taken) fs.closeSync(fd);
        console.log(JSON.stringify({ size, count: fds.length, cut: flags & posix.MSG_CTRUNC }));
      },
      [LIB],
      { openFiles: 60 },
    );
    const { stdout, stderr } = await program.ended();
    assert.equal(stderr, '');
    assert.deepEqual(JSON.parse(stdout), { size: 1, count: 3, cut: MSG_CTRUNC });
  });
});

describe('credentials', onLinux({}), () => {
  const own = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };

  test('come with each message where SO_PASSCRED is on', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    posix.setsockopt(right, SOL_SOCKET, posix.SO_PASSCRED, 1);
    posix.send(left, Buffer.from('x'));
    assert.deepEqual(posix.recvmsg(right, { iov: Buffer.alloc(1) }).credentials, own);
    const fd = fs.openSync('/dev/null');
    posix.sendmsg(left, { fds: [fd], credentials: own });
    fs.closeSync(fd);
    const received = posix.recvmsg(right, {});
    assert.deepEqual([received.credentials, received.flags], [own, 0]);
    for (const each of received.fds) posix.close(each);
    assert.equal(received.fds.length, 1);
  });

  test('that are not the sender’s are EPERM, except to root', (t) => {
    const [left] = pair(t, SOCK_DGRAM);
    const claim = () => posix.sendmsg(left, { credentials: { ...own, pid: 2 ** 30 } });
    // Root may claim any process that exists; this one does not.
    assert.throws(claim, { code: process.getuid() === 0 ? 'ESRCH' : 'EPERM', syscall: 'sendmsg' });
  });
});

describe('a pidfd', onLinux({}), () => {
  const { SO_PASSPIDFD } = posix;

  /** Whether the kernel knows the option. */
  const isKnown = (fd) => {
    try {
      posix.setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, 1);
      return true;
    } catch (error) {
      assert.equal(error.code, 'ENOPROTOOPT');
      return false;
    }
  };

  for (const type of [posix.SOCK_DGRAM, posix.SOCK_STREAM, posix.SOCK_SEQPACKET]) {
    test(`comes with each message where it is asked for, and is closed once, type ${type}`, (t) => {
      const [left, right] = pair(t, type);
      if (!isKnown(right)) return t.skip('this kernel (before 6.5) has none');
      const before = countFds();
      for (let round = 0; round < 20; round++) {
        posix.send(left, Buffer.from('x'));
        const { fds, pidfd } = posix.recvmsg(right, { iov: Buffer.alloc(1), pidfd: true });
        assert.deepEqual(fds, []);
        assert.match(fs.readFileSync(`/proc/self/fdinfo/${pidfd}`, 'utf8'), pidOf(process.pid));
        assert.ok(isCloseOnExec(pidfd));
        posix.close(pidfd);
        assert.equal(countFds(), before);
      }
      // Unasked, as where a stranger has set the option before it passed the socket.
      for (const wanted of [undefined, false]) {
        posix.send(left, Buffer.from('x'));
        const message = posix.recvmsg(right, { iov: Buffer.alloc(1), pidfd: wanted });
        assert.deepEqual([message.pidfd, countFds()], [undefined, before]);
      }
      assert.throws(() => posix.recvmsg(right, { pidfd: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
      posix.setsockopt(right, SOL_SOCKET, SO_PASSPIDFD, 0);
      posix.send(left, Buffer.from('x'));
      assert.equal(posix.recvmsg(right, { pidfd: true }).pidfd, undefined);
    });
  }
});

/** How /proc says which process a pidfd is of. */
function pidOf(pid) {
  return new RegExp(`^Pid:\\s*${pid}$`, 'm');
}

describe('without an address', onLinux({}), () => {
  test('sendto() is send(), and recvfrom() is recv()', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    const room = Buffer.alloc(8);
    for (const none of [[], [2], [2, 0], [2, 0, undefined]]) {
      assert.equal(posix.sendto(left, Buffer.from('ab'), ...none), 2);
      assert.equal(posix.recvfrom(right, room, ...none), 2);
      assert.equal(room.toString('latin1', 0, 2), 'ab');
    }
    const here = { code: 'EAGAIN' };
    assert.throws(() => posix.recvfrom(right, room, 8, posix.MSG_DONTWAIT), here);
  });
});
