'use strict';

// Owns the package inside test runners: Jest with Node's and with jsdom's environment and fake timers,
// Vitest with fake timers, node:test. The torture's case `tools` has every version of Jest from 24 on.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { onLinux } = require('../helpers/programs.js');
const { runJest, runNode, runVitest } = require('../torture/lib/tools-run.js');

const RUNS = {
  'node:test': () => runNode(),
  'Jest, node': () => runJest(30, 'node', false),
  'Jest, jsdom with fake timers': () => runJest(30, 'jsdom', true),
  'Vitest with fake timers': () => runVitest(true),
};

describe('a test file that uses the package', onLinux({}), () => {
  for (const [name, run] of Object.entries(RUNS)) {
    test(`passes in ${name}`, async (t) => {
      const { skip, tests, output } = run();
      if (skip) return t.skip(skip);
      assert.ok(tests.length >= 7, output);
      for (const each of tests) {
        await t.test(each.name, () => assert.ok(each.passed, `${each.why}\n${output}`));
      }
      return undefined;
    });
  }
});
