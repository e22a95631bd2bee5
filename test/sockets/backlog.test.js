'use strict';

// Owns the order in which connections that wait for a server's backlog are made, that of their connect(), and that
// nobody looks for room once none of them waits.

const assert = require('node:assert/strict');
const { createHook } = require('node:async_hooks');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
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

    for (const [how, end] of [
      ['are connected', (client, server) => server.resume()],
      ['are destroyed', (client) => client.destroy()],
      ['have no more time', () => {}],
    ]) {
      test(`are looked for no more once they ${how}`, async (t) => {
        const server = new Server().listen(abstractName(), 0).pause();
        server.on('connection', (socket) => cleanUp(t, socket).resume());
        const [first, second] = [60_000, 30].map((connectTimeout) => {
          const client = cleanUp(t, new Socket({ connectTimeout })).on('error', () => {});
          return client.connect(server.address()).resume();
        });
        await until(() => !first.connecting, 'a full backlog');
        end(second, server);
        await until(() => !second.connecting, 'the end of waiting');
        // What was due at the moment has looked.
        await delay(10);
        let timers = 0;
        const hook = createHook({ init: (id, type) => void (type === 'Timeout' && timers++) });
        hook.enable();
        await delay(50);
        hook.disable();
        // That of delay().
        assert.equal(timers, 1);
        server.close();
      });
    }

    test('keep no process, where one that would has left', async (t) => {
      const result = await runScript(
        t,
        (afunix, server, socket, path) => {
          const listener = new afunix[server]().listen(path, 0).unref().pause();
          listener.on('connection', () => {});
          const connect = () => new afunix[socket]().on('error', () => {}).connect(path);
          const [first, second, third] = [connect().unref(), connect().unref(), connect()];
          setImmediate(() => {
            console.log(JSON.stringify([first, second, third].map((one) => one.connecting)));
            third.destroy();
          });
        },
        [Server.name, Socket.name, temporaryPath(t)],
      );
      assert.deepEqual(result, [false, true, true]);
    });

    for (const how of ['ref() of one', 'another one']) {
      test(`keep the process from ${how} on`, async (t) => {
        const code = await runScript(
          t,
          (afunix, server, socket, path, how) => {
            const listener = new afunix[server]().listen(path, 0).unref().pause();
            listener.on('connection', () => {});
            const connect = () => new afunix[socket]({ connectTimeout: 200 }).connect(path);
            const report = (one) =>
              one.on('error', (error) => console.log(JSON.stringify(error.code)));
            connect().unref();
            const waiting = connect()
              .on('error', () => {})
              .unref();
            // By then the timer keeps nobody.
            setTimeout(() => report(how === 'another one' ? connect() : waiting.ref()), 50);
          },
          [Server.name, Socket.name, temporaryPath(t), how],
        );
        assert.equal(code, 'ETIMEDOUT');
      });
    }

    test('have the time that they were given, to some milliseconds', async (t) => {
      const server = new Server().listen(abstractName(), 0).pause();
      const connect = () =>
        cleanUp(t, new Socket({ connectTimeout: 100 })).connect(server.address());
      const first = connect();
      await until(() => !first.connecting, 'a full backlog');
      // A clock that is read in seconds and the rest of one: both have to count, and the rest starts anew soon.
      while (process.hrtime()[1] > 2e8) await delay(20);
      const start = performance.now();
      const [error] = await nextEvent(connect(), 'error');
      const time = performance.now() - start;
      assert.equal(error.code, 'ETIMEDOUT');
      assert.ok(time > 95 && time < 700, `${time} ms`);
      server.close();
    });

    test('have that time under a clock that stands still, too', async (t) => {
      const server = new Server().listen(abstractName(), 0).pause();
      const connect = () =>
        cleanUp(t, new Socket({ connectTimeout: 50 })).connect(server.address());
      const first = connect();
      await until(() => !first.connecting, 'a full backlog');
      // As fake timers do it.
      t.mock.method(process, 'hrtime', () => [0, 0]);
      const [error] = await nextEvent(connect(), 'error');
      assert.equal(error.code, 'ETIMEDOUT');
      server.close();
    });

    test('are looked for anew where the last one has left before', async (t) => {
      const server = new Server().listen(abstractName(), 0).pause();
      server.on('connection', (socket) => cleanUp(t, socket).resume());
      const connect = () =>
        cleanUp(t, new Socket())
          .on('error', () => {})
          .connect(server.address());
      const first = connect();
      const last = connect();
      await until(() => !first.connecting, 'a full backlog');
      await closing(last.destroy());
      const next = connect();
      await delay(20);
      server.resume();
      await until(() => !next.connecting, 'the connection');
      assert.equal(next.destroyed, false);
      server.close();
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
