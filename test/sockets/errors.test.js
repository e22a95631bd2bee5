'use strict';

// Owns errors of the connected kinds that come behind data which nobody has read yet.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

for (const [name, Class] of Object.entries({ USocket, SeqpacketSocket })) {
  describe(`${name}: errors behind unread data`, onLinux(), () => {
    test('the first is the one that is reported, once, after the data', async (t) => {
      const [one, two] = Class.pair({ receiveFds: true, maxPendingFds: 1 });
      for (const end of [one, two]) cleanUp(t, end);
      two.pause();
      const events = eventsOf(one, ['end', 'error', 'close']);
      // A reader, which has not come to read yet.
      one.on('readable', () => {});
      two.write('first');
      await until(() => one.readableLength > 0, 'the data');
      // The first error: more descriptors than may wait.
      two.write({ data: 'second', fds: [0, 0] });
      await quiet();
      // The second: the peer dies with our bytes unread.
      one.write('never read');
      two.destroy();
      await quiet();
      assert.deepEqual(events, []);
      let text = '';
      for (let data = one.read(); data !== null; data = one.read()) text += data;
      await closing(one);
      assert.match(text, /^first/);
      assert.deepEqual(events, ['error ERR_AFUNIX_TOO_MANY_FDS', 'close true']);
    });
  });
}

for (const [name, Class] of Object.entries({ USocket, SeqpacketSocket })) {
  describe(`${name}: a failed write`, onLinux(), () => {
    test('comes after what was received before, if that is read by now', async (t) => {
      const [one, two] = Class.pair({ pauseOnConnect: true });
      for (const end of [one, two]) cleanUp(t, end);
      const events = eventsOf(one, ['error', 'close']);
      one.once('readable', () => {});
      two.write('last');
      await until(() => one.readableLength > 0, 'the data');
      two.destroy();
      await quiet();
      one.on('data', (data) => events.push(`data ${data}`)).resume();
      one.write('never read');
      await closing(one);
      assert.deepEqual(events, ['data last', 'error EPIPE', 'close true']);
    });
  });
}
