'use strict';

// Owns what a socket knows of its peer beyond pid, uid and gid: its process as a pidfd, its groups, its security
// label; the pidfds of senders; and waiting for the end of a process.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const afunix = require('../../lib');
const { assertNoLeak, countFds, flagsOf, nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, quiet } = require('../helpers/seqpacket.js');
const { closed, nextEvent, openPair, openSocket, send } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const { DgramSocket, SeqpacketSocket, UServer, USocket, closeFd, isAlive, waitForExit } = afunix;

const O_CLOEXEC = 0o2000000;

/** What a pidfd is of; -1 once that has ended and was waited for. */
const processOf = (pidfd) =>
  Number(/^Pid:\s*(-?\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${pidfd}`, 'utf8'))[1]);

/** Whether this kernel has them: Linux 6.5. */
const hasPidfds = (() => {
  if (process.platform !== 'linux') return false;
  const [one, two] = DgramSocket.pair();
  const pidfd = one.peerPidfd;
  if (pidfd !== undefined) closeFd(pidfd);
  one.close();
  two.close();
  return pidfd !== undefined;
})();
const withPidfds = hasPidfds ? {} : { skip: 'needs Linux 6.5' };

/** A process that connects to a path, says `hello` and waits for its end: `{ program, socket, server }`. */
async function startPeer(t, options) {
  const server = new UServer(options).listen(temporaryPath(t));
  t.after(() => server.close());
  const program = startScript(
    t,
    ({ USocket }, path) => {
      new USocket(path).write('hello');
    },
    [server.address()],
  );
  const [socket] = await nextEvent(server, 'connection');
  return { program, server, socket: cleanUp(t, socket) };
}

describe('peerPidfd', withPidfds, () => {
  test('is the process of the peer, a new descriptor each time', () => {
    for (const Socket of [USocket, SeqpacketSocket, DgramSocket]) {
      const [one, two] = Socket.pair();
      const pidfds = [one.peerPidfd, one.peerPidfd];
      assert.notEqual(pidfds[0], pidfds[1]);
      for (const pidfd of pidfds) {
        assert.equal(processOf(pidfd), process.pid);
        assert.ok(flagsOf(pidfd) & O_CLOEXEC);
        assert.equal(isAlive(pidfd), true);
        closeFd(pidfd);
      }
      one.close();
      two.close();
    }
  });

  test('is of another process, and outlives it', async (t) => {
    const { program, socket } = await startPeer(t);
    const { peerPidfd } = socket;
    t.after(() => closeFd(peerPidfd));
    assert.equal(processOf(peerPidfd), program.pid);
    assert.equal(socket.peerCredentials.pid, program.pid);
    const ended = waitForExit(peerPidfd);
    assert.equal(isAlive(peerPidfd), true);
    program.kill();
    await ended;
    assert.equal(isAlive(peerPidfd), false);
    // At once: it has ended.
    await waitForExit(peerPidfd);
  });

  test('is undefined without a peer', async (t) => {
    const unconnected = openSocket(t);
    const { peerPidfd, peerGroups, peerLabel } = unconnected;
    assert.deepEqual([peerPidfd, peerGroups, peerLabel], [undefined, undefined, undefined]);
    const [one, two] = USocket.pair();
    one.destroy();
    assert.deepEqual([one.peerPidfd, one.peerGroups, one.peerLabel], Array(3).fill(undefined));
    two.destroy();
    await Promise.all([closing(one), closing(two)]);
  });

  test('fails where the process may open no more: that is not the same as unknown', async (t) => {
    const codes = await runScript(
      t,
      ({ USocket }) => {
        const fs = require('node:fs');
        const [one] = USocket.pair();
        try {
          for (;;) fs.openSync('/dev/null');
        } catch {
          // All are used.
        }
        let code;
        try {
          code = String(one.peerPidfd);
        } catch (error) {
          ({ code } = error);
        }
        console.log(JSON.stringify(code));
        process.exit();
      },
      [],
      { openFiles: 64 },
    );
    assert.equal(codes, 'EMFILE');
  });
});

describe('peerGroups and peerLabel', onLinux(), () => {
  test('are those of the process at the other end', async (t) => {
    const { program, socket } = await startPeer(t);
    const status = fs.readFileSync(`/proc/${program.pid}/status`, 'utf8');
    const [, groups] = /^Groups:[ \t]*(.*?)\s*$/m.exec(status);
    assert.deepEqual(socket.peerGroups, groups === '' ? [] : groups.split(' ').map(Number));
    // SELinux, AppArmor and Smack have labels; other systems have none.
    assert.match(typeof socket.peerLabel, /^(string|undefined)$/);
  });
});

describe('a pidfd with each message', withPidfds, () => {
  const OPTIONS = { pidfd: true, receiveFds: true };

  test('is no member of messages where nobody has asked for it', async (t) => {
    const [one, two] = SeqpacketSocket.pair({ receiveFds: true });
    for (const end of [one, two]) t.after(() => end.destroy());
    one.write('x');
    const [message] = await nextEvent(two, 'data');
    assert.deepEqual(
      [Object.hasOwn(message, 'fds'), Object.hasOwn(message, 'pidfd')],
      [true, false],
    );
  });

  test('of a DgramSocket is in its information, for each way to listen', async (t) => {
    const receiver = openSocket(t, OPTIONS).bind(temporaryPath(t));
    const program = startScript(
      t,
      ({ DgramSocket }, path) => {
        const socket = new DgramSocket();
        socket.sendTo('with a file', path, { fds: [0] });
        socket.sendTo('without', path);
        setInterval(() => {}, 1000);
      },
      [receiver.address()],
    );
    const infos = [];
    receiver.on('data', (data, _path, info) => infos.push({ data: String(data), ...info }));
    receiver.on('message', (data, info) => infos.push({ data: String(data), ...info }));
    while (infos.length < 4) await nextEvent(receiver, 'message');
    assert.deepEqual(
      infos.map(({ data, fds }) => [data, fds.length]),
      [
        ['with a file', 1],
        ['with a file', 1],
        ['without', 0],
        ['without', 0],
      ],
    );
    assert.equal(infos[0].pidfd, infos[1].pidfd);
    for (const { fds, pidfd } of [infos[0], infos[2]]) {
      assert.equal(processOf(pidfd), program.pid);
      for (const fd of [...fds, pidfd]) closeFd(fd);
    }
  });

  test('of a SeqpacketSocket is a property, with descriptors or alone', async () => {
    const before = countFds();
    for (const receiveFds of [true, false]) {
      const [one, two] = SeqpacketSocket.pair({ pidfd: true, receiveFds });
      const fds = nulls(1);
      one.write({ data: 'x', fds });
      fds.forEach(closeFd);
      const [message] = await nextEvent(two, 'data');
      const { pidfd } = message;
      assert.equal(processOf(pidfd), process.pid);
      assert.equal(message.pidfd, pidfd);
      assert.equal(message.fds?.length, receiveFds ? 1 : undefined);
      for (const fd of [pidfd, ...(message.fds ?? [])]) closeFd(fd);
      one.destroy();
      two.destroy();
      await Promise.all([closing(one), closing(two)]);
    }
    await assertNoLeak(before);
  });

  test('comes also with what was sent before a server accepted', async (t) => {
    const server = new afunix.SeqpacketServer(OPTIONS).listen(temporaryPath(t));
    t.after(() => server.close());
    const client = cleanUp(t, new SeqpacketSocket()).connect(server.address());
    client.write('early');
    await nextEvent(client, 'connect');
    const [socket] = await nextEvent(server, 'connection');
    const [message] = await nextEvent(cleanUp(t, socket), 'data');
    assert.equal(processOf(message.pidfd), process.pid);
    closeFd(message.pidfd);
  });

  test('is closed with the socket if nobody takes it, and at once if nobody listens', async (t) => {
    const before = countFds();
    const [one, two] = SeqpacketSocket.pair(OPTIONS);
    for (let count = 0; count < 10; count++) one.write('x');
    let seen = 0;
    let last;
    two.on('data', (message) => {
      seen++;
      last = message;
    });
    while (seen < 10) await nextEvent(two, 'data');
    one.destroy();
    two.destroy();
    await Promise.all([closing(one), closing(two)]);
    assert.throws(() => last.pidfd, { code: 'ERR_AFUNIX_FDS_CLOSED' });
    await assertNoLeak(before);

    const [left] = openPair(t, OPTIONS);
    const open = countFds();
    for (let count = 0; count < 10; count++) await send(left, 'x');
    await quiet(50);
    assert.equal(countFds(), open);
  });

  test('counts with the descriptors that may wait', async (t) => {
    const [one, two] = SeqpacketSocket.pair({ pidfd: true, maxPendingFds: 3 });
    cleanUp(t, one);
    // Somebody reads, and never looks at the pidfds.
    cleanUp(t, two).on('data', () => {});
    for (let count = 0; count < 4; count++) one.write('x');
    const [error] = await nextEvent(two, 'error');
    assert.equal(error.code, 'ERR_AFUNIX_TOO_MANY_FDS');
  });

  test('is in messages of a loop, and closed where the loop is left', async (t) => {
    const [left, right] = openPair(t, OPTIONS);
    const before = countFds();
    const loop = right[Symbol.asyncIterator]();
    const first = loop.next();
    for (let count = 0; count < 5; count++) await send(left, 'x');
    const { value } = await first;
    assert.equal(processOf(value.pidfd), process.pid);
    closeFd(value.pidfd);
    await loop.return();
    assert.equal(countFds(), before);
  });

  test('does not come unasked', async (t) => {
    const [left, right] = openPair(t, { credentials: true, receiveFds: true });
    const arrived = nextEvent(right, 'data');
    await send(left, 'x');
    const [, , info] = await arrived;
    assert.equal('pidfd' in info, false);
    await closed(left);
  });

  test('is a boolean option', () => {
    assert.throws(() => new DgramSocket({ pidfd: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new SeqpacketSocket({ pidfd: 'yes' }), { code: 'ERR_INVALID_ARG_TYPE' });
  });
});

describe('isAlive and waitForExit', withPidfds, () => {
  test('refuse what is no pidfd', async (t) => {
    const { fd } = openSocket(t);
    assert.throws(() => isAlive(fd), { code: 'EBADF', syscall: 'pidfd_send_signal' });
    await assert.rejects(waitForExit(fd), { code: 'EBADF' });
    assert.throws(() => isAlive(1e6), { code: 'EBADF' });
    await assert.rejects(waitForExit(1e6), { code: 'EBADF' });
    assert.throws(() => isAlive('1'), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => waitForExit(-1), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => waitForExit(1, { signal: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
  });

  test('the descriptor may be closed meanwhile, and a signal ends the waiting', async (t) => {
    const before = countFds();
    const { program, server, socket } = await startPeer(t);
    const pidfd = socket.peerPidfd;
    const ended = waitForExit(pidfd);
    const control = new AbortController();
    const given = waitForExit(pidfd, { signal: control.signal });
    const late = waitForExit(pidfd, { signal: AbortSignal.abort('why') });
    closeFd(pidfd);
    await assert.rejects(late, { name: 'AbortError', code: 'ABORT_ERR', cause: 'why' });
    control.abort();
    await assert.rejects(given, { name: 'AbortError' });
    program.kill('SIGKILL');
    await ended;
    await program.ended();
    socket.destroy();
    server.close();
    await closing(socket);
    await assertNoLeak(before);
  });
});
