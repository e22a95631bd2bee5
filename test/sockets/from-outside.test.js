'use strict';

// Owns what others do to an open socket: its flags and options belong to the open file, which a child, or whoever
// passed it, can have too. Whatever they set, messages arrive, nothing blocks, spins or leaks.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { DgramSocket, closeFd, socketpair } = require('../../lib');
const posix = require('../../lib/posix');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');

assertNoLeaks();

/**
 * In a process of its own, since a loop that stands still stands in no test's way there: makes a pair for each of
 * `changes`, `[what, ...arguments]`, applies it to both ends, and lets messages go both ways.
 * Prints what went wrong.
 */
async function exchange(afunix, [lib, kind, changes]) {
  const { once } = require('node:events');
  const fs = require('node:fs');
  const posix = require(`${lib}/posix`);
  const { measure } = require(`${lib}/../test/helpers/idle-cpu.js`);
  const { until } = require(`${lib}/../test/helpers/wait.js`);
  const isDatagram = kind === 'DgramSocket';
  const count = () => fs.readdirSync('/proc/self/fd').length;
  const change = (fd, [what, ...rest]) => {
    if (what === 'flags') {
      posix.fcntl(fd, posix.F_SETFL, rest[0]);
      return;
    }
    const [option, value] = rest;
    const bytes = Array.isArray(value) ? Buffer.from(Int32Array.from(value).buffer) : value;
    try {
      posix.setsockopt(fd, posix.SOL_SOCKET, option, bytes);
    } catch {
      // Not an option of such sockets, or of this kernel.
    }
  };
  const problems = [];
  const tryOne = async (which) => {
    const before = count();
    const ends = afunix[kind].pair({ receiveFds: true });
    const got = [[], []];
    const fds = [[], []];
    ends.forEach((end, index) => {
      end.on('error', (error) => problems.push(`${which}: ${error.code}`));
      end.on('fds', (some) => fds[index].push(...some));
      end.on('data', (data, _name, extra) => {
        got[index].push(data);
        const some = isDatagram ? extra.fds : data.fds;
        if (some && kind !== 'USocket') fds[index].push(...some);
      });
    });
    const send = (end, data) =>
      new Promise((resolve) => {
        const message = { data, fds: [0] };
        if (isDatagram) end.send(message, resolve);
        else end.write(message, resolve);
      });
    const lengthOf = (index) => Buffer.concat(got[index]).length;
    try {
      // Once as they are, so that they have been read and their polls are armed.
      await Promise.all(ends.map((end) => send(end, 'first')));
      await until(() => lengthOf(0) === 5 && lengthOf(1) === 5, 'the first messages');
      for (const end of ends) change(end.fd, which);
      const large = Buffer.alloc(isDatagram ? 60_000 : 100_000, 'x');
      await Promise.all(ends.flatMap((end) => [send(end, 'second'), send(end, large)]));
      const whole = 11 + large.length;
      await until(() => lengthOf(0) === whole && lengthOf(1) === whole, 'the others');
      await until(() => fds[0].length === 3 && fds[1].length === 3, 'descriptors');
      const { share } = await measure(30);
      if (share > 0.6 && (await measure(100)).share > 0.6) problems.push(`${which}: busy`);
    } catch ({ message }) {
      problems.push(`${which}: ${message}; ${lengthOf(0)} ${lengthOf(1)} ${fds.map(String)}`);
    }
    fds.flat().forEach((fd) => fs.closeSync(fd));
    const over = ends.map((end) => once(end, 'close'));
    const start = performance.now();
    for (const end of ends) (end.destroy ?? end.close).call(end);
    if (performance.now() - start > 10_000) problems.push(`${which}: close() took its time`);
    await Promise.all(over);
    await until(() => count() <= before, 'descriptors to close').catch(() => {
      problems.push(`${which}: ${count() - before} descriptors left`);
    });
  };
  for (const which of changes) await tryOne(which);
  console.log(JSON.stringify(problems));
  process.exit();
}

const KINDS = ['USocket', 'SeqpacketSocket', 'DgramSocket'];

const O_NONBLOCK = 0o4000;
const O_APPEND = 0o2000;
const O_ASYNC = 0o20000;
const O_NOATIME = 0o1000000;

/** Each flag that F_SETFL changes, alone and with O_NONBLOCK, and none. */
const FLAGS = [0, O_APPEND, O_NOATIME, O_APPEND | O_NOATIME].flatMap((flags) => [
  ['flags', flags],
  ['flags', flags | O_NONBLOCK],
]);

/** Not SO_ATTACH_FILTER and its like, whose purpose is to lose messages: those take no number. */
const OPTIONS = Array.from({ length: 90 }, (_, index) => index + 1);
const SO_SNDBUF = 7;
const SO_LINGER = 13;
const SO_RCVLOWAT = 18;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SO_SNDBUFFORCE = 32;
const SO_PEEK_OFF = 42;

describe('an open socket', onLinux({}), () => {
  const run = async (t, kind, changes) => {
    const problems = await runScript(t, exchange, [[LIB, kind, changes]], { timeout: 300_000 });
    assert.deepEqual(problems, []);
  };

  for (const kind of KINDS) {
    test(`whose flags others change: ${kind}`, async (t) => {
      await run(t, kind, FLAGS);
    });

    test(`on which others turn options on, each there is: ${kind}`, async (t) => {
      // The smallest of send buffers, 1, is a matter of its own: a large message does not fit.
      const changes = OPTIONS.filter((option) => option !== SO_SNDBUF && option !== SO_SNDBUFFORCE);
      await run(
        t,
        kind,
        changes.map((option) => ['option', option, 1]),
      );
    });

    test(`whose options others give odd values: ${kind}`, async (t) => {
      await run(t, kind, [
        ['option', SO_LINGER, [1, 30]],
        ['option', SO_LINGER, [1, 0]],
        ['option', SO_RCVLOWAT, 1 << 30],
        ['option', SO_RCVTIMEO, [0, 0, 1, 0]],
        ['option', SO_SNDTIMEO, [0, 0, 1, 0]],
        ['option', SO_PEEK_OFF, 3],
        ['option', SO_PEEK_OFF, 1 << 20],
      ]);
    });
  }

  test('whose O_ASYNC others set raises no signal that ends it', async (t) => {
    // SIGIO goes to the owner, which others would have to set too.
    await run(t, 'USocket', [['flags', O_ASYNC | O_NONBLOCK]]);
  });

  test('whose send buffer others make as small as it gets: a stream goes on', async (t) => {
    await run(t, 'USocket', [['option', SO_SNDBUF, 1]]);
  });
});

describe('a DgramSocket that others shut down', onLinux(), () => {
  for (const how of ['SHUT_RD', 'SHUT_RDWR']) {
    test(`for receiving emits one error, and its messages before: ${how}`, async (t) => {
      const [fd, peer] = socketpair(posix.SOCK_DGRAM);
      t.after(() => closeFd(peer));
      const others = posix.fcntl(fd, posix.F_DUPFD_CLOEXEC, 0);
      t.after(() => closeFd(others));
      const socket = new DgramSocket({ fd });
      t.after(() => socket.close());
      const got = [];
      const failed = new Promise((resolve) => {
        socket.on('error', (error) => {
          got.push(error.code);
          resolve();
        });
      });
      socket.on('data', (data) => got.push(String(data)));
      posix.send(peer, Buffer.from('last'));
      posix.shutdown(others, posix[how]);
      await failed;
      // Another look, if there were one, would come with these.
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
      assert.deepEqual(got, ['last', 'ENOTCONN']);
    });
  }
});

/** A server whose listener gets options and flags, then clients; and a descriptor that lingers, passed and closed. */
async function serve(afunix, [lib, kind]) {
  const { once } = require('node:events');
  const posix = require(`${lib}/posix`);
  const server = new afunix[`${kind}Server`]((socket) => {
    socket.on('data', (data) => socket.end(data)).on('error', () => {});
  }).listen();
  if (!server.listening) await once(server, 'listening');
  const problems = [];
  const ask = async (what) => {
    const client = new afunix[`${kind}Socket`]();
    client.on('error', ({ code }) => problems.push(`${what}: ${code}`));
    client.connect(server.address());
    client.write('question');
    const [data] = await once(client, 'data');
    if (String(data) !== 'question') problems.push(`${what}: ${data}`);
    if (!client.closed) await once(client, 'close');
  };
  for (let option = 1; option <= 90; option++) {
    try {
      posix.setsockopt(server.fd, posix.SOL_SOCKET, option, 1);
    } catch {
      // Not one of listeners.
    }
    await ask(option);
  }
  for (const flags of [0, 0o2000, 0o4000]) {
    posix.fcntl(server.fd, posix.F_SETFL, flags);
    await ask(`flags ${flags}`);
  }
  console.log(JSON.stringify(problems));
  process.exit();
}

describe('a listener', onLinux({}), () => {
  for (const kind of ['U', 'Seqpacket']) {
    test(`whose options and flags others change serves on: ${kind}Server`, async (t) => {
      assert.deepEqual(await runScript(t, serve, [[LIB, kind]], { timeout: 300_000 }), []);
    });
  }
});

/** Receives a TCP connection with SO_LINGER whose peer reads nothing, does not take it, and closes. */
async function discard(afunix, [lib, kind]) {
  const { once } = require('node:events');
  const net = require('node:net');
  const posix = require(`${lib}/posix`);
  const tcp = net.createServer((socket) => socket.pause()).listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const [left, right] = afunix[kind].pair({ receiveFds: true });
  for (const end of [left, right]) end.on('error', () => {});
  right.pause?.();
  const fd = posix.socket(posix.AF_INET, posix.SOCK_STREAM, 0);
  posix.connect(fd, {
    sin_family: posix.AF_INET,
    sin_port: tcp.address().port,
    sin_addr: '127.0.0.1',
  });
  posix.setsockopt(fd, posix.SOL_SOCKET, 13, Buffer.from(Int32Array.of(1, 60).buffer));
  posix.fcntl(fd, posix.F_SETFL, 0o4000);
  // Far more than the other end takes: closing would wait for it.
  try {
    for (;;) posix.send(fd, Buffer.alloc(1 << 20), 1 << 20, 0);
  } catch {
    // Full.
  }
  posix.fcntl(fd, posix.F_SETFL, 0);
  const message = { data: 'x', fds: [fd] };
  if (kind === 'DgramSocket') left.send(message);
  else left.write(message);
  posix.close(fd);
  if (kind === 'DgramSocket') await once(right, 'data');
  else await once(right, 'readable');
  const start = performance.now();
  (right.destroy ?? right.close).call(right);
  await new Promise(setImmediate);
  console.log(Math.round(performance.now() - start));
  process.exit();
}

describe('a received descriptor that lingers and that nobody takes', onLinux({}), () => {
  for (const kind of KINDS) {
    test(`stops no event loop when it is closed: ${kind}`, async (t) => {
      const took = await runScript(t, discard, [[LIB, kind]]);
      assert.ok(took < 30_000, `${took} ms`);
    });
  }
});
