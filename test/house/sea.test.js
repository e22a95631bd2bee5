'use strict';

// Owns single executables: that examples/sea builds one with Node 22 or later, which runs where there is
// neither the package nor the addon's file.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { installPackages } = require('../helpers/packages.js');
const { onLinux, startProgram } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { isNodeBefore } = require('../helpers/versions.js');
const { findHost } = require('../torture/lib/hosts-install.js');

const BUILD = path.join(__dirname, '..', '..', 'examples', 'sea', 'build.js');

/** This Node if it is new enough, or Node 22. */
const host = isNodeBefore('22') ? findHost('node', '22', true) : { program: process.execPath };
const tools = installPackages({ esbuild: '0.28.2', postject: '1.0.0-alpha.6' });

describe('a single executable', onLinux({ skip: host.skip ?? tools.skip ?? false }), () => {
  test('has the addon inside', async (t) => {
    const folder = temporaryFolder(t);
    const executable = path.join(folder, 'program');
    const env = { ...process.env, NODE_PATH: path.join(tools.folder, 'node_modules') };
    const built = await startProgram(t, host.program, [BUILD, executable], { env }).ended(400_000);
    assert.equal(built.code, 0, built.stderr);
    const temporary = path.join(folder, 'tmp');
    fs.mkdirSync(temporary);
    const program = startProgram(t, executable, [], {
      cwd: temporary,
      env: { PATH: process.env.PATH, TMPDIR: temporary },
    });
    const { code, stdout, stderr } = await program.ended();
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(stdout, 'hello from a single executable\ngoodbye\n');
    assert.deepEqual(fs.readdirSync(temporary), [], 'the file of the addon is gone');
  });
});
