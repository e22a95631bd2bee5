'use strict';

// Owns closeFd(), and posix.close() of what somebody owns.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const {
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  closeFd,
  dup,
} = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');

assertNoLeaks();

const CLOSE = { closeFd, 'posix.close': posix.close };

/** An open object of each class, and how to close it. */
async function openObjects() {
  const stream = new UServer().listen();
  await once(stream, 'listening');
  const pairs = [USocket, SeqpacketSocket, DgramSocket].flatMap((Socket) => Socket.pair());
  return [stream, new SeqpacketServer().listen(), new DgramSocket(), ...pairs];
}

for (const [name, close] of Object.entries(CLOSE)) {
  describe(`${name}()`, onLinux({}), () => {
    test('refuses a descriptor that an open socket owns, which works on', async () => {
      const objects = await openObjects();
      for (const { fd } of objects) {
        assert.throws(() => close(fd), { name: 'Error', code: 'EBUSY', syscall: 'close' });
        assert.ok(fs.fstatSync(fd).isSocket());
      }
      for (const object of objects) object.close();
    });

    test('closes a duplicate of one, and the number once it is free', async () => {
      const [left, right] = USocket.pair();
      const [copy, { fd }] = [dup(left), left];
      close(copy);
      left.destroy();
      await once(left, 'close');
      right.destroy();
      assert.throws(() => close(fd), { code: 'EBADF', syscall: 'close' });
      const again = fs.openSync('/dev/null');
      close(again);
      assert.throws(() => fs.fstatSync(again), { code: 'EBADF' });
    });
  });
}
