'use strict';

// Owns the end of a SeqpacketSocket that has messages waiting: what was written goes first, its callbacks
// run, then comes 'finish', and the peer sees the end behind the last message.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket, socketpair } = require('../../lib');
const { SOCK_SEQPACKET, recv } = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { own } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, fillUp, makePair, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

describe('end() with messages waiting', onLinux(), () => {
  // More than a wake-up sends, and as few as can be.
  for (const waiting of [1, 2, 5, 600]) {
    test(`${waiting} of them: callbacks, then 'finish', then the peer's 'end'`, async (t) => {
      const [one, two] = makePair(t, { allowHalfOpen: true });
      two.pause();
      const seen = [];
      let received = 0;
      const before = await fillUp(one);
      assert.ok(one.writableLength > 0);
      // The last of those waits already.
      for (let number = 1; number < waiting; number++) {
        one.write(`waits ${number}`, (error) => seen.push(error?.code ?? number));
      }
      one.on('prefinish', () => seen.push('prefinish'));
      one.on('finish', () => seen.push('finish'));
      one.end('last', (error) => seen.push(error?.code ?? 'callback of end'));
      await quiet();
      assert.deepEqual(seen, []);
      assert.equal(one.writableFinished, false);
      let last;
      two.on('data', (message) => {
        received++;
        last = String(message);
      });
      two.on('end', () => (last += ', end'));
      two.resume();
      await nextEvent(two, 'end');
      await until(() => one.writableFinished && seen.includes('callback of end'), "'finish'");
      const numbers = Array.from({ length: waiting - 1 }, (_, index) => index + 1);
      assert.deepEqual(seen.slice(0, waiting - 1), numbers);
      assert.deepEqual(seen.slice(waiting - 1).sort(), ['callback of end', 'finish', 'prefinish']);
      assert.equal(seen[waiting - 1], 'prefinish');
      assert.equal(received, before + waiting);
      assert.equal(last, 'last, end');
    });
  }

  test('two that cannot go at once: nothing ends while the last waits', async (t) => {
    const [fd, end] = socketpair(SOCK_SEQPACKET);
    const one = cleanUp(t, new SeqpacketSocket({ fd }));
    const peer = own(t, end);
    await fillUp(one);
    const seen = [];
    one.on('finish', () => seen.push('finish'));
    // Fills the send buffer alone: there is room for the next once the peer has read this one.
    one.write(Buffer.alloc(200_000), () => seen.push('large'));
    one.write('last', () => seen.push('last'));
    one.end();
    const room = Buffer.alloc(200_000);
    const take = () => room.toString('utf8', 0, Math.min(recv(peer, room), 4));
    while (seen.length === 0) {
      take();
      await quiet();
    }
    assert.deepEqual(seen, ['large']);
    assert.equal(one.writableFinished, false);
    while (take() !== 'last') await quiet();
    assert.equal(recv(peer, room), 0);
    await until(() => one.writableFinished, "'finish'");
    assert.deepEqual(seen, ['large', 'last', 'finish']);
  });

  test('the callback of the last message is the last before the end is sent', async (t) => {
    const [one, two] = makePair(t, { allowHalfOpen: true });
    two.pause();
    await fillUp(one);
    const seen = [];
    one.on('prefinish', () => seen.push('prefinish'));
    one.write('last', () => seen.push('callback'));
    one.end();
    two.resume();
    await nextEvent(two, 'end');
    await until(() => one.writableFinished, "'finish'");
    assert.deepEqual(seen, ['callback', 'prefinish']);
  });
});
