'use strict';

// Owns what onlookers get: diagnostics_channel, and NODE_DEBUG=afunix.

const assert = require('node:assert/strict');
const diagnostics = require('node:diagnostics_channel');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { createSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const CHANNELS = ['bind', 'connect', 'listen', 'connection', 'close'];

/** Collects what is published during a test: `[channel, message]`. */
function listenIn(t) {
  const heard = [];
  for (const name of CHANNELS) {
    const onMessage = (message) => heard.push([name, message]);
    diagnostics.subscribe(`afunix.${name}`, onMessage);
    t.after(() => diagnostics.unsubscribe(`afunix.${name}`, onMessage));
  }
  return heard;
}

describe('diagnostics_channel', onLinux({}), () => {
  for (const [Server, Socket] of [
    [UServer, USocket],
    [SeqpacketServer, SeqpacketSocket],
  ]) {
    test(`reports the life of a ${Server.name} and its connections`, async (t) => {
      const heard = listenIn(t);
      const path = temporaryPath(t);
      const server = new Server();
      server.listen(path);
      assert.deepEqual(heard.shift(), ['listen', { server, path }]);
      const client = new Socket();
      client.connect(path);
      assert.equal(heard.length, 0);
      // Which side is first is the kernel's affair; each channel comes before its event.
      const channels = () => heard.map(([name]) => name);
      client.prependOnceListener('connect', () => assert.ok(channels().includes('connect')));
      server.prependOnceListener('connection', () => assert.ok(channels().includes('connection')));
      const [[socket]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
      heard.sort(([one], [two]) => one.length - two.length);
      assert.deepEqual(heard.splice(0), [
        ['connect', { socket: client, path }],
        ['connection', { server, socket }],
      ]);
      const failure = new Error('on purpose');
      client.on('error', () => {}).destroy(failure);
      assert.deepEqual(heard.shift(), ['close', { socket: client, error: failure }]);
      await once(socket.resume(), 'close');
      assert.deepEqual(heard.shift(), ['close', { socket, error: undefined }]);
      server.close();
      assert.deepEqual(heard, [['close', { socket: server, error: undefined }]]);
    });
  }

  test('reports the life of datagram sockets', (t) => {
    const heard = listenIn(t);
    for (const socket of [new DgramSocket(), createSocket('unix_dgram')]) {
      const path = temporaryPath(t);
      socket.bind(path);
      socket.close();
      socket.close();
      assert.deepEqual(heard.splice(0), [
        ['bind', { socket, path }],
        ['close', { socket, error: undefined }],
      ]);
    }
  });
});

test('NODE_DEBUG=afunix prints lines with descriptors', async (t) => {
  const script = startScript(
    t,
    ({ UServer, USocket }, path) => {
      const server = new UServer((socket) => socket.destroy());
      server.listen(path, () => {
        new USocket(path).resume().on('close', () => server.close());
      });
    },
    [temporaryPath(t)],
    { env: { ...process.env, NODE_DEBUG: 'afunix' } },
  );
  const { code, stderr } = await script.ended();
  assert.equal(code, 0);
  for (const pattern of [
    /fd \d+ listens at "/,
    /fd \d+ connected to "/,
    /fd \d+ accepted as fd \d+/,
  ]) {
    assert.match(stderr, pattern);
  }
  assert.equal(stderr.match(/fd \d+ closes/g).length, 3);
});
