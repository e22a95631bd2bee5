'use strict';

/**
 * Request and answer over one stream, one at a time, both processes on one processor, as seq-rtt: the
 * work of both sides and the switch between them. An answer may come in parts, and is checked when whole.
 */

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
    let begin = 0;

    function ask() {
      request.writeUInt32LE(trips, 0);
      stream.write(socket, request);
    }

    function onAnswer(head) {
      if (head.readUInt32LE(0) !== trips) throw new Error('wrong answer');
      const now = performance.now();
      trips++;
      if (trips === warmUp) begin = now;
      if (trips > warmUp && now - begin >= duration * 1e3) {
        finish({ rate: (trips - warmUp) / ((now - begin) / 1e3) });
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
  implementations: ['afunix', 'net', 'usocket'],
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'round trips/s',
      ratioTo: 'c',
      target: { of: 'ratio', atLeast: 0.6, aim: 0.72 },
    },
  ],
  roles,

  async measure(trial) {
    const path = trial.path('server');
    const pin = true;
    const answerer = trial.start('answer', { path }, { pin });
    await answerer.ready;
    const { duration } = trial;
    const asker = trial.start('ask', { path, size: SIZE, warmUp: WARM_UP, duration }, { pin });
    return asker.result;
  },
};
