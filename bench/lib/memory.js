'use strict';

/** Owns what is measured of this process's memory; needs --expose-gc. */

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

/** Garbage goes, and memory that was given back is gone for the kernel, too. */
async function settle() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await sleep(50);
  }
}

/** Resident memory in KiB, once garbage is gone. */
async function residentKib() {
  await settle();
  return Number(/^Rss:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/self/smaps_rollup', 'latin1'))[1]);
}

module.exports = { residentKib };
