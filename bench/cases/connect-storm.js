'use strict';

/**
 * The CPU of a process with 2,000 clients that wait at a full backlog of a server which never accepts. Packages that
 * do not wait fail at once; what waits in C is a thread for each in connect(2), so the C loop has no part in this.
 */

const { setTimeout: sleep } = require('node:timers/promises');

const CLIENTS = 2000;
const BACKLOG = 8;
const SPARE = 200;

/** Between the last connect() and the measurement, in ms: the end of start-up is not what is measured. */
const SETTLE = 500;

const roles = {
  async wait(adapter, { params, finish }) {
    const { path, kind, clients, backlog, duration } = params;
    let connected = 0;
    const open = [];
    for (let i = 0; i < clients; i++) open.push(adapter[kind].connect(path, () => connected++));
    await sleep(SETTLE);
    const before = process.cpuUsage();
    const begin = performance.now();
    await sleep(duration * 1e3);
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 10 / (performance.now() - begin);
    if (connected > backlog + 1) throw new Error(`${connected} clients were connected`);
    finish({ share, open: open.length });
  },
};

async function storm(trial, kind) {
  const path = trial.path('stuck');
  await trial.startLimit('any', 'stuck', { path, kind, backlog: BACKLOG }).ready;
  const { duration } = trial;
  const params = { path, kind, clients: CLIENTS, backlog: BACKLOG, duration };
  return (await trial.start('wait', params, { files: CLIENTS + SPARE }).result).share;
}

const metricOf = (kind) => ({
  key: kind,
  label: `${kind}, CPU %`,
  digits: 1,
  better: 'less',
  targets: [{ atMost: 5 }],
});

module.exports = {
  name: 'connect-storm',
  about: `CPU of a process with ${CLIENTS} clients that wait at the full backlog of a server which never accepts.`,
  kind: ['stream', 'seqpacket'],
  implementations: ['afunix', 'net', 'usocket', 'node-unix-socket'],
  limit: false,
  metrics: [metricOf('stream'), metricOf('seqpacket')],
  roles,

  async measure(trial) {
    const measures = {};
    const errors = [];
    for (const kind of trial.kinds) {
      try {
        measures[kind] = await trial.part((part) => storm(part, kind));
      } catch (error) {
        errors.push(`${kind}: ${error.message}`);
      }
    }
    if (errors.length > 0) measures.error = errors.join('; ');
    return measures;
  },
};
