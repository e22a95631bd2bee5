'use strict';

// Owns the death of a SeqpacketSocket's peer while messages wait to be sent and the socket does not read: it
// can learn of the death by the failure of these messages alone.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket, socketpair } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { own } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** A socket, and the descriptor of its peer, which reads nothing. */
function makeHalf(t, options) {
  const [fd, peer] = socketpair(posix.SOCK_SEQPACKET);
  return { one: cleanUp(t, new SeqpacketSocket({ ...options, fd })), peer: own(t, peer) };
}

/** Name → what brings a socket into a state in which it does not read. */
const STATES = {
  async 'the peer has ended'(t) {
    const half = makeHalf(t, { allowHalfOpen: true });
    half.one.resume();
    posix.shutdown(half.peer, posix.SHUT_WR);
    await nextEvent(half.one, 'end');
    return half;
  },
  async 'nobody takes what is buffered'(t) {
    const half = makeHalf(t, { readableHighWaterMark: 2 });
    for (let number = 0; number < 5; number++) posix.send(half.peer, Buffer.from('x'));
    await until(() => half.one.readableLength >= 2, 'the mark');
    await quiet();
    return half;
  },
};

describe('the peer dies while messages wait', onLinux(), () => {
  for (const [state, prepare] of Object.entries(STATES)) {
    test(`and ${state}: their callbacks get EPIPE, and the socket closes with it`, async (t) => {
      const { one, peer } = await prepare(t);
      const events = eventsOf(one, ['error', 'close']);
      const outcomes = new Outcomes();
      // As many as wait, however long the loop runs.
      while (one.writableLength < 1000) one.write(Buffer.alloc(100), outcomes.callback());
      const waiting = one.writableLength / 100;
      posix.close(peer);
      await closing(one);
      assert.deepEqual(events, ['error EPIPE', 'close true']);
      const codes = (await outcomes.settled()).map(([, code]) => code);
      assert.equal(codes.filter((code) => code === 'EPIPE').length, waiting);
      assert.equal(codes.filter((code) => code === undefined).length, codes.length - waiting);
      assert.equal(one.errored.code, 'EPIPE');
    });
  }
});
