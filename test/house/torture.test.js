'use strict';

// Owns the claim that what the torture names is there: planted faults find their places, once each, reasons for mutants
// the lines that they are about, and test files that are to see them, or run under valgrind, exist.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const vm = require('node:vm');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { ROOT } = require('../helpers/pages.js');
const { files } = require('../torture/cases/valgrind.js');
const equivalents = require('../torture/lib/mutants/equivalents.js');
const faults = require('../torture/lib/mutants/faults.js');

assertNoLeaks();

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** Those files that are not there. */
const missing = (all) => [...new Set(all)].filter((file) => !fs.existsSync(path.join(ROOT, file)));

test('every test file that runs under valgrind exists', () => {
  assert.deepEqual(missing(files), []);
});

test('every planted fault can be planted, and has its tests', () => {
  assert.ok(faults.length > 0);
  const misplaced = faults.filter(({ edits }) =>
    edits.some(({ file, search }) => read(file).split(search).length !== 2),
  );
  assert.deepEqual(
    misplaced.map(({ name }) => name),
    [],
  );
  assert.deepEqual(missing(faults.flatMap(({ tests }) => tests)), []);
  assert.equal(new Set(faults.map(({ name }) => name)).size, faults.length);
});

test('a planted fault leaves a program: what is none would be seen by any test', () => {
  const broken = faults.filter(({ edits }) =>
    edits.some(({ file, search, replace }) => {
      if (!file.endsWith('.js')) return false;
      try {
        vm.compileFunction(read(file).replace(search, () => replace));
        return false;
      } catch {
        return true;
      }
    }),
  );
  assert.deepEqual(
    broken.map(({ name }) => name),
    [],
  );
});

test('every reason why a mutant of lib/ is not seen is about a line that is there', () => {
  const reasons = Object.entries(equivalents).filter(([file]) => file.startsWith('lib/'));
  assert.ok(reasons.length > 0);
  const outdated = reasons.flatMap(([file, known]) => {
    const lines = new Set(
      read(file)
        .split('\n')
        .map((line) => line.trim()),
    );
    return known.filter(({ line }) => !lines.has(line)).map(({ line }) => `${file}: ${line}`);
  });
  assert.deepEqual(outdated, []);
});
