'use strict';

// Owns what a worker of a cluster keeps of servers that it has closed.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { test } = require('node:test');
require('../../lib');
const { firstFork, reported, startWorker } = require('../helpers/cluster.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

// With the first fork a primary opens what its workers connect to, and keeps it as long as it lives.
assertNoLeaks(firstFork);

test('servers that a worker has closed are collected', onLinux(), async (t) => {
  const options = { path: temporaryPath(t), drops: 10 };
  const worker = startWorker(t, 'UServer', options, { execArgv: ['--expose-gc'] });
  const kept = await reported(worker, 'kept');
  assert.ok(kept <= 1, `${kept} of 10 are left`);
  // It ends by itself, and so says which lines it has run.
  worker.disconnect();
  const [code] = await within(once(worker, 'exit'), 'its end');
  assert.equal(code, 0);
});
