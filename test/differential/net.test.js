'use strict';

// Random programs on net, and on USocket and UServer: they do the same. The programs are always the same ones; the
// torture has others.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { judgeAll, explain } = require('./judge.js');

const PROGRAMS = 200;
const SEED = 1;
/** Classes that are shown with a short program; it takes seconds to find one. */
const EXPLAINED = 5;

test(`${PROGRAMS} random programs do with USocket and UServer what they do with net`, async (t) => {
  const { counts, expected, fresh } = await judgeAll(SEED, PROGRAMS);
  t.diagnostic(JSON.stringify(counts));
  if (expected.size > 0) t.diagnostic(`${expected.size} classes of differences are expected`);
  assert.equal(counts.broken ?? 0, 0);
  assert.ok((counts.flaky ?? 0) <= PROGRAMS / 10, 'net itself did not do the same twice');
  for (const [at, example] of [...fresh.values()].entries()) {
    t.diagnostic(at < EXPLAINED ? await explain(example, 150) : example.key);
  }
  assert.deepEqual([...fresh.keys()], []);
});
