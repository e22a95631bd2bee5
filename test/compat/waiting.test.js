'use strict';

// Owns the megabyte that may wait for full receivers in a socket of createSocket('unix_dgram'): what was
// sent, or failed, does not count any more.

const assert = require('node:assert/strict');
const { constants } = require('node:os');
const { describe, test } = require('node:test');
const { createSocket } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { open } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM } = posix;
/** With the half a kilobyte that each counts for, a megabyte is 64 of them exactly. */
const MESSAGE = Buffer.alloc(2 ** 14 - 512, 'x');

/** A receiver that reads only when it is asked to: its descriptor. */
function stalledReceiver(t, path) {
  const fd = open(t, AF_UNIX, SOCK_DGRAM);
  posix.bind(fd, { sun_family: AF_UNIX, sun_path: path });
  return fd;
}

/** Sends to a stalled receiver until no more may wait; returns how many the kernel and the socket took. */
function fill(socket, path, outcomes) {
  let full;
  let taken = 0;
  for (; full === undefined; taken++) {
    let isInside = true;
    socket.send(MESSAGE, 0, MESSAGE.length, path, (error) => {
      // What is refused is reported before send() returns, what waits later.
      if (isInside && error) full = error;
      else outcomes.push(error?.code);
    });
    isInside = false;
  }
  assert.match(full.message, /EAGAIN/);
  return taken - 1;
}

/** Reads so many messages as they come. */
async function drain(fd, count) {
  const room = Buffer.alloc(MESSAGE.length);
  let read = 0;
  const more = () => {
    try {
      while (read < count && posix.recv(fd, room, room.length, MSG_DONTWAIT) > 0) read++;
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
    return read === count;
  };
  await until(more, `${count} messages`);
}

describe("what waits in a socket of createSocket('unix_dgram')", onLinux(), () => {
  test('after a drain a full megabyte may wait again, and again', async (t) => {
    const path = temporaryPath(t);
    const fd = stalledReceiver(t, path);
    const socket = createSocket('unix_dgram');
    t.after(() => socket.close());
    const counts = [];
    for (let round = 0; round < 3; round++) {
      const outcomes = [];
      const count = fill(socket, path, outcomes);
      counts.push(count);
      assert.equal(count - outcomes.length, 64);
      await drain(fd, count);
      await until(() => outcomes.length === count, 'the callbacks');
      assert.deepEqual(new Set(outcomes), new Set([undefined]));
    }
    // A megabyte, with something for each message, and what the kernel holds.
    assert.ok(counts[0] > 64, `${counts}`);
    assert.deepEqual(counts, [counts[0], counts[0], counts[0]]);
  });

  test('one callback that throws: each outcome is reported once', async (t) => {
    const place = require.resolve('../../lib/posix/index.js');
    const seen = await runScript(
      t,
      async ({ createSocket: create }, path, posixPlace) => {
        const { bind, close, socket: open, AF_UNIX: family, SOCK_DGRAM: type } = require(
          posixPlace,
        );
        const fd = open(family, type);
        bind(fd, { sun_family: family, sun_path: path });
        const found = [];
        process.on('uncaughtException', ({ message }) => found.push(message));
        const socket = create('unix_dgram');
        socket.on('error', ({ code }) => found.push(`error ${code}`));
        const message = Buffer.alloc(1000);
        const send = (callback) => socket.send(message, 0, message.length, path, callback);
        // Until one waits.
        for (let waits = false; !waits;) {
          waits = true;
          send(() => (waits = false));
        }
        send();
        send(() => {
          found.push('throws');
          throw new Error('uncaught');
        });
        send(({ code }) => found.push(`callback ${code}`));
        close(fd);
        const turns = async (count) => {
          for (; count > 0; count--) await new Promise((done) => setImmediate(done));
        };
        while (found.length < 4) await turns(1);
        await turns(10);
        socket.close();
        console.log(JSON.stringify(found));
      },
      [temporaryPath(t), place],
    );
    const { ECONNREFUSED } = constants.errno;
    const code = -ECONNREFUSED;
    assert.deepEqual(seen, [`error ${code}`, 'throws', 'uncaught', `callback ${code}`]);
  });

  test('after a failure, too', async (t) => {
    const socket = createSocket('unix_dgram');
    t.after(() => socket.close());
    const counts = [];
    for (let round = 0; round < 3; round++) {
      const path = temporaryPath(t);
      const fd = stalledReceiver(t, path);
      const outcomes = [];
      const count = fill(socket, path, outcomes);
      counts.push(count);
      posix.close(fd);
      await until(() => outcomes.length === count, 'the callbacks');
      assert.equal(typeof outcomes.at(-1), 'number');
    }
    assert.deepEqual(counts, [counts[0], counts[0], counts[0]]);
  });
});
