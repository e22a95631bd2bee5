'use strict';

/**
 * Short-lived TCP connections to an echo server on two worker processes: connections a second, and
 * the CPU that the primary process uses meanwhile. `cluster` accepts in the primary and hands
 * connections to workers in turn; the others have a listener in each worker (SO_REUSEPORT).
 *
 * The client is the same C program for all: it opens 16 connections, sends, and reads each to its
 * end. It shares the processors with the workers, so the figures show who leaves it the most.
 */

const { fork } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');

const AT_ONCE = 16;
const WARM_UP = 0.5; // seconds
const WORKERS = 2;

/** Starts a worker: the same command with another role. */
function forkWorker() {
  const [script, ...args] = process.argv.slice(1);
  args[2] = 'work';
  return fork(script, args);
}

const roles = {
  async serve({ reuseport }, { ready, onStop }) {
    const workers = Array.from({ length: WORKERS }, reuseport.fork ?? forkWorker);
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const begin = performance.now();
    const before = process.cpuUsage();
    onStop(() => {
      const { user, system } = process.cpuUsage(before);
      return { primary: (user + system) / (performance.now() - begin) / 10 };
    });
    ready();
  },

  work({ reuseport }, { params }) {
    process.once('disconnect', () => process.exit());
    const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    reuseport.listen(server, params.port, () => process.send('listening'));
  },
};

/** A port that nobody has just now. */
async function freePort() {
  const server = net.createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

module.exports = {
  name: 'reuseport',
  about: `Short-lived TCP connections, ${AT_ONCE} at a time, to an echo server on ${WORKERS} worker processes, and the CPU of their primary. The client is the same C program for all.`,
  kind: 'reuseport',
  implementations: ['afunix', 'node-unix-socket', 'node-reuseport', 'node-cluster'],
  metrics: [
    { key: 'rate', label: 'connections/s', better: 'more' },
    { key: 'primary', label: 'CPU of the primary, %', digits: 1, better: 'less' },
  ],
  faults: { failed: 'failed connections' },
  roles,

  async measure(trial) {
    const port = await freePort();
    const server = trial.start('serve', { port });
    await server.ready;
    const { duration } = trial;
    const params = { port, atOnce: AT_ONCE, duration, warmUp: WARM_UP };
    const { rate, failed } = await trial.startLimit('reuseport', 'connect', params).result;
    server.stop();
    const { primary } = await server.result;
    return { rate, failed, primary };
  },
};
