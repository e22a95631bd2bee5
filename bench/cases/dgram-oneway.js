'use strict';

/**
 * One sender, one receiver, 64-byte messages in windows of 64 with callbacks. See ../README.md for
 * what a case file has.
 *
 * The receiver is bound. The sender is connected where the package can, as in the C loop, which
 * spares the kernel a look-up of the path for every message: about half of the time of a plain sendto().
 */

const { Meter, sendWindows, outcome } = require('../lib/sequence');

const SIZE = 64;
const WINDOW = 64;

const roles = {
  receive({ dgram }, { params, ready, finish, onStop }) {
    const meter = new Meter(1, finish);
    onStop(() => meter.result());
    dgram.bind(params.path, (message) => meter.take(0, message));
    ready();
  },

  send({ dgram }, { params, finish }) {
    const { path, size, duration } = params;
    let send;
    if (params.connect) {
      const toPeer = dgram.connect(path);
      send = (_, message, done) => toPeer(message, done);
    } else {
      send = dgram.fan([path]);
    }
    sendWindows({ send, streams: 1, window: WINDOW, size, duration }, finish);
  },
};

/** @param {0 | 1} connect whether the sender names its peer once or in every message */
async function oneway(trial, connect) {
  const path = trial.path('receiver');
  const { duration } = trial;
  const receiver = trial.start('receive', { path });
  await receiver.ready;
  const sender = trial.start('send', { path, connect, size: SIZE, duration });
  return outcome(sender, receiver);
}

module.exports = {
  name: 'dgram-oneway',
  about: '64-byte datagrams one way between two processes, in windows of 64 with callbacks.',
  kind: 'dgram',
  implementations: ['afunix', 'bare', 'node-unix-socket', 'unix-dgram'],
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
  measure: (trial) => oneway(trial, 1),
};
