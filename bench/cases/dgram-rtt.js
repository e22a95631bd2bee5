'use strict';

/**
 * Request and answer between two bound sockets, one at a time, both processes on one processor: what
 * is measured is the work of both sides and the switch between them, not how idle processors wake up.
 */

const { between, costOf, mark } = require('../lib/marks');

const SIZE = 64;
const WARM_UP = 2000;

const roles = {
  answer({ dgram }, { params, ready }) {
    const socket = dgram.bind(params.path, (message, from) => socket.answer(message, from));
    ready();
  },

  ask({ dgram }, { params, finish }) {
    const { path, own, size, warmUp, duration } = params;
    const request = Buffer.alloc(size);
    let trips = 0;
    let begin = null;

    function ask() {
      request.writeUInt32LE(trips, 0);
      socket.answer(request, path);
    }

    const socket = dgram.bind(own, (message) => {
      if (message.readUInt32LE(0) !== trips) throw new Error('wrong answer');
      trips++;
      if (trips === warmUp) begin = mark();
      if (trips > warmUp && performance.now() - begin.time >= duration * 1e3) {
        finish(between(begin, mark(), trips - warmUp));
      } else {
        ask();
      }
    });
    ask();
  },
};

module.exports = {
  name: 'dgram-rtt',
  about:
    '64-byte request and answer between two processes pinned to one processor; each message names its destination.',
  kind: 'dgram',
  implementations: ['afunix', 'bare', 'node-unix-socket', 'unix-dgram'],
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'round trips/s',
      better: 'more',
      targets: [{ to: 'unix-dgram', atLeast: 1.1, aim: 1.25 }],
    },
  ],
  costs: ['ask'],
  per: 'a round trip, of the process that asks',
  roles,

  async measure(trial) {
    const path = trial.path('answerer');
    const pin = true;
    const answerer = trial.start('answer', { path }, { pin });
    await answerer.ready;
    const own = trial.path('asker');
    const { duration } = trial;
    const asker = trial.start('ask', { path, own, size: SIZE, warmUp: WARM_UP, duration }, { pin });
    const asked = await asker.result;
    return { rate: asked.rate, ...costOf('ask', asked) };
  },
};
