'use strict';

// Owns the moment between bind(2) and listen(2), in which a client that has seen the socket file already is refused: no
// other system call is in it, whatever has to be done about the file. strace(1) sees them all.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
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

/** The system calls of the thread that binds: `name(arguments) = result` each. Null where strace may not look. */
async function systemCalls(t, args) {
  const log = temporaryPath(t, 'calls');
  // A file for each thread: in one for all, a call that another thread interrupts has two lines.
  const strace = ['-ff', '-o', log, process.execPath, ...scriptArguments(listen, args)];
  const program = startProgram(t, 'strace', strace);
  const { code, stdout, stderr } = await program.ended();
  if (/ptrace|PTRACE/.test(stderr) && stdout === '') return null;
  assert.equal(code, 0, stderr);
  const folder = path.dirname(log);
  const logs = fs.readdirSync(folder).filter((name) => name.startsWith(`${path.basename(log)}.`));
  const threads = logs.map((name) => fs.readFileSync(path.join(folder, name), 'latin1'));
  const main = threads.find((calls) => calls.includes('bind('));
  assert.ok(main, threads.map((calls) => calls.slice(-2000)).join('\n'));
  return main.split('\n');
}

describe('between bind(2) and listen(2)', onLinux(skipUnless('strace')), () => {
  const cases = {
    'with defaults': () => ({}),
    'with mode': () => ({ mode: 0o666 }),
    'with an owner': () => ({ uid: process.getuid(), gid: process.getgid(), mode: 0o600 }),
    'at a dead file': () => ({ dead: true }),
  };
  for (const kind of ['UServer', 'SeqpacketServer']) {
    for (const [manner, make] of Object.entries(cases)) {
      test(`${kind}, ${manner}: nothing`, async (t) => {
        const { dead, ...options } = make();
        const name = temporaryPath(t);
        if (dead) leaveDeadFile(name);
        const calls = await systemCalls(t, [kind, { path: name, ...options }]);
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
