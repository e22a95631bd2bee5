'use strict';

// Owns hosts of Node-API beside Node: what needs no event loop works there, and the rest says why it does not.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { LIB } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');

const PROGRAM = path.join(__dirname, '..', 'helpers', 'host-program.js');

for (const [host, command, args] of [
  ['Node', process.execPath, []],
  ['Bun', 'bun', ['run']],
  ['Deno', 'deno', ['run', '--allow-all']],
]) {
  const options = command === process.execPath ? {} : skipUnless(command);
  test(`descriptors and synchronous calls work on ${host}`, onLinux(options), async (t) => {
    const program = startProgram(t, command, [...args, PROGRAM, LIB]);
    const { code, stderr } = await program.ended();
    assert.equal(code, 0, stderr);
  });
}
