'use strict';

/**
 * As dgram-rtt, but both sockets are bound and connected to each other, so that no message names its destination and
 * the kernel looks up no path. The side that answers connects with the first request.
 */

const { asker, tripsCase } = require('../lib/trips');

const roles = {
  answer({ dgram }, { params, ready }) {
    let isConnected = false;
    const socket = dgram.pair(params.path, params.own, (message) => {
      if (!isConnected) socket.connect();
      isConnected = true;
      socket.send(message);
    });
    ready();
  },

  ask({ dgram }, { params, finish }) {
    const { ask, onAnswer } = asker(params, finish, (request) => socket.send(request));
    const socket = dgram.pair(params.own, params.path, onAnswer);
    socket.connect();
    ask();
  },
};

module.exports = tripsCase(
  {
    name: 'dgram-rtt-connected',
    about:
      '64-byte request and answer between two connected sockets, in two processes pinned to one processor.',
    kind: 'dgram',
    implementations: ['afunix', 'bare', 'unix-dgram'],
    roles,
  },
  [{ to: 'bare', atLeast: 0.9, aim: 1 }],
);
