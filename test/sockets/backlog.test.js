'use strict';

// Owns the order in which connections that wait for a server's backlog are made: that of their connect().

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { abstractName } = require('../helpers/tmp.js');
const { delay, until } = require('../helpers/wait.js');

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

    test('go on waiting where another one has no more time', async (t) => {
      const server = new Server().listen(abstractName(), 0).pause();
      server.on('connection', (socket) => cleanUp(t, socket).resume());
      const ends = [];
      const connect = (name, connectTimeout) => {
        const client = cleanUp(t, new Socket({ connectTimeout }));
        client.on('error', ({ code }) => ends.push(`${name} ${code}`));
        client.on('connect', () => ends.push(`${name} connected`));
        return client.connect(server.address()).resume();
      };
      connect('first', 60_000);
      await until(() => ends.length === 1, 'a full backlog');
      connect('hasty', 50);
      const patient = connect('patient', 60_000);
      connect('as hasty', 100);
      await until(() => ends.length === 3, 'the end of their time');
      // Nor is the one whose time has passed tried again.
      await delay(100);
      server.resume();
      await until(() => ends.length === 4, 'the other one');
      const inVain = ['hasty ETIMEDOUT', 'as hasty ETIMEDOUT'];
      assert.deepEqual(ends, ['first connected', ...inVain, 'patient connected']);
      patient.destroy();
      server.close();
    });
  });
}
