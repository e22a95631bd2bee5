'use strict';

// Owns ref(), unref() and hasRef() of SeqpacketServer and SeqpacketSocket: what keeps a process
// alive and what does not.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

const IDLE = path.join(__dirname, '..', 'helpers', 'idle.js');

describe('ref() and unref()', onLinux(), () => {
  const BODIES = {
    'a server': [({ SeqpacketServer: Server }, name) => new Server().listen(name), 'alive'],
    'an unreferenced server': [
      ({ SeqpacketServer: Server }, name) => {
        const server = new Server().listen(name);
        if (!server.hasRef() || server.unref() !== server || server.hasRef()) process.exit(1);
      },
      'beforeExit',
    ],
    'a server unreferenced before listen()': [
      ({ SeqpacketServer: Server }, name) => new Server().unref().listen(name),
      'beforeExit',
    ],
    'a server referenced again': [
      ({ SeqpacketServer: Server }, name) => new Server().listen(name).unref().ref(),
      'alive',
    ],
    'a closed server': [
      ({ SeqpacketServer: Server }, name) => new Server().listen(name).close(),
      'beforeExit',
    ],
    'a pair': [({ SeqpacketSocket: Socket }) => Socket.pair(), 'alive'],
    'an unreferenced pair': [
      ({ SeqpacketSocket: Socket }) => Socket.pair().map((end) => end.unref()),
      'beforeExit',
    ],
    'a destroyed pair': [({ SeqpacketSocket: Socket }) => Socket.pair()[0].destroy(), 'beforeExit'],
    'a connecting socket': [
      ({ SeqpacketServer: Server, SeqpacketSocket: Socket }, name) => {
        globalThis.server = new Server().unref().listen(name, 0).pause();
        for (let count = 0; count < 3; count++) new Socket().connect(name).unref();
        new Socket().connect(name);
      },
      'alive',
    ],
    'unreferenced connecting sockets': [
      ({ SeqpacketServer: Server, SeqpacketSocket: Socket }, name) => {
        globalThis.server = new Server().unref().listen(name, 0).pause();
        for (let count = 0; count < 4; count++) new Socket().unref().connect(name);
      },
      'beforeExit',
    ],
    'a socket with a time-out': [
      ({ SeqpacketSocket: Socket }) =>
        Socket.pair().map((end) => end.unref().setTimeout(5000, () => {})),
      'beforeExit',
    ],
  };
  for (const [what, [body, expected]] of Object.entries(BODIES)) {
    test(`${what}: ${expected}`, async (t) => {
      const program = startScript(t, body, [abstractName()], { flags: ['--require', IDLE] });
      assert.equal(await program.lines.next(), expected);
    });
  }
});
