'use strict';

// Owns system calls that fail for ever: said once, at no cost, with nothing lost that was not said to be, and all
// is well once the call works. One error for each call of each scene; the torture has them all.

const assert = require('node:assert/strict');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { ERRNOS, SCENES } = require('../torture/lib/faults-ever.js');
const { compileLibrary, environment } = require('../torture/lib/faults-library.js');

assertNoLeaks();

const SCRIPT = path.join(__dirname, '..', 'torture', 'lib', 'faults-ever.js');

/** What a poll calls for: "not ready" is what would have them called for ever. */
const POLLED = ['accept4', 'receives', 'sendmmsg', 'sends'];

/** The errors take turns, so that each is somewhere. */
let turn = 0;
const nextErrno = () => ERRNOS[turn++ % ERRNOS.length];

describe('a system call that fails for ever', onLinux(skipUnless('cc')), () => {
  let env;

  before(() => {
    const folder = temporaryFolder({ after: (clean) => process.on('exit', clean) });
    env = environment(compileLibrary(folder), path.join(folder, 'log'));
  });

  for (const [scene, [calls]] of Object.entries(SCENES)) {
    const trials = calls.flatMap((call) => {
      const errnos = POLLED.includes(call) ? ['EAGAIN', nextErrno()] : [nextErrno()];
      return errnos.map((errno) => ({ scene, call, errno }));
    });
    const words = trials.map(({ call, errno }) => `${call} ${errno}`).join(', ');
    test(`${scene}: ${words}`, async (t) => {
      const program = startProgram(t, process.execPath, [SCRIPT, JSON.stringify(trials)], { env });
      const { code, stdout, stderr } = await program.ended();
      assert.equal(code, 0, stderr);
      const lines = stdout.trimEnd().split('\n').map(JSON.parse);
      const results = lines.filter(({ problems }) => problems !== undefined);
      assert.deepEqual(
        results.filter(({ problems }) => problems.length > 0),
        [],
      );
      assert.equal(results.length, trials.length);
    });
  }
});
