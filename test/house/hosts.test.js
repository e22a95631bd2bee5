'use strict';

// Owns the hosts of Node-API other than Node: what needs no event loop works there, and the rest says why it
// does not. Where Bun and Deno are not installed, the npm packages with their executables are, below .cache/.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { LIB } = require('../helpers/node.js');
const { findProgram, onLinux, startProgram } = require('../helpers/programs.js');
const { findHost } = require('../torture/lib/hosts-install.js');

const PROGRAM = path.join(__dirname, '..', 'helpers', 'host-program.js');

/** The executable of a host, by its name on the PATH or from npm. */
function find(kind, version) {
  const installed = findProgram(kind);
  return installed === null ? findHost(kind, version, true) : { program: installed };
}

for (const [host, { program, skip }, args] of [
  ['Node', { program: process.execPath }, []],
  ['Bun', find('bun', 1), ['run']],
  ['Deno', find('deno', 2), ['run', '--allow-all']],
]) {
  const options = onLinux({ skip: skip ?? false });
  test(`descriptors and synchronous calls work on ${host}`, options, async (t) => {
    const { code, stderr } = await startProgram(t, program, [...args, PROGRAM, LIB]).ended();
    assert.equal(code, 0, stderr);
  });
}
