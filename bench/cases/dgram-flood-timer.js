'use strict';

/**
 * How late a timer of 5 ms comes, at worst in two seconds, while a C program floods the socket at full
 * speed. The C receiver looks at its clock between two messages: its figure is the machine's own noise.
 */

const PERIOD = 5;
const SIZE = 64;

/** The flood starts with the first message and outlasts the measurement by this many seconds. */
const LONGER = 2;

const roles = {
  receive({ dgram }, { params, ready, finish }) {
    const { path, period, duration } = params;
    let received = 0;
    let worst = 0;
    let stop = 0;
    let due = 0;

    function tick() {
      const now = performance.now();
      worst = Math.max(worst, now - due);
      if (now >= stop) return finish({ late: worst, rate: received / duration });
      due = now + period;
      setTimeout(tick, period);
    }

    dgram.bind(path, () => {
      if (received++ > 0) return;
      const now = performance.now();
      stop = now + duration * 1e3;
      due = now + period;
      setTimeout(tick, period);
    });
    ready();
  },
};

module.exports = {
  name: 'dgram-flood-timer',
  about: 'Worst lateness of a 5 ms timer in two seconds while another process floods the socket.',
  kind: 'dgram',
  implementations: ['afunix', 'node-unix-socket', 'unix-dgram'],
  metrics: [
    {
      key: 'late',
      label: 'latest timer, ms',
      digits: 1,
      better: 'less',
      targets: [{ atMost: 20, always: true }],
    },
    { key: 'rate', label: 'messages/s meanwhile' },
  ],
  duration: 2,
  roles,

  async measure(trial) {
    const path = trial.path('flooded');
    const { duration } = trial;
    const receiver = trial.start('receive', { path, period: PERIOD, duration });
    await receiver.ready;
    trial.startLimit('dgram-oneway', 'send', {
      path,
      connect: 1,
      size: SIZE,
      duration: duration + LONGER,
    });
    return receiver.result;
  },
};
