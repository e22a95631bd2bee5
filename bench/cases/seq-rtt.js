'use strict';

/**
 * Request and answer over one connection, one at a time, both processes on one processor, as
 * dgram-rtt: the work of both sides and the switch between them.
 */

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
    let begin = 0;

    function ask() {
      request.writeUInt32LE(trips, 0);
      seqpacket.write(socket, request);
    }

    const socket = seqpacket.connect(path, ask);
    seqpacket.read(socket, (message) => {
      if (message.length !== size || message.readUInt32LE(0) !== trips) {
        throw new Error('wrong answer');
      }
      const now = performance.now();
      trips++;
      if (trips === warmUp) begin = now;
      if (trips > warmUp && now - begin >= duration * 1e3) {
        finish({ rate: (trips - warmUp) / ((now - begin) / 1e3) });
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
  implementations: ['afunix', 'node-unix-socket'],
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'round trips/s',
      ratioTo: 'c',
      target: { of: 'ratio', atLeast: 0.58, aim: 0.72 },
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
