'use strict';

/**
 * Request and answer over one stream, one at a time, both processes on one processor, as seq-rtt: the
 * work of both sides and the switch between them. An answer may come in parts, and is checked when whole.
 */

const { between, costOf, mark } = require('../lib/marks');
const { cutter } = require('../lib/sequence');

const SIZE = 64;
const WARM_UP = 2000;

const roles = {
  answer({ stream }, { params, ready }) {
    function onConnection(socket) {
      stream.read(socket, (bytes) => stream.write(socket, bytes));
    }

    stream.listen(params.path, onConnection, ready);
  },

  ask({ stream }, { params, finish }) {
    const { path, size, warmUp, duration } = params;
    const request = Buffer.alloc(size);
    let trips = 0;
    let begin = null;

    function ask() {
      request.writeUInt32LE(trips, 0);
      stream.write(socket, request);
    }

    function onAnswer(head) {
      if (head.readUInt32LE(0) !== trips) throw new Error('wrong answer');
      trips++;
      if (trips === warmUp) begin = mark();
      if (trips > warmUp && performance.now() - begin.time >= duration * 1e3) {
        finish(between(begin, mark(), trips - warmUp));
      } else {
        ask();
      }
    }

    const socket = stream.connect(path, ask);
    stream.read(socket, cutter(size, onAnswer));
  },
};

module.exports = {
  name: 'stream-rtt',
  about:
    '64-byte request and answer over one stream between two processes pinned to one processor.',
  kind: 'stream',
  implementations: ['afunix', 'bare', 'net', 'usocket'],
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'round trips/s',
      better: 'more',
      targets: [
        { to: 'bare', atLeast: 0.9, aim: 1 },
        { to: 'net', atLeast: 1.3, aim: 1.6 },
      ],
    },
  ],
  costs: ['ask'],
  per: 'a round trip, of the process that asks',
  roles,

  async measure(trial) {
    const path = trial.path('server');
    const pin = true;
    const answerer = trial.start('answer', { path }, { pin });
    await answerer.ready;
    const { duration } = trial;
    const asker = trial.start('ask', { path, size: SIZE, warmUp: WARM_UP, duration }, { pin });
    const asked = await asker.result;
    return { rate: asked.rate, ...costOf('ask', asked) };
  },
};
