'use strict';

// Owns the claim that planted faults still are what the torture plants: each edit finds its place, once, and each test
// that is to see it is there.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { ROOT } = require('../helpers/pages.js');
const faults = require('../torture/lib/mutants/faults.js');

assertNoLeaks();

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

test('every planted fault can be planted, and has its tests', () => {
  assert.ok(faults.length > 0);
  const misplaced = faults.filter(({ edits }) =>
    edits.some(({ file, search }) => read(file).split(search).length !== 2),
  );
  assert.deepEqual(
    misplaced.map(({ name }) => name),
    [],
  );
  const tests = new Set(faults.flatMap((fault) => fault.tests));
  assert.deepEqual(
    [...tests].filter((file) => !fs.existsSync(path.join(ROOT, file))),
    [],
  );
  assert.equal(new Set(faults.map(({ name }) => name)).size, faults.length);
});
