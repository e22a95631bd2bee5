'use strict';

/**
 * One sender deals messages to 100 receivers (sockets of one other process) in turn: once with all of
 * them reading, once with one of them stalled, that is, bound by a process that never reads. Up to
 * STALLED_MOST messages wait for the stalled one; the others should not notice.
 */

const { Meter, sendWindows, outcome } = require('../lib/sequence');

const SIZE = 64;
const RECEIVERS = 100;
const STALLED_MOST = 1000;

const pathOf = (dir, i) => `${dir}/r${i}`;

const roles = {
  receive({ dgram }, { params, ready, finish, onStop }) {
    const { dir, receivers } = params;
    const meter = new Meter(receivers, finish);
    onStop(() => meter.result());
    for (let i = 0; i < receivers; i++) {
      dgram.bind(pathOf(dir, i), (message) => meter.take(i, message));
    }
    ready();
  },

  send({ dgram }, { params, finish }) {
    const { dir, receivers, stalled, stalledMost, size, duration } = params;
    const paths = Array.from({ length: receivers }, (_, i) => pathOf(dir, i));
    if (stalled) paths.push(stalled);
    const send = dgram.fan(paths);
    const waiting = Buffer.alloc(size);
    const ignore = () => {};
    let left = stalled ? stalledMost : 0;

    function eachWindow() {
      if (left === 0) return;
      left--;
      send(receivers, waiting, ignore);
    }

    const plan = { send, streams: receivers, window: receivers, size, duration, eachWindow };
    sendWindows(plan, finish);
  },
};

/** @param {boolean} stall whether one of the receivers never reads */
async function fan(trial, stall) {
  const dir = trial.dir;
  const receivers = stall ? RECEIVERS - 1 : RECEIVERS;
  const stalled = stall ? trial.path('stalled') : '';
  if (stall) await trial.startLimit('any', 'stalled', { path: stalled }).ready;
  const receiver = trial.start('receive', { dir, receivers });
  await receiver.ready;
  const sender = trial.start('send', {
    dir,
    receivers,
    stalled,
    stalledMost: STALLED_MOST,
    size: SIZE,
    duration: trial.duration,
  });
  return outcome(sender, receiver);
}

module.exports = {
  name: 'dgram-fanout',
  about:
    'One sender, 100 receiving sockets in another process, 64-byte datagrams in turn; first with all of them reading, then with one that never reads.',
  kind: 'dgram',
  implementations: ['afunix', 'node-unix-socket', 'unix-dgram'],
  metrics: [
    { key: 'all', label: 'messages/s, all reading', better: 'more' },
    { key: 'stalled', label: 'messages/s, one stalled' },
    {
      key: 'kept',
      label: 'stalled ÷ all',
      digits: 2,
      targets: [{ atLeast: 0.9 }],
    },
  ],
  costs: ['receive', 'send'],
  per: 'a message, all reading',
  faults: { lost: 'lost', misplaced: 'out of order' },
  roles,

  async measure(trial) {
    const all = await trial.part((part) => fan(part, false));
    const { rate, ...others } = all;
    const measures = { ...others, all: rate };
    try {
      const one = await trial.part((part) => fan(part, true));
      measures.stalled = one.rate;
      measures.kept = one.rate / all.rate;
      measures.lost += one.lost;
      measures.misplaced += one.misplaced;
    } catch (error) {
      measures.error = `with one stalled: ${error.message}`;
    }
    return measures;
  },
};
