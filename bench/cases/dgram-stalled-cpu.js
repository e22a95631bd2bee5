'use strict';

/**
 * The CPU that a sender uses in one second while 1000 messages wait for a receiver that never reads.
 * The C program fills the kernel's queue and sleeps in poll().
 */

const { setTimeout: sleep } = require('node:timers/promises');

const SIZE = 64;
const QUEUED = 1000;

/** Between the last send and the measurement, in ms: the end of start-up is not what is measured. */
const SETTLE = 300;

const roles = {
  async send({ dgram }, { params, finish }) {
    const send = dgram.connect(params.path);
    const message = Buffer.alloc(params.size);
    let sent = 0;
    for (let i = 0; i < params.queued; i++) send(message, () => sent++);
    await sleep(SETTLE);
    const before = process.cpuUsage();
    await sleep(params.duration * 1e3);
    const { user, system } = process.cpuUsage(before);
    if (sent > params.queued / 2) throw new Error(`${sent} messages went to a stalled receiver`);
    finish({ cpu: (user + system) / 1e3 });
  },
};

module.exports = {
  name: 'dgram-stalled-cpu',
  about:
    'CPU of a sender in one second with 1000 messages waiting for a receiver that never reads.',
  kind: 'dgram',
  implementations: ['afunix', 'node-unix-socket', 'unix-dgram'],
  metrics: [
    {
      key: 'cpu',
      label: 'CPU, ms in one second',
      digits: 1,
      better: 'less',
      targets: [{ atMost: 20, always: true }],
    },
  ],
  duration: 1,
  roles,

  async measure(trial) {
    const path = trial.path('stalled');
    await trial.startLimit('any', 'stalled', { path }).ready;
    const { duration } = trial;
    return trial.start('send', { path, size: SIZE, queued: QUEUED, duration }).result;
  },
};
