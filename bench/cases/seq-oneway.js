'use strict';

/**
 * One connection, 64-byte messages from the client to the server in windows of 64 with callbacks, as
 * dgram-oneway. See ../README.md for what a case file has.
 */

const { Meter, sendWindows, outcome } = require('../lib/sequence');

const SIZE = 64;
const WINDOW = 64;

/** Descriptors that Node and the C program need in addition to the connections. */
const SPARE = 200;

const roles = {
  receive({ seqpacket }, { params, ready, finish, onStop }) {
    const meter = new Meter(1, finish);
    const sockets = [];
    onStop(() => meter.result());
    seqpacket.listen(params.path, (socket) => {
      sockets.push(socket);
      seqpacket.read(socket, (message) => meter.take(0, message));
    });
    ready();
  },

  send({ seqpacket }, { params, finish }) {
    const { path, size, duration } = params;
    const socket = seqpacket.connect(path, () => {
      const send = (_, message, done) => seqpacket.write(socket, message, done);
      sendWindows({ send, streams: 1, window: WINDOW, size, duration }, finish);
    });
  },
};

/**
 * @param {object} [how]
 * @param {number} [how.size] bytes a message
 * @param {number} [how.idle] further connections to the same server, that nothing happens on
 */
async function oneway(trial, { size = SIZE, idle = 0 } = {}) {
  const path = trial.path('server');
  const { duration } = trial;
  const files = idle + SPARE;
  const receiver = trial.start('receive', { path }, { files });
  await receiver.ready;
  if (idle) {
    await trial.startLimit('any', 'hold', { path, connections: idle }, { files }).ready;
  }
  const sender = trial.start('send', { path, size, duration });
  return outcome(sender, receiver);
}

module.exports = {
  name: 'seq-oneway',
  about:
    '64-byte messages one way over one connection between two processes, in windows of 64 with callbacks.',
  kind: 'seqpacket',
  implementations: ['afunix', 'bare', 'node-unix-socket'],
  metrics: [
    {
      key: 'rate',
      label: 'messages/s',
      better: 'more',
      targets: [{ to: 'c', atLeast: 0.6, aim: 0.85 }],
    },
  ],
  costs: ['receive', 'send'],
  per: 'a message',
  faults: { lost: 'lost', misplaced: 'out of order' },
  roles,
  oneway,
  measure: (trial) => oneway(trial),
};
