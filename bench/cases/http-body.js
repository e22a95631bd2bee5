'use strict';

/**
 * Bodies of 100 MiB, up to a node:http server and down from it, in Buffers of 64 KiB, for each combination of ends: the
 * server is of the implementation under test, the client is net's once and a USocket once. The connections of a server
 * are half-open, as those of http itself. A trial moves bodies over one connection for its duration, one at least.
 *
 * Server and client each have a processor of their own. The CPU is that of both together.
 *
 * Node's http parses what a net.Socket reads in native code, and asks any other stream for its bytes. `net-duplex` shows
 * what that costs: a plain Duplex over net.
 */

const http = require('node:http');
const { CHUNKS, MIB, bodyHandler, checkSize, sizeOf, writeBody } = require('../lib/bodies');
const { between, costOf, mark } = require('../lib/marks');
const { BEFORE, OURS } = require('../lib/names');

/**
 * Chunks of a first body that is not measured: 400 MiB. With a fourth of one body V8 still compiles the hot functions in
 * the measured time, in threads that take the processor from the one that is pinned there.
 */
const WARM_UP = 6400;

const roles = {
  serve({ stream }, { params, ready, onStop }) {
    let begin = null;
    let moved = 0;
    const handler = bodyHandler((mib) => {
      // The first is the warm-up.
      if (begin === null) begin = mark();
      else moved += mib;
    });
    onStop(() => between(begin, mark(), moved));
    stream.serve(params.path, http.createServer(handler), ready);
  },

  async move({ stream }, { params, finish }) {
    const { path, direction, warmUp, duration } = params;
    const createConnection = () => stream.connect(path);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = createConnection;

    function request(options) {
      const made = http.request({ agent, host: 'localhost', ...options });
      return [made, new Promise((resolve) => made.once('response', resolve))];
    }

    async function up(chunks) {
      const [sent, answered] = request({ method: 'POST', path: '/' });
      sent.setHeader('Content-Length', (chunks / CHUNKS) * MIB * 2 ** 20);
      await writeBody(sent, chunks);
      const parts = await (await answered).toArray();
      checkSize(Number(Buffer.concat(parts)), chunks);
    }

    async function down(chunks) {
      const [sent, answered] = request({ path: `/${chunks}` });
      sent.end();
      checkSize(await sizeOf(await answered), chunks);
    }

    const once = direction === 'up' ? up : down;
    await once(warmUp);
    const begin = mark();
    let bodies = 0;
    do {
      await once(CHUNKS);
      bodies++;
    } while (performance.now() - begin.time < duration * 1e3);
    finish(between(begin, mark(), bodies * MIB));
  },
};

/** One combination: the rate, and the CPU of both ends a MiB. */
async function move(trial, client, direction) {
  const path = trial.path('server');
  const { duration } = trial;
  const server = trial.start('serve', { path }, { pin: true });
  await server.ready;
  const params = { path, direction, warmUp: WARM_UP, duration };
  const moved = await trial.startOf(client, 'move', params, { pin: 'apart' }).result;
  server.stop();
  const served = await server.result;
  const sum = (name) => moved[name] + served[name];
  return { rate: moved.rate, user: sum('user'), system: sum('system') };
}

/** key → the client and where it moves bodies. */
const COMBINATIONS = {
  'up, net client': { client: 'net', direction: 'up' },
  'up, USocket client': { client: OURS, direction: 'up' },
  'down, net client': { client: 'net', direction: 'down' },
  'down, USocket client': { client: OURS, direction: 'down' },
};

module.exports = {
  name: 'http-body',
  about:
    'Bodies of 100 MiB up to a node:http server and down from it, clients of net and USocket; server and client pinned to a processor each.',
  kind: 'stream',
  implementations: ['afunix', 'serve', 'net', 'net-duplex'],
  limit: false,
  pinned: true,
  metrics: Object.keys(COMBINATIONS).map((key) => ({
    key,
    label: `MiB/s ${key}`,
    better: 'more',
    targets: [
      { to: 'net-duplex', atLeast: 1 },
      { to: 'net', atLeast: 0.97, aim: 1.1 },
    ],
  })),
  costs: Object.keys(COMBINATIONS),
  costDigits: 0,
  per: 'a MiB, of both ends',
  patience: 60,
  roles,

  async measure(trial) {
    const measures = {};
    for (const [key, { client, direction }] of Object.entries(COMBINATIONS)) {
      // Another checkout is at both ends where this one is.
      const name = client === OURS && trial.name === BEFORE ? BEFORE : client;
      const moved = await trial.part((part) => move(part, name, direction));
      measures[key] = moved.rate;
      Object.assign(measures, costOf(key, moved));
    }
    return measures;
  },
};
