'use strict';

// Owns http's Agents, and requests that wait in their queues, where the server is absent or dies: each request has its
// 'error', and nothing is uncaught. The requests' listeners are attached a turn after a socket was made for them.

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const REQUESTS = 6;

const connections = {
  net: (path) => net.connect(path),
  'USocket, connected when it is made': (path) => new USocket(path),
  'USocket, connected afterwards': (path) => new USocket().connect(path),
};

/** Requests to a path, more than the agent has sockets: the code with which each ended. */
async function request(t, path, connect) {
  class Agent extends http.Agent {
    createConnection() {
      return connect(path);
    }
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  t.after(() => agent.destroy());
  const uncaught = [];
  const note = (error) => uncaught.push(error);
  process.on('uncaughtException', note);
  const codes = [];
  for (let count = 0; count < REQUESTS; count++) {
    http
      .get({ agent, path: `/${count}` }, (answer) => codes.push(answer.resume().statusCode))
      .on('error', ({ code }) => codes.push(code));
  }
  try {
    await until(() => codes.length + uncaught.length >= REQUESTS, 'all requests to end');
  } finally {
    process.off('uncaughtException', note);
  }
  assert.deepEqual(uncaught, []);
  return codes;
}

for (const [how, connect] of Object.entries(connections)) {
  describe(`an Agent with a queue, ${how}`, onLinux(), () => {
    test('the server is absent', async (t) => {
      const codes = await request(t, temporaryPath(t), connect);
      assert.deepEqual(codes, Array(REQUESTS).fill('ENOENT'));
    });

    test('the server dies at the first request', async (t) => {
      const path = temporaryPath(t);
      // Each connection: the first dies with its server, and for the others nobody is there.
      const server = net.createServer((socket) => {
        server.close();
        socket.on('error', () => {}).on('data', () => socket.destroy());
      });
      t.after(() => server.close());
      await new Promise((done) => server.listen(path, done));
      const codes = await request(t, path, connect);
      const allowed = new Set(['ECONNRESET', 'ENOENT', 'ECONNREFUSED', 'EPIPE']);
      assert.deepEqual(
        codes.filter((code) => !allowed.has(code)),
        [],
      );
    });
  });
}
