'use strict';

// Owns how HTTP over USocket ends in odd moments, compared with net: a request that is given up while an Agent keeps the
// connection, and an answer that closes while the body still comes.

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const { describe, test } = require('node:test');
const { UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');
const { isNodeBefore } = require('../helpers/versions.js');

assertNoLeaks();

const FAMILIES = { net: [net.Server, net.Socket], afunix: [UServer, USocket] };

/** A web server over a family's sockets. */
async function startWeb(t, [Server], handler) {
  const web = http.createServer(handler);
  const connections = new Set();
  const server = new Server({ allowHalfOpen: true }, (socket) => {
    connections.add(socket.once('close', () => connections.delete(socket)));
    web.emit('connection', socket);
  });
  const path = temporaryPath(t);
  server.listen(path);
  await nextEvent(server, 'listening');
  t.after(() => {
    for (const socket of connections) socket.destroy();
    server.close();
  });
  return path;
}

/** The options of a request that connects with a family's socket. */
const through = ([, Socket], path) => ({ createConnection: () => new Socket().connect(path) });

/** Runs a program with both families, and compares what they saw. */
function compare(name, program, expected) {
  test(name, async (t) => {
    for (const [family, classes] of Object.entries(FAMILIES)) {
      assert.deepEqual(await program(t, classes), expected, family);
    }
  });
}

describe('HTTP', onLinux({}), () => {
  compare(
    'a request that is destroyed with an answer nobody reads: its error, and no uncaught one',
    async (t, classes) => {
      const path = await startWeb(t, classes, (request, response) => response.end('complete'));
      const [, Socket] = classes;
      const agent = new http.Agent({ keepAlive: true });
      agent.createConnection = () => new Socket().connect(path);
      t.after(() => agent.destroy());
      const seen = [];
      const uncaught = (error) => seen.push(`uncaught ${error.message}`);
      process.on('uncaughtException', uncaught);
      const request = http.get({ agent });
      request.on('error', (error) => seen.push(`error ${error.message}`));
      request.on('close', () => seen.push('close'));
      const [response] = await nextEvent(request, 'response');
      response.on('error', (error) => seen.push(`answer ${error.message}`));
      await until(() => response.complete, 'the whole answer');
      request.destroy(new Error('mine'));
      await until(() => seen.includes('close'), "'close'");
      await quiet();
      process.off('uncaughtException', uncaught);
      return seen;
    },
    // From 24 on Node keeps the error of a request whose whole answer is there to itself.
    isNodeBefore('24') ? ['error mine', 'close'] : ['close'],
  );

  compare(
    'an answer with Connection: close while the body comes: all of it, end and close',
    async (t, classes) => {
      const seen = [];
      let length = 0;
      const path = await startWeb(t, classes, (request, response) => {
        request.on('data', (data) => (length += data.length));
        for (const name of ['end', 'aborted', 'error', 'close']) {
          request.on(name, () => seen.push(name));
        }
        response.setHeader('Connection', 'close');
        response.end('read');
      });
      const request = http.request({ ...through(classes, path), method: 'POST' });
      request.on('error', (error) => seen.push(`request ${error.code}`));
      request.end(Buffer.alloc(200_000));
      const [response] = await nextEvent(request, 'response');
      response.resume();
      await until(() => seen.includes('close'), "'close' of the request");
      return [length, ...seen];
    },
    [200_000, 'end', 'close'],
  );
});
