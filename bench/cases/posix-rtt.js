'use strict';

/**
 * Request and answer between two processes, or what else gives a program an answer without a turn of
 * its event loop. Both sides block and share one processor: the work of both and the switch between
 * them, as in dgram-rtt.
 */

const { between, costOf, mark } = require('../lib/marks');

const SIZE = 64;
const WARM_UP = 2000;
/** Trips from one look at the clock to the next. */
const BETWEEN_LOOKS = 32;
/** Where a trip takes milliseconds, that many would take all day. */
const WARM_UP_MS = 500;

const roles = {
  answer({ posix }, { params, ready }) {
    // It is asked until the other side goes; there may be nothing to do in a process of its own.
    posix.answer(params.path, params.size, ready);
  },

  ask({ posix }, { params, finish }) {
    const { path, size, warmUp, duration } = params;
    const request = Buffer.from(new ArrayBuffer(size));
    const response = Buffer.from(new ArrayBuffer(size));
    const ask = posix.connect(path, request.buffer, response.buffer);
    const started = performance.now();
    let begin = null;
    let warm = 0;
    for (let trips = 0; ;) {
      request.writeUInt32LE(trips, 0);
      if (ask() !== size || response.readUInt32LE(0) !== trips) throw new Error('wrong answer');
      trips++;
      if (trips % BETWEEN_LOOKS !== 0) continue;
      const now = performance.now();
      if (begin === null && (trips >= warmUp || now - started >= WARM_UP_MS)) {
        begin = mark();
        warm = trips;
      } else if (begin !== null && now - begin.time >= duration * 1e3) {
        return finish(between(begin, mark(), trips - warm));
      }
    }
  },
};

module.exports = {
  name: 'posix-rtt',
  about:
    '64-byte request and answer, synchronous on both sides, between two processes pinned to one processor ' +
    '(worker-atomics: two threads; exec-file-sync: a program started for each).',
  kind: 'posix',
  implementations: ['afunix', 'posix-socket', 'worker-atomics', 'exec-file-sync'],
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'round trips/s',
      better: 'more',
      targets: [{ to: 'posix-socket', atLeast: 1 }],
    },
  ],
  costs: ['ask'],
  per: 'a round trip, of the process that asks',
  roles,

  async measure(trial) {
    const path = trial.path('server');
    const pin = true;
    const answerer = trial.start('answer', { path, size: SIZE }, { pin });
    await answerer.ready;
    const { duration } = trial;
    const asker = trial.start('ask', { path, size: SIZE, warmUp: WARM_UP, duration }, { pin });
    const asked = await asker.result;
    return { rate: asked.rate, ...costOf('ask', asked) };
  },
};
