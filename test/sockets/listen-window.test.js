'use strict';

// Owns the moment between bind(2) and listen(2), in which a client that has seen the socket file already is refused: no
// other system call is in it, whatever has to be done about the file. strace(1) sees them all.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { leaveDeadFile } = require('../helpers/sockets.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { scriptArguments } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** Listens, says so and ends. */
function listen(afunix, kind, options) {
  const server = new afunix[kind]();
  server.listen(options, () => {
    console.log('"listening"');
    server.close();
  });
}

/** The system calls of the main thread: `name(arguments) = result` each. Null where strace may not look. */
async function systemCalls(t, args) {
  const log = temporaryPath(t, 'calls');
  const strace = ['-f', '-o', log, process.execPath, ...scriptArguments(listen, args)];
  const program = startProgram(t, 'strace', strace);
  const { code, stdout, stderr } = await program.ended();
  if (/ptrace|PTRACE/.test(stderr) && stdout === '') return null;
  assert.equal(code, 0, stderr);
  const lines = fs.readFileSync(log, 'latin1').split('\n');
  const [first] = lines[0].split(' ');
  return lines
    .filter((line) => line.startsWith(`${first} `))
    .map((line) => line.slice(first.length).trim());
}

describe('between bind(2) and listen(2)', onLinux(skipUnless('strace')), () => {
  const cases = {
    'with defaults': () => ({}),
    'with mode': () => ({ mode: 0o666 }),
    'with an owner': () => ({ uid: process.getuid(), gid: process.getgid(), mode: 0o600 }),
    'at a dead file': () => ({ dead: true }),
  };
  for (const kind of ['UServer', 'SeqpacketServer']) {
    for (const [name, make] of Object.entries(cases)) {
      test(`${kind}, ${name}: nothing`, async (t) => {
        const { dead, ...options } = make();
        const path = temporaryPath(t);
        if (dead) leaveDeadFile(path);
        const calls = await systemCalls(t, [kind, { path, ...options }]);
        if (calls === null) {
          t.skip('strace may not look here');
          return;
        }
        const bound = calls.findIndex((call) => call.startsWith('bind(') && call.endsWith('= 0'));
        assert.ok(bound >= 0, calls.slice(-40).join('\n'));
        assert.match(calls[bound + 1], /^listen\(/);
      });
    }
  }
});
