'use strict';

/**
 * One process of a trial: `node role.js IMPLEMENTATION CASE ROLE [name=value …]`.
 *
 * Runs a role of a case on an implementation and reports to the parent on stdout: `{"ready":true}` once
 * others may start, then one line with the result.
 */

const fs = require('node:fs');

const [implementation, caseName, role, ...pairs] = process.argv.slice(2);
const params = Object.fromEntries(
  pairs.map((pair) => {
    const at = pair.indexOf('=');
    const value = pair.slice(at + 1);
    return [pair.slice(0, at), value !== '' && Number.isFinite(+value) ? +value : value];
  }),
);

// Nothing outlives a bench that was killed.
setTimeout(() => process.exit(3), params.timeout * 1e3).unref();

function say(message) {
  fs.writeSync(1, `${JSON.stringify(message)}\n`);
}

/** What a role gets with its adapter. */
const context = {
  params,
  ready: () => say({ ready: true }),
  /** Reports the result and ends the process. */
  finish(result) {
    say(result);
    process.exit(0);
  },
  /** `result()` is reported if the parent stops this process before it finishes by itself. */
  onStop: (result) => process.once('SIGTERM', () => context.finish(result())),
};

const adapter = require(`./impl/${implementation}`);
require(`./cases/${caseName}`).roles[role](adapter, context);
