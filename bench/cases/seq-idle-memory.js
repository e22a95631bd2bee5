'use strict';

/**
 * Resident memory that a server has for a connection which nothing happens on, from 10,000 of them:
 * after a collection, less what was there before. The other ends are in a C program. What the kernel
 * itself holds for a socket is not in it.
 */

const { residentKib } = require('../lib/memory');

const CONNECTIONS = 10_000;

/** Descriptors that Node and the C program need in addition to the connections. */
const SPARE = 200;

const roles = {
  async open({ seqpacket }, { params, ready, finish }) {
    const { path, connections } = params;
    const sockets = [];
    let before = 0;

    async function finishWhenSettled() {
      const each = ((await residentKib()) - before) / connections;
      finish({ each, connections: sockets.length });
    }

    seqpacket.listen(path, (socket) => {
      seqpacket.read(socket, () => {});
      if (sockets.push(socket) === connections) finishWhenSettled();
    });
    before = await residentKib();
    ready();
  },
};

module.exports = {
  name: 'seq-idle-memory',
  about:
    'Resident memory of a server for each of 10,000 connections that nothing happens on; the client is a C program.',
  kind: 'seqpacket',
  implementations: ['afunix', 'bare', 'node-unix-socket'],
  nodeFlags: ['--expose-gc'],
  metrics: [
    {
      key: 'each',
      label: 'KiB a connection',
      digits: 2,
      better: 'less',
      targets: [{ atMost: 3.5 }],
    },
  ],
  duration: 0,
  roles,

  async measure(trial) {
    const path = trial.path('server');
    const params = { path, connections: CONNECTIONS };
    const how = { files: CONNECTIONS + SPARE };
    const server = trial.start('open', params, how);
    await server.ready;
    await trial.startLimit('any', 'hold', params, how).ready;
    return server.result;
  },
};
