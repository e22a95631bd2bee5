'use strict';

// Owns what others do to a socket of createSocket('unix_dgram'), and what it says then: a receiving side that is shut
// down, a peer that goes over to another; and a type of which no string can be made.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { createSocket } = require('../../lib');
const posix = require('../../posix.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { open: openPosix, receive } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const { AF_UNIX, SOCK_DGRAM } = posix;

/** A bound socket that notes what it says: `{ socket, name, events }`. */
function start(t) {
  const name = temporaryPath(t);
  const socket = createSocket('unix_dgram', (data) => events.push(`message ${data}`));
  const events = [];
  t.after(() => socket.close());
  socket.on('error', ({ code, errno, syscall }) =>
    events.push(`error ${code} ${errno} ${syscall}`),
  );
  socket.bind(name);
  return { socket, name, events };
}

/** A descriptor with a name, which another program might have. */
function another(t) {
  const name = temporaryPath(t);
  const fd = openPosix(t, AF_UNIX, SOCK_DGRAM);
  posix.bind(fd, { sun_family: AF_UNIX, sun_path: name });
  const connect = (path) => posix.connect(fd, { sun_family: AF_UNIX, sun_path: path });
  return { fd, name, connect };
}

describe('a unix-dgram socket', onLinux({}), () => {
  test('that is shut down for receiving says ENOTCONN once, sends, and keeps the loop idle', async (t) => {
    const { socket, name, events } = start(t);
    const other = another(t);
    posix.shutdown(socket.fd, posix.SHUT_RD);
    await assertIdle('a socket after SHUT_RD');
    assert.deepEqual(events, ['error -107 -107 recv']);
    other.connect(name);
    assert.throws(() => posix.send(other.fd, Buffer.from('x')), { code: 'EPIPE' });
    socket.send('it goes on', 0, 10, other.name, (error) => events.push(error ?? 'sent'));
    await quiet();
    assert.equal(events[1], 'sent');
    assert.equal(receive(other.fd), 'it goes on');
  });

  test('whose peer went over to another with messages unread says ECONNRESET, and goes on', async (t) => {
    const { socket, name, events } = start(t);
    const [peer, other] = [another(t), another(t)];
    peer.connect(name);
    socket.connect(peer.name);
    socket.send('never read', (error) => events.push(error ?? 'sent'));
    peer.connect(other.name);
    await nextEvent(socket, 'error');
    assert.deepEqual(events, ['sent', 'error -104 -104 recv']);
    peer.connect(name);
    posix.send(peer.fd, Buffer.from('back'), 4, 0);
    await nextEvent(socket, 'message');
    assert.equal(events[2], 'message back');
  });
});

test('a type of which no string can be made is refused as any other', () => {
  for (const type of [
    Object.create(null),
    { toString: null, valueOf: null },
    Symbol('unix_dgram'),
  ]) {
    assert.throws(() => createSocket(type), {
      code: 'ERR_SOCKET_BAD_TYPE',
      message: /^Unsupported socket type: ./,
    });
  }
});
