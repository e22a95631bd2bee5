'use strict';

/** Request and answer between two bound sockets, one at a time, both processes on one processor: see ../lib/trips.js. */

const { asker, tripsCase } = require('../lib/trips');

const roles = {
  answer({ dgram }, { params, ready }) {
    const socket = dgram.bind(params.path, (message, from) => socket.answer(message, from));
    ready();
  },

  ask({ dgram }, { params, finish }) {
    const { path, own } = params;
    const { ask, onAnswer } = asker(params, finish, (request) => socket.answer(request, path));
    const socket = dgram.bind(own, onAnswer);
    ask();
  },
};

module.exports = tripsCase(
  {
    name: 'dgram-rtt',
    about:
      '64-byte request and answer between two processes pinned to one processor; each message names its destination.',
    kind: 'dgram',
    implementations: ['afunix', 'bare', 'node-unix-socket', 'unix-dgram'],
    roles,
  },
  [{ to: 'unix-dgram', atLeast: 1.1, aim: 1.25 }],
);
