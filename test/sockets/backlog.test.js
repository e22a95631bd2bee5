'use strict';

// Owns the order in which connections that wait for a server's backlog are made: that of their connect().

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

for (const [Server, Socket] of [
  [UServer, USocket],
  [SeqpacketServer, SeqpacketSocket],
]) {
  describe(`those that wait for the backlog of a ${Server.name}`, onLinux(), () => {
    test('are connected in the order of their connect()', async (t) => {
      const server = new Server().listen(abstractName(), 0).pause();
      const accepted = [];
      server.on('connection', (socket) => {
        accepted.push(socket);
        cleanUp(t, socket).resume();
      });
      const order = [];
      const clients = Array.from({ length: 12 }, (_, number) => {
        const client = cleanUp(t, new Socket());
        client.once('connect', () => order.push(number));
        return client.connect(server.address()).resume();
      });
      await until(() => order.length > 0, 'the first connection');
      assert.ok(clients.at(-1).connecting);
      server.resume();
      await until(() => order.length === clients.length, 'all connections');
      assert.deepEqual(order, [...clients.keys()]);
      server.close();
      for (const client of clients) client.end();
      for (const client of clients) await closing(client);
    });
  });
}
