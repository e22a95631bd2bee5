'use strict';

// Owns waiting for the collector in the garbage case.

const fs = require('node:fs');

const countFds = () => fs.readdirSync('/proc/self/fd').length;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Collects, turn by turn, until it is so, or often enough. */
async function settle(isSo, turns = 150) {
  for (let turn = 0; turn < turns && !(turn > 1 && isSo()); turn++) {
    // In a turn of its own: what a WeakRef has given out stays until the turn is over.
    await sleep(1);
    global.gc();
  }
  await sleep(1);
}

/** Waits, without the collector, until it is so: whether it came to that. */
async function comes(isSo, milliseconds = 5000) {
  const end = performance.now() + milliseconds;
  while (!isSo()) {
    if (performance.now() > end) return false;
    await sleep(2);
  }
  return true;
}

module.exports = { comes, countFds, settle, sleep };
