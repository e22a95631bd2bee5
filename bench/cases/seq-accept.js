'use strict';

/**
 * Connections that their client closes as soon as it has 16 of them, and that the server accepts,
 * reads to the end and closes; connections per second at the server.
 *
 * First with the same C client for every server: it does not wait for the server, so that the backlog
 * is never empty for long and the server is what holds the figure down. Then with a client of the
 * implementation under test, which has to cope with a full backlog.
 *
 * A last connection brings the number of those before it, so that a missing one shows.
 */

const { between, costOf, mark } = require('../lib/marks');

const AT_ONCE = 16;
const WARM_UP = 5000;

/** @param {'seqpacket' | 'stream'} kind */
const rolesFor = (kind) => ({
  serve({ [kind]: sockets }, { params, ready, finish, onStop }) {
    const { path, warmUp } = params;
    let accepted = 0;
    let first = null;
    let begin = null;

    function result(opened) {
      const [from, since] = accepted > 2 * warmUp ? [warmUp, begin] : [1, first];
      const measured = between(since, mark(), accepted - from);
      return { accepted, missing: opened + 1 - accepted, ...measured };
    }

    onStop(() => ({ accepted }));
    function onConnection(socket) {
      accepted++;
      if (accepted === 1) first = mark();
      if (accepted === warmUp) begin = mark();
      sockets.read(socket, (message) => finish(result(message.readUInt32LE(0))));
    }

    sockets.listen(path, onConnection, ready);
  },

  connect({ [kind]: sockets }, { params, finish }) {
    const { path, atOnce, duration } = params;
    const stop = performance.now() + duration * 1e3;
    let opened = 0;

    function next() {
      if (performance.now() >= stop) return end();
      const open = [];
      let waiting = atOnce;

      function connected() {
        // The callback may come inside of connect().
        if (--waiting === 0) process.nextTick(closeAll);
      }

      function closeAll() {
        opened += atOnce;
        for (const socket of open) sockets.close(socket);
        setImmediate(next);
      }

      for (let i = 0; i < atOnce; i++) open.push(sockets.connect(path, connected));
    }

    function end() {
      const message = Buffer.alloc(4);
      message.writeUInt32LE(opened);
      const socket = sockets.connect(path, () => {
        process.nextTick(() => sockets.write(socket, message, () => finish({ opened })));
      });
    }

    next();
  },
});

/** @param {boolean} own whether the client is of the implementation under test, or the C program */
async function accept(trial, own) {
  const path = trial.path('server');
  const { duration } = trial;
  const server = trial.start('serve', { path, warmUp: WARM_UP });
  await server.ready;
  const params = { path, atOnce: AT_ONCE, duration };
  const client = own
    ? trial.start('connect', params)
    : trial.startLimit(trial.caseName, 'connect', params);
  try {
    return (await Promise.all([server.result, client.result]))[0];
  } catch (error) {
    server.stop();
    const counted = await server.result.catch((failure) => failure);
    if (counted instanceof Error) {
      // A server that died has the reason why its client did.
      throw counted.message.includes('ended early') ? error : counted;
    }
    const figure = counted.accepted.toLocaleString('en-US');
    throw new Error(`stopped after ${figure} connections (${error.message})`, { cause: error });
  }
}

async function measure(trial) {
  const server = await trial.part((part) => accept(part, false));
  const { rate, missing } = server;
  const measures = { server: rate, missing, ...costOf('serve', server) };
  try {
    const both = await trial.part((part) => accept(part, true));
    measures.both = both.rate;
    measures.missing += both.missing;
  } catch (error) {
    measures.error = `own client: ${error.message}`;
  }
  return measures;
}

module.exports = {
  name: 'seq-accept',
  about: `Connect, accept, close: ${AT_ONCE} connections at a time. First with the same C client for every server, so that the server is what is measured; then with the implementation's own client.`,
  kind: 'seqpacket',
  implementations: ['afunix', 'bare', 'node-unix-socket'],
  metrics: [
    {
      key: 'server',
      label: 'connections/s, C client',
      better: 'more',
      targets: [
        { to: 'bare', atLeast: 0.5, aim: 0.8 },
        { to: 'node-unix-socket', atLeast: 1.6, aim: 2.5 },
      ],
    },
    { key: 'both', label: 'connections/s, own client', better: 'more' },
  ],
  costs: ['serve'],
  per: 'a connection, C client',
  faults: { missing: 'missing' },
  roles: rolesFor('seqpacket'),
  rolesFor,
  measure,
};
