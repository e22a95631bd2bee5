'use strict';

// Owns the question which descriptors a process has left open. Imports nothing of the project.

const fs = require('node:fs');

/** What every open descriptor of this process is: its number and what it leads to. */
function descriptors() {
  return fs.readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${fs.readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      // The one that lists them.
      return [];
    }
  });
}

/** Those that were not there before, after up to two seconds: what closes, closes a little later. */
async function leftSince(before) {
  const end = performance.now() + 2000;
  let left;
  do {
    left = descriptors().filter((one) => !before.includes(one));
    if (left.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  } while (performance.now() < end);
  return left;
}

module.exports = { descriptors, leftSince };
