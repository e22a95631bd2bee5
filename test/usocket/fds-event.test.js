'use strict';

// Owns the event 'fds' of a USocket whose listener comes after the descriptors.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { closeFd } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closing } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { makePair } = require('../helpers/usocket.js');

assertNoLeaks();

/** A socket for which two descriptors wait. */
async function withFdsWaiting(t) {
  const [one, two] = makePair(t);
  two.write({ data: 'x', fds: [0, 0] });
  await nextEvent(one, 'data');
  return one;
}

describe("a listener for 'fds' that comes after the descriptors", onLinux(), () => {
  test('gets them in the next tick', async (t) => {
    const one = await withFdsWaiting(t);
    let calls = 0;
    const coming = nextEvent(one, 'fds');
    one.on('fds', () => calls++);
    assert.equal(calls, 0);
    const [fds] = await coming;
    fds.forEach(closeFd);
    assert.equal(fds.length, 2);
    assert.equal(calls, 1);
  });

  for (const method of ['destroy', 'close']) {
    test(`gets nothing if ${method}() follows in the same tick`, async (t) => {
      const one = await withFdsWaiting(t);
      const emitted = [];
      one.on('fds', (fds) => emitted.push(fds));
      one[method]();
      // An exception in a tick of ours would fail the test, too.
      await closing(one);
      assert.deepEqual(emitted, []);
      assert.equal(one.errored, null);
    });
  }

  test('gets nothing if it goes again in the same tick, and the next one does', async (t) => {
    const one = await withFdsWaiting(t);
    const never = () => assert.fail('it listens no more');
    one.on('fds', never).off('fds', never);
    const [fds] = await nextEvent(one, 'fds');
    fds.forEach(closeFd);
    assert.equal(fds.length, 2);
  });
});
