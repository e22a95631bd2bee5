'use strict';

/**
 * What a connection costs a server: the CPU of the process for one that is accepted, read to its end and closed. The
 * client is the same C program for every server: it opens 16, closes them, and does not wait for the server.
 */

const { Count, costOf } = require('../lib/marks');

const AT_ONCE = 16;
/** V8 compiles meanwhile, and what is kept for later connections is made. */
const WARM_UP = 24_000;
/** For a server that is slow to warm up. */
const PATIENCE = 30;

const roles = {
  serve(adapter, { params, ready, finish }) {
    const { path, kind, warmUp, duration } = params;
    const count = new Count(warmUp);
    const ignore = () => {};

    function onClose() {
      count.add();
      if (count.hasLasted(duration)) finish(count.result());
    }

    function onConnection(socket) {
      socket.on('error', ignore);
      socket.on('close', onClose);
      adapter[kind].read(socket, ignore);
    }

    adapter[kind].listen(path, onConnection, ready);
  },
};

/** CPU a connection of one kind. */
async function costOfKind(trial, kind) {
  const path = trial.path('server');
  const { duration } = trial;
  const server = trial.start('serve', { path, kind, warmUp: WARM_UP, duration });
  await server.ready;
  trial.startLimit('connection-cost', 'connect', {
    path,
    kind,
    atOnce: AT_ONCE,
    duration: duration + PATIENCE,
  });
  return server.result;
}

const metricOf = (kind, targets) => ({
  key: `${kind}.cpu`,
  label: `${kind}, µs a connection`,
  digits: 1,
  better: 'less',
  targets,
});

module.exports = {
  name: 'connection-cost',
  about: `CPU of a server for a connection that is accepted, read to its end and closed; the client is a C program, ${AT_ONCE} at a time.`,
  kind: ['stream', 'seqpacket'],
  implementations: ['afunix', 'bare', 'net', 'node-unix-socket'],
  metrics: [
    metricOf('stream', [{ to: 'net', atMost: 0.5, aim: 0.3 }]),
    metricOf('seqpacket', [{ to: 'node-unix-socket', atMost: 0.6, aim: 0.4 }]),
  ],
  costs: ['stream', 'seqpacket'],
  per: 'a connection',
  patience: PATIENCE,
  roles,

  async measure(trial) {
    const measures = {};
    const errors = [];
    for (const kind of trial.kinds) {
      try {
        const measured = await trial.part((part) => costOfKind(part, kind));
        Object.assign(measures, costOf(kind, measured));
      } catch (error) {
        errors.push(`${kind}: ${error.message}`);
      }
    }
    if (errors.length > 0) measures.error = errors.join('; ');
    return measures;
  },
};
