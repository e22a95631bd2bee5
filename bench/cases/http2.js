'use strict';

/**
 * http2 without TLS over one connection: requests a second with 16 of them at a time, and bodies of 100 MiB up and down.
 * Node reads and writes the descriptor of a net.Socket itself; any other stream it asks for its bytes. `net-duplex` shows
 * what that costs: a plain Duplex over net. Server and client are of the implementation under test, and each has a
 * processor of its own.
 */

const http2 = require('node:http2');
const { CHUNKS, MIB, bodyHandler, checkSize, sizeOf, writeBody } = require('../lib/bodies');
const { Count, between, costOf, mark } = require('../lib/marks');

const AT_ONCE = 16;
const WARM_UP = 2000;
const WINDOW = 1024 * 1024;

/** Flow control is not what is measured. */
const SETTINGS = { initialWindowSize: WINDOW };

const connect = (stream, path) =>
  http2.connect('http://localhost', {
    createConnection: () => stream.connect(path),
    settings: SETTINGS,
  });

const roles = {
  serve({ stream }, { params, ready, onStop }) {
    const { path, bodies, warmUp } = params;
    const count = new Count(warmUp);
    onStop(() => count.result());
    const answer = (_request, response) => {
      response.end('hello');
      count.add();
    };
    // The size of bodies is the client's to check.
    const handler = bodies ? bodyHandler(() => {}) : answer;
    const server = http2.createServer({ settings: SETTINGS }, handler);
    server.on('session', (session) => session.setLocalWindowSize(WINDOW));
    stream.serve(path, server, ready);
  },

  request({ stream }, { params, finish }) {
    const { path, atOnce, warmUp, duration } = params;
    const session = connect(stream, path);
    const count = new Count(warmUp);

    async function ask() {
      const request = session.request({ ':path': '/' });
      if ((await sizeOf(request)) !== 'hello'.length) throw new Error('wrong answer');
      count.add();
      if (count.hasLasted(duration)) finish(count.result());
      ask();
    }

    for (let i = 0; i < atOnce; i++) ask();
  },

  async move({ stream }, { params, finish }) {
    const { path, direction, duration } = params;
    const session = connect(stream, path);
    session.once('connect', () => session.setLocalWindowSize(WINDOW));

    async function up() {
      const request = session.request({ ':path': '/', ':method': 'POST' });
      const answered = request.toArray();
      await writeBody(request, CHUNKS);
      checkSize(Number(Buffer.concat(await answered)), CHUNKS);
    }

    async function down() {
      checkSize(await sizeOf(session.request({ ':path': `/${CHUNKS}` })), CHUNKS);
    }

    const once = direction === 'up' ? up : down;
    const begin = mark();
    let bodies = 0;
    do {
      await once();
      bodies++;
    } while (performance.now() - begin.time < duration * 1e3);
    finish(between(begin, mark(), bodies * MIB));
  },
};

async function requests(trial) {
  const path = trial.path('server');
  const { duration } = trial;
  const server = trial.start('serve', { path, warmUp: WARM_UP }, { pin: true });
  await server.ready;
  const params = { path, atOnce: AT_ONCE, warmUp: WARM_UP, duration };
  const { rate } = await trial.start('request', params, { pin: 'apart' }).result;
  server.stop();
  return { requests: rate, ...costOf('serve', await server.result) };
}

async function move(trial, direction) {
  const path = trial.path('server');
  const { duration } = trial;
  await trial.start('serve', { path, bodies: 1 }, { pin: true }).ready;
  const params = { path, direction, duration };
  return (await trial.start('move', params, { pin: 'apart' }).result).rate;
}

const targets = [
  { to: 'net-duplex', atLeast: 1 },
  { to: 'net', atLeast: 0.9 },
];

module.exports = {
  name: 'http2',
  about: `http2 without TLS over one connection: requests a second, ${AT_ONCE} at a time, and bodies of 100 MiB; server and client pinned to a processor each.`,
  kind: 'stream',
  implementations: ['afunix', 'serve', 'net', 'net-duplex'],
  limit: false,
  pinned: true,
  metrics: [
    { key: 'requests', label: 'requests/s', better: 'more', targets },
    { key: 'up', label: 'MiB/s up', better: 'more', targets },
    { key: 'down', label: 'MiB/s down', better: 'more', targets },
  ],
  costs: ['serve'],
  per: 'a request',
  patience: 60,
  roles,

  async measure(trial) {
    const measures = await trial.part(requests);
    measures.up = await trial.part((part) => move(part, 'up'));
    measures.down = await trial.part((part) => move(part, 'down'));
    return measures;
  },
};
