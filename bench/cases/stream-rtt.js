'use strict';

/**
 * Request and answer over one stream, one at a time, both processes on one processor, as seq-rtt: see ../lib/trips.js. An
 * answer may come in parts, and is checked when whole.
 */

const { cutter } = require('../lib/sequence');
const { asker, tripsCase } = require('../lib/trips');

const roles = {
  answer({ stream }, { params, ready }) {
    function onConnection(socket) {
      stream.read(socket, (bytes) => stream.write(socket, bytes));
    }

    stream.listen(params.path, onConnection, ready);
  },

  ask({ stream }, { params, finish }) {
    const { ask, onAnswer } = asker(params, finish, (request) => stream.write(socket, request));
    const socket = stream.connect(params.path, ask);
    stream.read(socket, cutter(params.size, onAnswer));
  },
};

module.exports = tripsCase(
  {
    name: 'stream-rtt',
    about:
      '64-byte request and answer over one stream between two processes pinned to one processor.',
    kind: 'stream',
    implementations: ['afunix', 'bare', 'net', 'usocket'],
    roles,
  },
  [
    { to: 'bare', atLeast: 0.9, aim: 1 },
    { to: 'net', atLeast: 1.3, aim: 1.6 },
  ],
);
