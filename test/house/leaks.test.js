'use strict';

// Owns the claim that helpers/leaks.js and helpers/idle-cpu.js see what they are there to see.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { LIB } = require('../helpers/node.js');
const { onLinux, startProgram } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

const LEAKS = path.join(__dirname, '..', 'helpers', 'leaks.js');
const WAIT = path.join(__dirname, '..', 'helpers', 'wait.js');

/** Runs a test file whose one test does this; what it ended with and printed. */
function runTestFile(t, body) {
  // A leak is waited for: not as long as where one is a surprise.
  const source = `
    const wait = require(${JSON.stringify(WAIT)});
    const { until } = wait;
    wait.until = (check, what) => until(check, what, 300);
    const mine = require('node:fs').openSync('/dev/zero');
    require(${JSON.stringify(LEAKS)}).assertNoLeaks();
    require('node:test').test('it', () => (${body})(require(${JSON.stringify(LIB)}), mine));`;
  const file = temporaryPath(t, 'leaks.test.js');
  fs.writeFileSync(file, source);
  // Not as a part of this run: its own output, and its own exit code.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  return startProgram(t, process.execPath, [file], { env }).ended();
}

describe('assertNoLeaks()', onLinux(), () => {
  for (const [what, body] of Object.entries({
    'a socket': ({ DgramSocket }) => void new DgramSocket().bind().unref(),
    'a descriptor': () => void require('node:fs').openSync('/dev/null'),
    'a paused server': ({ UServer }) => void new UServer().listen().pause().unref(),
  })) {
    test(`sees ${what} that is left open`, async (t) => {
      const { code, stdout } = await runTestFile(t, body);
      assert.equal(code, 1);
      assert.match(stdout, /left these open/);
    });
  }

  test('sees a descriptor that is closed although it is not the tests', async (t) => {
    const { code, stdout } = await runTestFile(t, ({ closeFd }, fd) => closeFd(fd));
    assert.equal(code, 1);
    assert.match(stdout, /closed these/);
  });

  test('sees nothing where all is closed', async (t) => {
    const { code, stdout } = await runTestFile(t, async ({ DgramSocket, USocket }) => {
      const ends = [...USocket.pair(), ...DgramSocket.pair()];
      for (const end of ends) end.close();
      setTimeout(() => {}, 1000).unref();
    });
    assert.equal(code, 0, stdout);
  });
});

describe('assertIdle()', () => {
  test('sees an event loop that turns and turns', async () => {
    let turning = true;
    const turn = () => turning && setImmediate(turn);
    turn();
    await assert.rejects(within(assertIdle('it'), 'the verdict'), /it keeps the event loop busy/);
    turning = false;
    await assertIdle('nothing');
  });
});
