'use strict';

// Owns the moment between bind(2) and listen(2), in which a client that has seen the socket file already is refused: no
// other system call is in it, whatever has to be done about the file. strace(1) sees them all.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { leaveDeadFile } = require('../helpers/sockets.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { scriptArguments } = require('../helpers/node.js');
const { onLinux, skipUnless } = require('../helpers/programs.js');
const { systemCalls } = require('../helpers/strace.js');
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
        const args = scriptArguments(listen, [kind, { path: name, ...options }]);
        const threads = await systemCalls(t, args);
        if (threads === null) return;
        const isBind = (call) => call.startsWith('bind(') && call.endsWith('= 0');
        const calls = threads.find((one) => one.some(isBind));
        assert.ok(calls, threads.map((one) => one.slice(-40).join('\n')).join('\n'));
        const bound = calls.findIndex(isBind);
        assert.match(calls[bound + 1], /^listen\(/);
      });
    }
  }
});
