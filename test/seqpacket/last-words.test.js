'use strict';

// Owns the time that the last messages of a dead peer wait, where a send failed before they were read: for as long as
// somebody reads them, and not for ever.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket, socketpair } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet, startServer } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** Longer together than the socket waits without a read, each of them shorter. In milliseconds. */
const PAUSE = 150;

/** A socket that reads `count` messages by `read`, whose peer has sent them and died, and whose next send failed. */
function bereave(t, count, read) {
  const [fd, peer] = socketpair(posix.SOCK_SEQPACKET);
  const socket = cleanUp(t, new SeqpacketSocket({ fd }));
  const events = eventsOf(socket, ['end', 'error', 'close']);
  read(socket);
  for (let number = 0; number < count; number++) posix.send(peer, Buffer.from(`${number}`));
  posix.close(peer);
  // In the same turn: the failure is seen before the end.
  socket.write('too late', () => {});
  return { socket, events };
}

describe('the last messages of a dead peer, after a send that failed', onLinux(), () => {
  test('are given up where nobody reads on', async (t) => {
    const { socket, events } = bereave(t, 5, (one) => one.on('readable', () => {}));
    await closing(socket);
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });

  test('are given up where the reader pauses for good', async (t) => {
    const { socket, events } = bereave(t, 5, (one) => one.on('data', () => {}).pause());
    await closing(socket);
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });

  test('are followed by a failure that ends no later connection', async (t) => {
    const server = startServer(t);
    const { socket, events } = bereave(t, 1, (one) => one.on('readable', () => {}));
    await until(() => socket.readableLength > 0, 'the last words');
    await quiet();
    assert.equal(socket.destroyed, false);
    socket.read();
    socket.destroy().connect(server.address());
    await nextEvent(socket, 'connect');
    await quiet();
    assert.equal(socket.destroyed, false);
    assert.deepEqual(events, ['close false']);
  });

  test('wait for a slow reader, whose every read counts', async (t) => {
    const got = [];
    const readOne = (socket) => {
      const message = socket.read();
      if (message === null) return;
      got.push(String(message));
      setTimeout(readOne, PAUSE, socket);
    };
    const { socket, events } = bereave(t, 10, (one) => {
      one.once('readable', () => readOne(one));
    });
    await closing(socket);
    assert.deepEqual(got, [...Array(10).keys()].map(String));
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });
});
