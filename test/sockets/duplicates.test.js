'use strict';

// Owns the duplicates of descriptors that wait to be sent: no child of this process inherits them, the caller
// may close its own, and nothing of them is left once the message went or failed.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, USocket } = require('../../lib');
const { O_CLOEXEC, assertNoLeak, countFds, flagsOf, nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { closed } = require('../helpers/sockets.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** Descriptors that are open, as numbers; not that of the folder, which is closed again. */
const openFds = () =>
  fs
    .readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fs.existsSync(`/proc/self/fd/${fd}`));

/** Name → a pair whose second socket reads nothing, and how the first sends. */
const KINDS = {
  DgramSocket: () => {
    const [one, two] = DgramSocket.pair();
    return { one, two, send: (message) => one.send(message), read: () => two.on('data', () => {}) };
  },
  SeqpacketSocket: (t) => {
    const [one, two] = SeqpacketSocket.pair({ pauseOnConnect: true });
    for (const end of [one, two]) cleanUp(t, end).on('error', () => {});
    return { one, two, send: (message) => one.write(message), read: () => two.resume() };
  },
  USocket: (t) => {
    const [one, two] = USocket.pair({ pauseOnConnect: true, receiveFds: false });
    for (const end of [one, two]) cleanUp(t, end).on('error', () => {});
    return { one, two, send: (message) => one.write(message), read: () => two.resume() };
  },
};

for (const [name, make] of Object.entries(KINDS)) {
  describe(`descriptors that wait in a ${name}`, onLinux(), () => {
    for (const end of ['sent', 'closed']) {
      test(`are close-on-exec, and gone once they are ${end}`, async (t) => {
        const { one, two, send, read } = make(t);
        while (one.writableLength < 1000) send(Buffer.alloc(1000));
        const mine = nulls(3);
        const before = openFds();
        send({ data: 'x', fds: mine });
        const duplicates = openFds().filter((fd) => !before.includes(fd));
        assert.equal(duplicates.length, 3);
        for (const fd of duplicates) assert.ok(flagsOf(fd) & O_CLOEXEC, `descriptor ${fd}`);
        for (const fd of mine) fs.closeSync(fd);
        const left = countFds() - 3;
        if (end === 'sent') {
          read();
          await until(() => one.writableLength === 0, 'all to be sent');
          await quiet();
          await assertNoLeak(left);
          await Promise.all([closed(one), closed(two)]);
        } else {
          await Promise.all([closed(one), closed(two)]);
          await assertNoLeak(left - 2);
        }
      });
    }
  });
}
