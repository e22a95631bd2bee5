'use strict';

/**
 * Resident memory of a bound socket that nothing happens on, from 10,000 of them: after a collection,
 * less what was there before. What the kernel itself holds for a socket is not in it.
 */

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

const SOCKETS = 10_000;

/** Descriptors that Node and the C program need beside the sockets. */
const SPARE = 200;

/** Garbage goes, and memory that was given back is gone for the kernel, too. */
async function settle() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await sleep(50);
  }
}

function residentKib() {
  return Number(/^Rss:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/self/smaps_rollup', 'latin1'))[1]);
}

const roles = {
  async open({ dgram }, { params, finish }) {
    const { dir, sockets } = params;
    const open = [];
    await settle();
    const before = residentKib();
    for (let i = 0; i < sockets; i++) open.push(dgram.bind(`${dir}/r${i}`, () => {}));
    await settle();
    const each = (residentKib() - before) / sockets;
    finish({ each, sockets: open.length });
  },
};

module.exports = {
  name: 'dgram-idle-memory',
  about: 'Resident memory for each of 10,000 open bound sockets that nothing happens on.',
  implementations: ['afunix', 'node-unix-socket', 'unix-dgram'],
  nodeFlags: ['--expose-gc'],
  metrics: [
    {
      key: 'each',
      label: 'KiB a socket',
      digits: 2,
      target: { of: 'value', atMost: 4 },
    },
  ],
  duration: 0,
  roles,

  measure(trial) {
    const params = { dir: trial.dir, sockets: SOCKETS };
    return trial.start('open', params, { files: SOCKETS + SPARE }).result;
  },
};
