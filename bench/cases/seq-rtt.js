'use strict';

/**
 * Request and answer over one connection, one at a time, both processes on one processor, as dgram-rtt: see
 * ../lib/trips.js.
 */

const { asker, tripsCase } = require('../lib/trips');

const roles = {
  answer({ seqpacket }, { params, ready }) {
    seqpacket.listen(params.path, (socket) => {
      seqpacket.read(socket, (message) => seqpacket.write(socket, message));
    });
    ready();
  },

  ask({ seqpacket }, { params, finish }) {
    const { ask, onAnswer } = asker(params, finish, (request) => seqpacket.write(socket, request));
    const socket = seqpacket.connect(params.path, ask);
    seqpacket.read(socket, (message) => {
      if (message.length !== params.size) throw new Error('an answer of another size');
      onAnswer(message);
    });
  },
};

module.exports = tripsCase(
  {
    name: 'seq-rtt',
    about:
      '64-byte request and answer over one connection between two processes pinned to one processor.',
    kind: 'seqpacket',
    implementations: ['afunix', 'bare', 'node-unix-socket'],
    roles,
  },
  [{ to: 'bare', atLeast: 0.9, aim: 1 }],
);
