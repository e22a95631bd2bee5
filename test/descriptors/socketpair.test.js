'use strict';

// Owns socketpair(): what its descriptors are, the main module and `afunix/socketpair`, programs
// written for unix-socketpair, ends given to a child process, and what goes wrong.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const { text } = require('node:stream/consumers');
const socketpair = require('afunix/socketpair');
const {
  DgramSocket,
  SeqpacketSocket,
  closeFd,
  fdType,
  socketpair: exported,
} = require('../../lib');
const { O_CLOEXEC, assertNoLeak, countFds, flagsOf } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startWorker } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { findPython, skipUnlessPython } = require('../helpers/python.js');
const { inbox, nextEvent } = require('../helpers/sockets.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

const { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET } = socketpair;

/** Two descriptors that are closed when the test ends. */
function openFds(t, type) {
  const fds = socketpair(type);
  t.after(() => fds.forEach(closeFd));
  return fds;
}

describe('the module', () => {
  test('is the function itself, the same as in the main module', () => {
    assert.equal(typeof socketpair, 'function');
    assert.equal(socketpair, exported);
    assert.deepEqual(Object.keys(socketpair), ['SOCK_STREAM', 'SOCK_DGRAM', 'SOCK_SEQPACKET']);
  });

  test('is the default and a named export in ESM', async () => {
    const module = await import('afunix/socketpair');
    assert.equal(module.default, socketpair);
    assert.deepEqual(
      { ...module, default: undefined },
      { default: undefined, socketpair, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET },
    );
  });
});

describe('the descriptors', onLinux({}), () => {
  for (const [name, type, kind] of [
    ['the default', undefined, 'unix-stream'],
    ['SOCK_STREAM', SOCK_STREAM, 'unix-stream'],
    ['SOCK_DGRAM', SOCK_DGRAM, 'unix-dgram'],
    ['SOCK_SEQPACKET', SOCK_SEQPACKET, 'unix-seqpacket'],
    ['stream, by name', 'stream', 'unix-stream'],
    ['dgram, by name', 'dgram', 'unix-dgram'],
    ['seqpacket, by name', 'seqpacket', 'unix-seqpacket'],
  ]) {
    test(`of ${name} are two ${kind} sockets, nonblocking and close-on-exec`, (t) => {
      const fds = openFds(t, type);
      assert.equal(fds.length, 2);
      assert.notEqual(fds[0], fds[1]);
      for (const fd of fds) {
        assert.equal(fdType(fd), kind);
        const flags = flagsOf(fd);
        assert.ok(flags & fs.constants.O_NONBLOCK, 'blocking');
        assert.ok(flags & O_CLOEXEC, 'inherited');
      }
    });
  }

  test('of datagram type fit DgramSocket, those of seqpacket type SeqpacketSocket', async (t) => {
    const [left, right] = socketpair(SOCK_DGRAM).map((fd) => new DgramSocket({ fd }));
    t.after(() => [left, right].forEach((socket) => socket.close()));
    const messages = inbox(right);
    left.send('datagram');
    assert.equal(String((await messages.next()).data), 'datagram');

    const [here, there] = socketpair(SOCK_SEQPACKET).map((fd) => new SeqpacketSocket({ fd }));
    t.after(() => [here, there].forEach((socket) => socket.destroy()));
    here.end('packet');
    assert.equal(String((await nextEvent(there, 'data'))[0]), 'packet');
  });

  test('can be made in a worker', async (t) => {
    const { messages, exited } = startWorker(t, (afunix, _data, port) => {
      const fds = afunix.socketpair();
      port.postMessage(fds.map(afunix.fdType));
      fds.forEach(afunix.closeFd);
    });
    assert.deepEqual(await messages.next(), ['unix-stream', 'unix-stream']);
    assert.equal(await exited(), 0);
  });
});

test('a program written for unix-socketpair prints descriptors', onLinux({}), (t) => {
  const stream = socketpair(socketpair.SOCK_STREAM);
  const datagram = socketpair(socketpair.SOCK_DGRAM);
  t.after(() => [...stream, ...datagram].forEach(closeFd));
  for (const fd of [...stream, ...datagram]) assert.ok(Number.isInteger(fd) && fd > 2, `${fd}`);
});

test('a program written for unix-socketpair wraps both ends in net.Socket', async () => {
  const fds = socketpair(socketpair.SOCK_STREAM);
  // Without `new`, as there.
  const sock0 = net.Socket({ fd: fds[0], readable: true, writable: true });
  const sock1 = net.Socket({ fd: fds[1], readable: true, writable: true });
  let buffer = Buffer.alloc(0);
  sock1.on('data', (data) => {
    buffer = Buffer.concat([buffer, data]);
  });
  const closed = Promise.all([once(sock0, 'close'), once(sock1, 'close')]);
  sock0.write('Hello World!');
  sock0.end();
  await within(closed, "'close'");
  assert.equal(buffer.toString(), 'Hello World!');
});

test('an end can be a descriptor of a child written in Python', skipUnlessPython(), async (t) => {
  const before = countFds();
  const [ours, theirs] = socketpair();
  const script = `
import socket
s = socket.socket(fileno=3)
s.setblocking(True)
data = b''
while chunk := s.recv(100000): data += chunk
s.sendall(data[::-1])
`;
  const child = spawn(findPython(), ['-c', script], { stdio: ['ignore', 1, 'inherit', theirs] });
  t.after(() => child.kill('SIGKILL'));
  closeFd(theirs);
  const socket = new net.Socket({ fd: ours, readable: true, writable: true, allowHalfOpen: true });
  const sent = 'no'.repeat(200_000);
  socket.end(sent);
  const received = await within(text(socket), 'the answer');
  assert.equal(received, 'on'.repeat(200_000));
  const [code] = child.exitCode === null ? await within(once(child, 'exit'), 'its end') : [0];
  assert.equal(code, 0);
  await assertNoLeak(before);
});

describe('bad input', () => {
  const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };

  test('is refused at once and opens nothing', () => {
    const before = countFds();
    for (const type of [null, '1', true, {}, [], 1n, Symbol('x'), () => {}]) {
      assert.throws(() => socketpair(type), TYPE);
    }
    for (const type of [0, -1, 3, 4, 1.5, NaN, Infinity, 2 ** 32 + 1, SOCK_STREAM | O_CLOEXEC]) {
      assert.throws(() => socketpair(type), VALUE);
    }
    assert.equal(countFds(), before);
  });

  test('EMFILE where there is no room, with room for one, and it works again', async (t) => {
    const result = await runScript(
      t,
      ({ socketpair: pair, closeFd: close }) => {
        const codes = new Set();
        const open = [];
        const fill = () => {
          try {
            for (;;) open.push(...pair());
          } catch ({ code, errno, syscall }) {
            codes.add(`${code} ${errno} ${syscall}`);
          }
        };
        fill();
        const first = open.length;
        close(open.pop());
        fill(); // One free descriptor more or less: an odd and an even number.
        close(open.pop());
        fill();
        const second = open.length;
        console.log(JSON.stringify({ codes: [...codes], first, second }));
      },
      [],
      { openFiles: 64 },
    );
    assert.deepEqual(result.codes, ['EMFILE -24 socketpair']);
    assert.ok(result.first > 10);
    assert.equal(result.second, result.first);
  });
});
