'use strict';

/**
 * What a datagram with a callback costs its sender: the CPU of the process, above all that outside of the kernel. The
 * receiver is the same C program for every implementation, the sender that of dgram-oneway.
 *
 * The kernel measures the CPU of a process, but only samples how it divides into user and system: a trial is long.
 */

const { costOf } = require('../lib/marks');
const { roles } = require('./dgram-oneway');

const SIZE = 64;

module.exports = {
  name: 'send-cost',
  about:
    'CPU of the sender for a 64-byte datagram with callback, in windows of 64; the receiver is a C program.',
  kind: 'dgram',
  implementations: ['afunix', 'bare', 'node-unix-socket', 'unix-dgram'],
  metrics: [
    {
      key: 'user',
      label: 'user CPU, µs a message',
      digits: 2,
      better: 'less',
      targets: [
        { to: 'bare', atMost: 1.3, aim: 1.1 },
        { to: 'unix-dgram', atMost: 1 },
      ],
    },
    { key: 'rate', label: 'messages/s', better: 'more' },
  ],
  duration: 3,
  costs: ['send'],
  per: 'a message',
  faults: { lost: 'lost', misplaced: 'out of order' },
  roles: { send: roles.send },

  async measure(trial) {
    const path = trial.path('receiver');
    const { duration } = trial;
    const receiver = trial.startLimit('dgram-oneway', 'receive', { path });
    await receiver.ready;
    const sender = trial.start('send', { path, connect: 1, size: SIZE, duration });
    const [sent, received] = await Promise.all([sender.result, receiver.result]);
    if (sent.stuck) throw new Error(`stuck after ${sent.sent} messages`);
    const { rate, misplaced } = received;
    const lost = sent.sent - received.received;
    return { user: sent.user, rate, lost, misplaced, ...costOf('send', sent) };
  },
};
