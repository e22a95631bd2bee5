'use strict';

// Owns the system calls of a program in tests, as strace(1) sees them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { startProgram } = require('./programs.js');
const { temporaryFolder } = require('./tmp.js');

/**
 * Runs Node to its end, which has to be a good one: the system calls of each of its threads, as `name(arguments) =
 * result`. Null where strace may not look, which containers may forbid: the test is skipped.
 * @param {import('node:test').TestContext} t
 * @param {string[]} args for Node
 * @param {string} [calls] the names of those to look at; all of them by default
 * @param {string} [injected] what is to go wrong, as strace has it: `sendmsg:error=ENOMEM`
 * @returns {Promise<string[][] | null>}
 */
async function systemCalls(t, args, calls = 'all', injected = undefined) {
  const folder = temporaryFolder(t);
  // A file for each thread: in one for all, a call that another thread interrupts has two lines.
  const log = path.join(folder, 'calls');
  const options = ['-ff', '-o', log, '-e', `trace=${calls}`];
  if (injected !== undefined) options.push('-e', `inject=${injected}`);
  const program = startProgram(t, 'strace', [...options, process.execPath, ...args]);
  const { code, stdout, stderr } = await program.ended();
  if (code !== 0 && stdout === '' && /ptrace|PTRACE/.test(stderr)) {
    t.skip('strace may not look here');
    return null;
  }
  assert.equal(code, 0, stderr);
  const read = (name) => fs.readFileSync(path.join(folder, name), 'latin1').split('\n');
  return fs.readdirSync(folder).map(read);
}

module.exports = { systemCalls };
