'use strict';

/**
 * Requests a second of one and the same node:http server: listening itself (`net`), and given the connections of another
 * server, or plain Duplexes over net (`net-duplex`, see http-body). The client is the same C program for all: keep-alive
 * connections with one request at a time on each, which checks that the answer is to its request. Server and client each
 * have a processor of their own, so that the server is what is measured.
 *
 * The C loop has no part in this: a C program that answers HTTP is no limit for one in JavaScript.
 */

const http = require('node:http');
const { Count, costOf } = require('../lib/marks');

const CONNECTIONS = 16;
const WARM_UP = 10_000;

const roles = {
  serve({ stream }, { params, ready, onStop }) {
    const count = new Count(params.warmUp);
    onStop(() => count.result());
    const server = http.createServer((request, response) => {
      const n = Number(request.url.slice(1));
      const body = JSON.stringify({ n, text: 'hello' });
      const length = Buffer.byteLength(body);
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': length });
      response.end(body);
      count.add();
    });
    stream.serve(params.path, server, ready);
  },
};

/** @param {number} warmUp requests before the clock starts */
async function measure(trial, warmUp) {
  const path = trial.path('server');
  const { duration } = trial;
  const server = trial.start('serve', { path, warmUp }, { pin: true });
  await server.ready;
  const params = { path, connections: CONNECTIONS, warmUp, duration };
  const client = trial.startLimit(trial.caseName, 'load', params, { pin: 'apart' });
  const { rate } = await client.result;
  server.stop();
  return { rate, ...costOf('serve', await server.result) };
}

module.exports = {
  name: 'http',
  about: `Requests a second of a node:http server, ${CONNECTIONS} keep-alive connections of a C client, server and client pinned to a processor each.`,
  kind: 'stream',
  implementations: ['afunix', 'serve', 'net', 'net-duplex'],
  limit: false,
  pinned: true,
  metrics: [
    {
      key: 'rate',
      label: 'requests/s',
      better: 'more',
      targets: [
        { to: 'net-duplex', atLeast: 1 },
        { to: 'net', atLeast: 1.05, aim: 1.2 },
      ],
    },
  ],
  costs: ['serve'],
  per: 'a request',
  roles,
  measureRequests: measure,
  measure: (trial) => measure(trial, WARM_UP),
};
