'use strict';

// Owns what the option `signal` leaves behind: nothing, once the socket or server is closed. A signal may
// live as long as the process, and serve many.

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { describe, test } = require('node:test');
const lib = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { abstractName } = require('../helpers/tmp.js');
const { nextEvent } = require('../helpers/sockets.js');

assertNoLeaks();

/** Name → what makes something open with a signal. */
const OPEN = {
  DgramSocket: (signal) => new lib.DgramSocket({ signal }).bind(),
  SeqpacketServer: (signal) => new lib.SeqpacketServer({ signal }).listen(abstractName()),
  UServer: (signal) => new lib.UServer({ signal }).listen(abstractName()),
  SeqpacketSocket: (signal) => {
    const [one, two] = lib.SeqpacketSocket.pair({ signal });
    two.destroy();
    return one;
  },
  USocket: (signal) => {
    const [one, two] = lib.USocket.pair({ signal });
    two.destroy();
    return one;
  },
};

const countListeners = (signal) => getEventListeners(signal, 'abort').length;

for (const [name, open] of Object.entries(OPEN)) {
  describe(`the signal of a ${name}`, onLinux(), () => {
    test('has a listener while it is open, and none after close()', async () => {
      const { signal } = new AbortController();
      const opened = open(signal);
      opened.on('error', () => {});
      assert.ok(countListeners(signal) > 0);
      const closed = nextEvent(opened, 'close');
      opened.close();
      await closed;
      // The other end of a pair has the same signal.
      await quiet();
      assert.equal(countListeners(signal), 0);
    });

    test('has none after abort(), which closes it once', async () => {
      const abort = new AbortController();
      const opened = open(abort.signal);
      let closes = 0;
      opened.on('error', () => {}).on('close', () => closes++);
      const closed = nextEvent(opened, 'close');
      abort.abort();
      await closed;
      await quiet();
      assert.equal(closes, 1);
      assert.equal(countListeners(abort.signal), 0);
    });
  });
}

test(
  'a signal that serves one server after the other gathers no listeners',
  onLinux(),
  async () => {
    const { signal } = new AbortController();
    for (let round = 0; round < 20; round++) {
      const server = new lib.UServer({ signal }).listen(abstractName());
      const closed = nextEvent(server, 'close');
      server.close();
      await closed;
      assert.equal(countListeners(signal), 0);
    }
  },
);
