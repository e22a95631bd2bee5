'use strict';

/**
 * Resident memory of a bound socket that nothing happens on, from 10,000 of them: after a collection,
 * less what was there before. What the kernel itself holds for a socket is not in it.
 */

const { residentKib } = require('../lib/memory');

const SOCKETS = 10_000;

/** Descriptors that Node and the C program need in addition to the sockets. */
const SPARE = 200;

const roles = {
  async open({ dgram }, { params, finish }) {
    const { dir, sockets } = params;
    const open = [];
    const before = await residentKib();
    for (let i = 0; i < sockets; i++) open.push(dgram.bind(`${dir}/r${i}`, () => {}));
    const each = ((await residentKib()) - before) / sockets;
    finish({ each, sockets: open.length });
  },
};

module.exports = {
  name: 'dgram-idle-memory',
  about: 'Resident memory for each of 10,000 open bound sockets that nothing happens on.',
  kind: 'dgram',
  implementations: ['afunix', 'bare', 'node-unix-socket', 'unix-dgram'],
  nodeFlags: ['--expose-gc'],
  metrics: [
    {
      key: 'each',
      label: 'KiB a socket',
      digits: 2,
      better: 'less',
      targets: [{ atMost: 4 }],
    },
  ],
  duration: 0,
  roles,

  measure(trial) {
    const params = { dir: trial.dir, sockets: SOCKETS };
    return trial.start('open', params, { files: SOCKETS + SPARE }).result;
  },
};
