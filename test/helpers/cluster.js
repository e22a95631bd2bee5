'use strict';

// Owns the workers of clusters in tests, of which the test's own process is the primary.

const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const { once } = require('node:events');
const path = require('node:path');
const { abstractName } = require('./tmp.js');
const { Queue, delay } = require('./wait.js');

const WORKER = path.join(__dirname, 'cluster-worker.js');

/** Forks a worker, and ends it: what a primary opens for its workers is open from then on. */
async function firstFork() {
  cluster.setupPrimary({ exec: WORKER, args: ['UServer', JSON.stringify(abstractName())] });
  const worker = cluster.fork();
  await once(worker, 'message');
  worker.process.kill('SIGKILL');
  await once(worker, 'exit');
  // Its connection ends in one of the next turns.
  await delay(0);
}

/** Starts a worker; `reports` are what it says. It is gone when the test ends. */
function startWorker(t, kind, options, settings = {}) {
  cluster.setupPrimary({ exec: WORKER, args: [kind, JSON.stringify(options)], ...settings });
  const worker = cluster.fork();
  worker.reports = new Queue();
  worker.on('message', (report) => worker.reports.put(report));
  t.after(async () => {
    if (worker.isDead()) return;
    worker.process.kill('SIGKILL');
    await once(worker, 'exit');
  });
  return worker;
}

/** Waits for a report of that event, and returns what came with it. */
async function reported(worker, event) {
  for (;;) {
    const report = await worker.reports.next(`${event} of a worker`);
    if (report.event === event) return report.message;
    assert.notEqual(report.event, 'error', report.message);
  }
}

/** A worker that listens. */
async function listeningWorker(t, kind, options) {
  const worker = startWorker(t, kind, options);
  await reported(worker, 'listening');
  return worker;
}

module.exports = { WORKER, firstFork, listeningWorker, reported, startWorker };
