'use strict';

// Owns the descriptors of messages that a loop over a DgramSocket has taken in, and its body has not.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { closeFd } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { closed, inbox, openPair, send } = require('../helpers/sockets.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** An iterator that has given one message, and holds four more with two descriptors each. */
async function withMessagesHeld(t) {
  const [one, two] = openPair(t, { receiveFds: true });
  const iterator = two[Symbol.asyncIterator]();
  const first = iterator.next();
  for (let number = 0; number < 5; number++) await send(one, { data: `${number}`, fds: [0, 0] });
  const { value } = await first;
  value.fds.forEach(closeFd);
  // The other messages are in this process by now.
  await quiet(20);
  return { one, two, iterator };
}

describe('a loop over messages with descriptors', onLinux(), () => {
  for (const [how, leave] of Object.entries({
    'return()': (iterator) => iterator.return(),
    'throw()': (iterator) => iterator.throw(new Error('mine')).catch(() => {}),
    break: async (iterator) => {
      for await (const { fds } of { [Symbol.asyncIterator]: () => iterator }) {
        fds.forEach(closeFd);
        break;
      }
    },
  })) {
    test(`left by ${how} closes those of messages that its body has not seen`, async (t) => {
      // The pair and a socket more, which what is opened once does not count for.
      const { iterator } = await withMessagesHeld(t);
      await leave(iterator);
      const after = countFds();
      const { one, two, iterator: other } = await withMessagesHeld(t);
      await leave(other);
      // Two sockets more than before, and no descriptor of a message.
      await assertNoLeak(after + 2);
      await Promise.all([closed(one), closed(two)]);
      await assertNoLeak(after);
    });
  }

  test('dropped in the middle is one that was left: nothing of it stays', async (t) => {
    // Nothing here refers to the iterator any more.
    const hold = async () => {
      const { one, two } = await withMessagesHeld(t);
      return { one, two };
    };
    const start = countFds();
    const { one, two } = await hold();
    assert.equal(two.listenerCount('data'), 1);
    await until(() => {
      global.gc();
      return two.listenerCount('data') === 0;
    }, 'the collector');
    assert.deepEqual([two.listenerCount('error'), two.listenerCount('close')], [0, 0]);
    // What comes now is another reader's.
    const messages = inbox(two);
    await send(one, { data: 'later' });
    assert.equal(String((await messages.next()).data), 'later');
    await Promise.all([closed(one), closed(two)]);
    await assertNoLeak(start);
  });

  test('left by break goes on with what comes then', async (t) => {
    const { one, two, iterator } = await withMessagesHeld(t);
    await iterator.return();
    await send(one, { data: 'later', fds: [0] });
    for await (const { data, fds } of two) {
      assert.equal(String(data), 'later');
      assert.equal(fds.length, 1);
      fds.forEach(closeFd);
      break;
    }
  });
});
