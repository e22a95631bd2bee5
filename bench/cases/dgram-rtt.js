'use strict';

/**
 * Request and answer between two bound sockets, one at a time, both processes on one processor: what
 * is measured is the work of both sides and the switch between them, not how idle processors wake up.
 */

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
    let begin = 0;

    function ask() {
      request.writeUInt32LE(trips, 0);
      socket.answer(request, path);
    }

    const socket = dgram.bind(own, (message) => {
      if (message.readUInt32LE(0) !== trips) throw new Error('wrong answer');
      const now = performance.now();
      trips++;
      if (trips === warmUp) begin = now;
      if (trips > warmUp && now - begin >= duration * 1e3) {
        finish({ rate: (trips - warmUp) / ((now - begin) / 1e3) });
      } else {
        ask();
      }
    });
    ask();
  },
};

module.exports = {
  name: 'dgram-rtt',
  about: '64-byte request and answer between two processes pinned to one processor.',
  kind: 'dgram',
  implementations: ['afunix', 'node-unix-socket', 'unix-dgram'],
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'round trips/s',
      ratioTo: 'c',
      target: { of: 'ratio', atLeast: 0.62, aim: 0.75 },
    },
  ],
  roles,

  async measure(trial) {
    const path = trial.path('answerer');
    const pin = true;
    const answerer = trial.start('answer', { path }, { pin });
    await answerer.ready;
    const own = trial.path('asker');
    const { duration } = trial;
    const asker = trial.start('ask', { path, own, size: SIZE, warmUp: WARM_UP, duration }, { pin });
    return asker.result;
  },
};
