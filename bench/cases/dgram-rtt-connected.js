'use strict';

/**
 * As dgram-rtt, but both sockets are bound and connected to each other, so that no message names its destination and
 * the kernel looks up no path. The side that answers connects with the first request.
 */

const { between, costOf, mark } = require('../lib/marks');

const SIZE = 64;
const WARM_UP = 2000;

const roles = {
  answer({ dgram }, { params, ready }) {
    let isConnected = false;
    const socket = dgram.pair(params.path, params.peer, (message) => {
      if (!isConnected) socket.connect();
      isConnected = true;
      socket.send(message);
    });
    ready();
  },

  ask({ dgram }, { params, finish }) {
    const { path, peer, size, warmUp, duration } = params;
    const request = Buffer.alloc(size);
    let trips = 0;
    let begin = null;

    function ask() {
      request.writeUInt32LE(trips, 0);
      socket.send(request);
    }

    const socket = dgram.pair(path, peer, (message) => {
      if (message.readUInt32LE(0) !== trips) throw new Error('wrong answer');
      trips++;
      if (trips === warmUp) begin = mark();
      if (trips > warmUp && performance.now() - begin.time >= duration * 1e3) {
        finish(between(begin, mark(), trips - warmUp));
      } else {
        ask();
      }
    });
    socket.connect();
    ask();
  },
};

module.exports = {
  name: 'dgram-rtt-connected',
  about:
    '64-byte request and answer between two connected sockets, in two processes pinned to one processor.',
  kind: 'dgram',
  implementations: ['afunix', 'bare', 'unix-dgram'],
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
    const [answers, asks] = ['answerer', 'asker'].map((name) => trial.path(name));
    const pin = true;
    await trial.start('answer', { path: answers, peer: asks }, { pin }).ready;
    const { duration } = trial;
    const params = { path: asks, peer: answers, size: SIZE, warmUp: WARM_UP, duration };
    const asked = await trial.start('ask', params, { pin }).result;
    return { rate: asked.rate, ...costOf('ask', asked) };
  },
};
