'use strict';

// Owns errors of the connected kinds that come behind data which nobody has read yet, or with data behind them.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const seqpacket = require('../helpers/seqpacket.js');
const usocket = require('../helpers/usocket.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { cleanUp, closing, eventsOf, quiet } = seqpacket;

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
    for (const isFirst of [false, true]) {
      test(`comes after what was received before, if that is read ${isFirst ? 'just after' : 'by then'}`, async (t) => {
        const [one, two] = Class.pair({ pauseOnConnect: true });
        for (const end of [one, two]) cleanUp(t, end);
        const events = eventsOf(one, ['error', 'close']);
        one.once('readable', () => {});
        two.write('last');
        await until(() => one.readableLength > 0, 'the data');
        two.destroy();
        await quiet();
        if (isFirst) one.write('never read');
        one.on('data', (data) => events.push(`data ${data}`)).resume();
        if (!isFirst) one.write('never read');
        await closing(one);
        assert.deepEqual(events, ['data last', 'error EPIPE', 'close true']);
        assert.equal(one.readableDidRead, true);
      });
    }
  });
}

for (const [name, Class] of Object.entries({ USocket, SeqpacketSocket })) {
  describe(`${name}: a subclass whose _destroy() takes its time`, onLinux(), () => {
    class Slow extends Class {
      async _destroy(error, callback) {
        await quiet();
        super._destroy(error, callback);
      }
    }
    const EVENTS = ['connect', 'end', 'error', 'close'];

    for (const [what, error, rest] of [
      ['without an error', null, ['close false']],
      ['with an error', new Error('mine'), ['error Error: mine', 'close true']],
    ]) {
      test(`receives nothing meanwhile, destroyed ${what}`, async (t) => {
        const [given, two] = Class.pair();
        cleanUp(t, two);
        const slow = cleanUp(t, new Slow({ fd: given.detach().fd }));
        const events = eventsOf(slow, EVENTS);
        slow.on('data', (data) => events.push(`data ${data}`));
        two.write('first');
        await until(() => events.includes('data first'), 'the data');
        slow.destroy(error);
        two.end('late');
        await closing(slow);
        assert.deepEqual(events.slice(events.indexOf('data first') + 1), rest);
      });
    }

    test('is not connected meanwhile', async (t) => {
      const { startServer } = name === 'USocket' ? usocket : seqpacket;
      const slow = cleanUp(t, new Slow());
      const events = eventsOf(slow, EVENTS);
      slow.connect(startServer(t).address()).destroy();
      await closing(slow);
      assert.deepEqual(events, ['close false']);
    });
  });
}
