'use strict';

// A process of a soak case: runs one role of it, notes its resident memory and its descriptors from
// time to time, and reports them with what the role returned. See soak-process.js.
//
// Run as: node soak-role.js CASE ROLE ARGUMENT, the case's file and JSON. A case exports
// `roles`: { name: async (argument, watch) => report }.

const fs = require('node:fs');

/** Notes, of which some are compared: see soak-process.js. */
const NOTES = 100;

/**
 * Resident bytes that belong to the process alone. Pages of files are left out: those of Node's own
 * binary come in whenever some part of it runs for the first time, such as V8's compilers.
 */
function anonymousMemory() {
  const status = fs.readFileSync('/proc/self/status', 'latin1');
  return Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)[1]) * 1024;
}

/** Notes memory and descriptors each time another hundredth of the work is done. */
class Watch {
  #every;
  #next;
  memory = [];
  fds = [];

  /** @param {number} total of the work, in any unit */
  expect(total) {
    this.#every = Math.max(1, Math.floor(total / NOTES));
    // The first hundredth is not done before memory is there that the rest uses again.
    this.#next = this.#every;
  }

  /** So much of it is done. */
  reached(done) {
    if (done < this.#next) return;
    this.#next += this.#every;
    global.gc();
    this.memory.push(anonymousMemory());
    this.fds.push(fs.readdirSync('/proc/self/fd').length);
  }
}

/** Runs the role and reports. */
async function main([file, role, argument]) {
  // Ends with the case's process, however that ends.
  process.on('disconnect', () => process.exit(1));
  const watch = new Watch();
  const report = await require(file).roles[role](JSON.parse(argument), watch);
  process.send({ ...report, memory: watch.memory, fds: watch.fds }, () => process.exit());
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
