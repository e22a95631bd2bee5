'use strict';

// Owns control messages that nobody asked for: whoever shares a socket can switch them on, and they
// must neither leak a descriptor nor change what a message is.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, UServer, USocket, closeFd, fromFd } = require('../../lib');
const posix = require('../../lib/posix');
const { assertNoLeak, closeQuietly, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

// Of asm-generic/socket.h; Node has no names for them.
const SO_TIMESTAMP = 29;
const SO_TIMESTAMPNS = 35;
const SO_PASSSEC = 34;
const SO_PASSPIDFD = 76;

const KINDS = {
  USocket: 'SOCK_STREAM',
  SeqpacketSocket: 'SOCK_SEQPACKET',
  DgramSocket: 'SOCK_DGRAM',
};

/** Two connected descriptors, closed with the test unless somebody has done so. */
function pair(t, type) {
  const fds = posix.socketpair(posix.AF_UNIX, posix[type], 0);
  t.after(() => fds.forEach(closeQuietly));
  return fds;
}

/** Sets an option of SOL_SOCKET; false where the kernel does not know it. */
function switchOn(fd, name, value = 1) {
  try {
    posix.setsockopt(fd, posix.SOL_SOCKET, name, value);
    return true;
  } catch (error) {
    if (error.code !== 'ENOPROTOOPT') throw error;
    return false;
  }
}

/** How many descriptors of processes are open. */
const pidfds = () =>
  fs.readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /pidfd/.test(fs.readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;

describe('a pidfd with each message (SO_PASSPIDFD)', onLinux({}), () => {
  for (const [kind, type] of Object.entries(KINDS)) {
    for (const receiveFds of [true, false]) {
      test(`is closed by a ${kind} with receiveFds ${receiveFds}`, async (t) => {
        const [ours, theirs] = pair(t, type);
        if (!switchOn(ours, SO_PASSPIDFD)) return t.skip('the kernel is older than 6.5');
        const before = countFds();
        const socket = fromFd(ours, { receiveFds, credentials: true });
        t.after(() => socket.close?.() ?? socket.destroy());
        for (let count = 0; count < 20; count++) {
          posix.send(theirs, Buffer.from('x'));
          const [data] = await once(socket, 'data');
          assert.equal(String(data), 'x');
          assert.equal(pidfds(), 0);
        }
        // The adopted socket has its own number, and nothing else was opened but its poll.
        await assertNoLeak(before);
      });
    }
  }

  test("is closed where a listener for that message's 'error' closes the DgramSocket", async (t) => {
    const options = { receiveFds: true, maxPendingFds: 1, pidfd: true };
    const [one, two] = DgramSocket.pair(options);
    t.after(() => [one, two].forEach((socket) => socket.close()));
    two.on('data', () => assert.fail('it is closed'));
    const codes = [];
    two.on('error', ({ code }) => codes.push(code) && two.close());
    one.send({ data: 'too many', fds: [0, 0] });
    await new Promise((done) => two.once('close', done));
    assert.deepEqual(codes, ['ERR_AFUNIX_TOO_MANY_FDS']);
    assert.equal(pidfds(), 0);
  });

  test('is closed by connections that inherit it from their listener', async (t) => {
    const listener = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0);
    posix.bind(listener, { sun_family: posix.AF_UNIX, sun_path: abstractName() });
    posix.listen(listener, 5);
    if (!switchOn(listener, SO_PASSPIDFD)) {
      closeFd(listener);
      return t.skip('the kernel is older than 6.5');
    }
    const server = new UServer((socket) => socket.pipe(socket)).listen({ fd: listener });
    t.after(() => server.close());
    const client = new USocket(server.address());
    t.after(() => client.destroy());
    for (let count = 0; count < 20; count++) {
      client.write('x');
      await once(client, 'data');
    }
    assert.equal(pidfds(), 0);
  });

  test('is closed by posix.recvmsg', (t) => {
    const [ours, theirs] = pair(t, 'SOCK_DGRAM');
    if (!switchOn(ours, SO_PASSPIDFD)) return t.skip('the kernel is older than 6.5');
    const before = countFds();
    posix.send(theirs, Buffer.from('x'));
    assert.deepEqual(posix.recvmsg(ours, { iov: [Buffer.alloc(8)] }).fds, []);
    assert.equal(countFds(), before);
  });
});

test('with every option on, descriptors and bytes arrive', onLinux({}), async (t) => {
  for (const [kind, type] of Object.entries(KINDS)) {
    const [ours, theirs] = pair(t, type);
    for (const name of [SO_TIMESTAMPNS, SO_PASSSEC, SO_PASSPIDFD]) switchOn(ours, name);
    const socket = fromFd(ours, { receiveFds: true, credentials: true });
    t.after(() => socket.close?.() ?? socket.destroy());
    const passed = Array.from({ length: 253 }, () => theirs);
    posix.sendmsg(theirs, { iov: [Buffer.from('x')], fds: passed });
    const [first, , message] = await once(socket, kind === 'USocket' ? 'fds' : 'data');
    const { fds } = { USocket: { fds: first }, SeqpacketSocket: first, DgramSocket: message }[kind];
    assert.equal(fds.length, 253, kind);
    fds.forEach(closeFd);
  }
});

test('another kind of timestamp leaves an empty message a message', onLinux({}), async (t) => {
  const [ours, theirs] = pair(t, 'SOCK_SEQPACKET');
  const socket = fromFd(ours);
  t.after(() => socket.destroy());
  switchOn(ours, SO_TIMESTAMP, 0);
  switchOn(ours, SO_TIMESTAMPNS);
  const received = [];
  socket.on('data', (data) => received.push(String(data)));
  for (const text of ['', 'x', '']) posix.send(theirs, Buffer.from(text));
  closeFd(theirs);
  await once(socket, 'end');
  assert.deepEqual(received, ['', 'x', '']);
});

test('a sender of whom the kernel knows nothing is absent', onLinux({}), async (t) => {
  for (const Kind of [DgramSocket, SeqpacketSocket]) {
    const type = Kind === DgramSocket ? 'SOCK_DGRAM' : 'SOCK_SEQPACKET';
    const [ours, theirs] = pair(t, type);
    // Before the option is set.
    posix.send(theirs, Buffer.from('early'));
    const socket = fromFd(ours, { credentials: true });
    t.after(() => socket.close?.() ?? socket.destroy());
    const messages = socket[Symbol.asyncIterator]();
    const next = async () => (await messages.next()).value;
    assert.equal((await next()).credentials, undefined);
    posix.send(theirs, Buffer.from('late'));
    assert.equal((await next()).credentials.pid, process.pid);
  }
});
