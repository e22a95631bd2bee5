'use strict';

/**
 * Request and answer over one connection, one at a time, both processes on one processor, as
 * dgram-rtt: the work of both sides and the switch between them.
 */

const { between, costOf, mark } = require('../lib/marks');

const SIZE = 64;
const WARM_UP = 2000;

const roles = {
  answer({ seqpacket }, { params, ready }) {
    seqpacket.listen(params.path, (socket) => {
      seqpacket.read(socket, (message) => seqpacket.write(socket, message));
    });
    ready();
  },

  ask({ seqpacket }, { params, finish }) {
    const { path, size, warmUp, duration } = params;
    const request = Buffer.alloc(size);
    let trips = 0;
    let begin = null;

    function ask() {
      request.writeUInt32LE(trips, 0);
      seqpacket.write(socket, request);
    }

    const socket = seqpacket.connect(path, ask);
    seqpacket.read(socket, (message) => {
      if (message.length !== size || message.readUInt32LE(0) !== trips) {
        throw new Error('wrong answer');
      }
      trips++;
      if (trips === warmUp) begin = mark();
      if (trips > warmUp && performance.now() - begin.time >= duration * 1e3) {
        finish(between(begin, mark(), trips - warmUp));
      } else {
        ask();
      }
    });
  },
};

module.exports = {
  name: 'seq-rtt',
  about:
    '64-byte request and answer over one connection between two processes pinned to one processor.',
  kind: 'seqpacket',
  implementations: ['afunix', 'bare', 'node-unix-socket'],
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'round trips/s',
      better: 'more',
      targets: [{ to: 'bare', atLeast: 0.9, aim: 1 }],
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
