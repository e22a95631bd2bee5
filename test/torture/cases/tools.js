'use strict';

// The case "inside test runners": a test file that uses the package, in Jest 24 to 30 with Node's and with
// jsdom's environment, with real and with fake timers, in Vitest and in node:test. Installs 500 MB below
// .cache/ at first. The short form has what is installed, and one run of each tool.

const { JESTS, runJest, runNode, runVitest } = require('../lib/tools-run.js');

const skippedRow = (what, reason) => ({ what, tried: 0, lost: 0, note: `skipped: ${reason}` });

function rowOf(what, { skip, tests, output }, say) {
  if (skip) return skippedRow(what, skip);
  const lost = tests.filter(({ passed }) => !passed);
  for (const { name, why } of lost) say(`${what}: ${name}: ${why}`);
  if (tests.length === 0) say(`${what}: ${output.slice(0, 2000)}`);
  return { what, tried: `${tests.length} tests`, lost: tests.length === 0 ? 1 : lost.length };
}

async function run({ quick, say }) {
  const rows = [rowOf('node:test', runNode(), say)];
  // test/house/jest.test.js has the others.
  if (quick) return rows;
  for (const hasFakeTimers of [false, true]) {
    const timers = hasFakeTimers ? ', fake timers' : '';
    rows.push(rowOf(`Vitest${timers}`, runVitest(hasFakeTimers), say));
    for (const version of Object.keys(JESTS)) {
      for (const environment of ['node', 'jsdom']) {
        const what = `Jest ${version}, ${environment}${timers}`;
        say(what);
        rows.push(rowOf(what, runJest(Number(version), environment, hasFakeTimers), say));
      }
    }
  }
  return rows;
}

module.exports = {
  about:
    'A test file that uses the package, in Jest 24 to 30 (node and jsdom, real and fake timers), ' +
    'Vitest and node:test.',
  limit: 3600,
  quickLimit: 600,
  run,
};
