'use strict';

// Owns what a worker of a cluster keeps of servers that it has closed.

const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const { once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');
require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

const exec = path.join(__dirname, '..', 'helpers', 'cluster-worker.js');

/** Starts a worker with options of its program, and returns the first message of such a kind that it sends. */
async function run(options, kind) {
  cluster.setupPrimary({
    exec,
    args: ['UServer', JSON.stringify(options)],
    execArgv: ['--expose-gc'],
  });
  const worker = cluster.fork();
  const report = new Promise((done) => {
    worker.on('message', ({ event, message }) => event === kind && done(message));
  });
  const message = await within(report, `what a worker says: ${kind}`);
  worker.disconnect();
  const [code] = await within(once(worker, 'exit'), 'its end');
  assert.equal(code, 0);
  return message;
}

// With the first fork a primary opens what its workers connect to, and keeps it as long as it lives.
assertNoLeaks(() => run({ path: abstractName() }, 'listening'));

test('servers that a worker has closed are collected', onLinux(), async (t) => {
  const kept = await run({ path: temporaryPath(t), drops: 10 }, 'kept');
  assert.ok(kept <= 1, `${kept} of 10 are left`);
});
