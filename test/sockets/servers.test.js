'use strict';

// Owns what both servers have alike: when they accept, who is dropped, how they close, and the files they make.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const { beforeEach, describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket, dup } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet, untilConnections } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

// What the test before destroyed is closed when descriptors are counted.
beforeEach(() => quiet(20));

const permissions = (path) => fs.statSync(path).mode & 0o7777;

for (const [name, Server, Socket] of [
  ['UServer', UServer, USocket],
  ['SeqpacketServer', SeqpacketServer, SeqpacketSocket],
]) {
  const start = (t, options, to = abstractName()) => {
    const server = new Server(options);
    t.after(() => server.close());
    return server.listen(to);
  };
  const connect = (t, server) => cleanUp(t, new Socket()).connect(server.address());
  const take = (t, server) => server.on('connection', (socket) => cleanUp(t, socket));

  describe(name, onLinux(), () => {
    test('is disposed of when its last connection has ended, also behind close()', async (t) => {
      const server = take(t, start(t));
      const client = connect(t, server);
      await nextEvent(server, 'connection');
      server.close();
      const events = eventsOf(server, ['close']);
      const disposed = server[Symbol.asyncDispose]().then(() => events.push('disposed'));
      await quiet();
      assert.deepEqual(events, []);
      client.destroy();
      await within(disposed, 'the end of the server');
      assert.deepEqual(events, ['close undefined', 'disposed']);
    });

    test("a server that `allow` closes has no 'connection' any more", async (t) => {
      const events = [];
      const server = start(t, {
        allow() {
          server.close();
          return true;
        },
      });
      for (const event of ['connection', 'drop', 'error', 'close']) {
        server.on(event, () => events.push(event));
      }
      const client = connect(t, server);
      client.on('error', () => {});
      await closing(client.resume());
      await quiet();
      assert.deepEqual(events, ['close']);
    });

    describe('accepts', () => {
      test("from the first 'connection' listener on; before, connections wait", async (t) => {
        const server = start(t);
        const clients = [connect(t, server), connect(t, server)];
        for (const client of clients) client.end('early');
        await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
        await quiet(20);
        await untilConnections(server, 0);
        const seen = [];
        server.on('connection', (socket) => {
          cleanUp(t, socket).on('data', (data) => seen.push(String(data)));
        });
        for (const client of clients) await closing(client.resume());
        assert.deepEqual(seen, ['early', 'early']);
      });

      for (const method of ['once', 'addListener', 'prependListener', 'prependOnceListener']) {
        test(`from ${method}() on`, async (t) => {
          const server = start(t);
          const client = connect(t, server);
          await nextEvent(client, 'connect');
          await quiet();
          const accepting = new Promise((done) => server[method]('connection', done));
          cleanUp(t, await within(accepting, "'connection'"));
        });
      }

      test('from the loop on, and not more than it asks for', async (t) => {
        const server = start(t);
        const clients = Array.from({ length: 3 }, () => connect(t, server));
        await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
        let count = 0;
        for await (const socket of server) {
          cleanUp(t, socket);
          count++;
          await quiet(10);
          await untilConnections(server, count);
          if (count === clients.length) break;
        }
        assert.equal(server.listening, true);
      });

      test('for an iterator of its own, which is a loop as well', async (t) => {
        const server = start(t);
        const clients = Array.from({ length: 2 }, () => connect(t, server));
        for await (const socket of server[Symbol.asyncIterator]()) {
          cleanUp(t, socket);
          clients.pop();
          if (clients.length === 0) break;
        }
        assert.equal(clients.length, 0);
      });

      test('nobody for a loop over what does not listen: that ends at once', async (t) => {
        const server = start(t);
        const iterator = server[Symbol.asyncIterator]();
        server.close();
        await closing(server);
        const later = [server, new Server()].map((each) => each[Symbol.asyncIterator]());
        for (const each of [iterator, ...later]) {
          const next = await within(each.next(), 'the end');
          assert.deepEqual(next, { value: undefined, done: true });
        }
        assert.equal(server.listenerCount('connection'), 0);
      });

      for (const way of ['break', 'throw']) {
        test(`no more after a loop is left by ${way}: nobody is orphaned`, async (t) => {
          const server = start(t);
          const clients = Array.from({ length: 5 }, () => connect(t, server));
          const closings = clients.map((client) => closing(client.on('error', () => {}).resume()));
          const loop = async () => {
            for await (const socket of server) {
              // Others come meanwhile.
              await quiet(10);
              socket.destroy();
              if (way === 'throw') throw new Error('on purpose');
              break;
            }
          };
          if (way === 'throw') await assert.rejects(loop(), /on purpose/);
          else await loop();
          await quiet(10);
          assert.equal(server.listenerCount('connection'), 0);
          await untilConnections(server, 0);
          // Who was not asked for waits, for the next loop too.
          for await (const socket of server) {
            socket.destroy();
            break;
          }
          await untilConnections(server, 0);
          const over = nextEvent(server, 'close');
          server.close();
          await over;
          await within(Promise.all(closings), 'all clients to be turned away');
        });
      }
    });

    describe('drops', () => {
      test("what is beyond maxConnections: 'drop' with who and why", async (t) => {
        const server = take(t, start(t));
        server.maxConnections = 1;
        const first = connect(t, server);
        await nextEvent(server, 'connection');
        const dropping = nextEvent(server, 'drop');
        const second = connect(t, server);
        const [{ peer, reason }] = await dropping;
        assert.equal(reason, 'maxConnections');
        const { pid, getuid, getgid } = process;
        assert.deepEqual(peer, { pid, uid: getuid(), gid: getgid() });
        await closing(second.on('error', () => {}).resume());
        assert.equal(first.destroyed, false);
        // One that is destroyed counts no more, at once.
        first.destroy();
        await untilConnections(server, 0);
      });

      test('what allow refuses', async (t) => {
        const server = take(t, start(t, { allow: () => Promise.resolve(true) }));
        server.on('connection', () => assert.fail('accepted'));
        const dropping = nextEvent(server, 'drop');
        const client = connect(t, server);
        const [{ peer, reason }] = await dropping;
        assert.deepEqual([peer.pid, reason], [process.pid, 'allow']);
        await closing(client.on('error', () => {}).resume());
      });

      test("what allow throws for: 'warning' first", async (t) => {
        const failure = new Error('on purpose');
        const allow = () => {
          throw failure;
        };
        const server = take(t, start(t, { allow }));
        const order = [];
        server.on('warning', (error) => order.push(error));
        server.on('drop', ({ reason }) => order.push(reason));
        await closing(
          connect(t, server)
            .on('error', () => {})
            .resume(),
        );
        assert.deepEqual(order, [failure, 'allow']);
      });
    });

    describe('closes', () => {
      test('in a handler of its own: who else has the socket serves those that wait', async (t) => {
        const first = start(t);
        const other = start(t, {}, { fd: dup(first.fd) }).pause();
        const last = start(t, {}, { fd: dup(first.fd) });
        // The one that made the socket is no longer of it: only such as got it from somebody share it.
        first.close();
        const served = [];
        const answer = (who) => (socket) => {
          served.push(who);
          cleanUp(t, socket).end();
        };
        last.on('connection', answer('last')).on('connection', () => last.close());
        other.on('connection', answer('other'));
        const clients = Array.from({ length: 8 }, () => connect(t, other).resume());
        await closing(last);
        other.resume();
        await Promise.all(clients.map(closing));
        assert.deepEqual(served, ['last', ...Array(7).fill('other')]);
      });

      test('in a handler: no other is handed over, and the clients of those that wait end', async (t) => {
        const before = countFds();
        const server = start(t);
        let handed = 0;
        server.on('connection', (socket) => {
          cleanUp(t, socket).resume();
          if (++handed === 2) server.close();
        });
        const clients = Array.from({ length: 6 }, () => connect(t, server).resume());
        const ends = clients.map((client) => eventsOf(client, ['end', 'error', 'close']));
        await Promise.all(clients.slice(2).map(closing));
        assert.equal(handed, 2);
        for (const events of ends.slice(2)) {
          // Accepted with the first, or not yet accepted: then it is a reset.
          assert.match(events.join(), /^(end,close false|error ECONNRESET,close true)$/);
        }
        assert.deepEqual(ends.slice(0, 2), [[], []]);
        for (const client of clients.slice(0, 2)) client.destroy();
        await closing(server);
        await assertNoLeak(before);
      });

      test('behind a handler that no longer listens: those that wait end, too', async (t) => {
        const before = countFds();
        const server = start(t);
        const sockets = [];
        const take = (socket) => sockets.push(cleanUp(t, socket).resume());
        server.on('connection', take).once('connection', () => server.off('connection', take));
        const clients = Array.from({ length: 4 }, () => connect(t, server).resume());
        await nextEvent(clients[3], 'connect');
        await quiet();
        assert.equal(sockets.length, 1);
        server.close();
        await Promise.all(clients.slice(1).map((client) => closing(client.on('error', () => {}))));
        assert.deepEqual([sockets.length, sockets[0].destroyed], [1, false]);
        clients[0].destroy();
        await closing(server);
        await assertNoLeak(before);
      });

      test('no more for who listens no longer; whoever listens next gets those that wait', async (t) => {
        const server = start(t);
        const served = [];
        const take = (socket) => served.push(cleanUp(t, socket).resume());
        server.on('connection', take).once('connection', () => server.off('connection', take));
        const clients = Array.from({ length: 5 }, () => connect(t, server).resume());
        const ends = clients.map((client) => eventsOf(client, ['end', 'error', 'close']));
        await nextEvent(clients[4], 'connect');
        await quiet();
        assert.equal(served.length, 1);
        server.on('connection', take);
        await until(() => served.length === 5, 'the others');
        assert.deepEqual(ends, [[], [], [], [], []]);
      });

      test("each time with 'close'; the callback comes with it", async (t) => {
        const server = start(t);
        const order = [];
        server.on('close', () => order.push('close'));
        server.close((error) => order.push(error));
        await quiet();
        server.close((error) => order.push(error.code));
        assert.deepEqual(order, ['close', undefined]);
        await quiet();
        assert.deepEqual(order, ['close', undefined, 'close', 'ERR_SERVER_NOT_RUNNING']);
      });

      test("with { drain: true } and nobody who listens: that is said, and 'close' follows", async (t) => {
        const server = new Server();
        const order = [];
        server.on('close', () => order.push('close'));
        server.close({ drain: true }, (error) => order.push(error.code));
        await quiet();
        assert.deepEqual(order, ['close', 'ERR_SERVER_NOT_RUNNING']);
        const client = connect(
          t,
          start(t).on('connection', (socket) => cleanUp(t, socket)),
        );
        await nextEvent(client, 'connect');
      });

      test('getConnections() counts down within destroy()', async (t) => {
        const server = start(t);
        const client = connect(t, server);
        const [socket] = await once(server, 'connection');
        socket.destroy();
        const counted = new Promise((done) =>
          server.getConnections((_error, count) => done(count)),
        );
        assert.equal(await within(counted, 'the count'), 0);
        await closing(client.on('error', () => {}).resume());
      });

      test(`address() of one that is closed: ${name === 'UServer' ? 'the last' : 'null'}`, (t) => {
        const server = new Server();
        assert.equal(server.address(), null);
        const path = temporaryPath(t);
        server.listen(path).close();
        assert.equal(server.address(), name === 'UServer' ? path : null);
      });

      test('by a signal given to listen()', async (t) => {
        const path = temporaryPath(t);
        const controller = new AbortController();
        const server = new Server();
        server.listen({ path, signal: controller.signal });
        await nextEvent(server, 'listening');
        const ending = nextEvent(server, 'close');
        controller.abort();
        await ending;
        assert.deepEqual([server.listening, fs.existsSync(path)], [false, false]);
        const events = eventsOf(server, ['listening', 'error', 'close']);
        server.listen({ path, signal: controller.signal });
        assert.deepEqual([server.listening, fs.existsSync(path)], [false, false]);
        await nextEvent(server, 'close');
        await quiet();
        assert.deepEqual([events, fs.existsSync(path)], [['close undefined'], false]);
        assert.throws(() => server.listen({ path, signal: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
      });
    });

    describe('makes files', () => {
      test('as mode, readableAll and writableAll say', (t) => {
        const umask = process.umask(0o077);
        t.after(() => process.umask(umask));
        for (const [options, expected] of [
          [{}, 0o700],
          [{ readableAll: true }, 0o744],
          [{ writableAll: true }, 0o722],
          [{ readableAll: true, writableAll: true }, 0o766],
          [{ readableAll: false, writableAll: false }, 0o700],
          [{ mode: 0o600 }, 0o600],
          [{ mode: 0o600, readableAll: true }, 0o644],
          [{ mode: 0o600, writableAll: true }, 0o622],
        ]) {
          const path = temporaryPath(t);
          const server = new Server().listen({ path, ...options });
          assert.equal(permissions(path), expected, JSON.stringify(options));
          server.close();
        }
      });

      test('and refuses permissions of what has none', () => {
        const server = new Server();
        for (const option of ['readableAll', 'writableAll']) {
          for (const path of [undefined, abstractName()]) {
            assert.throws(() => server.listen({ path, [option]: true }), {
              code: 'ERR_INVALID_ARG_VALUE',
            });
          }
          for (const path of ['/x', abstractName()]) {
            assert.throws(() => server.listen({ path, [option]: 1 }), {
              code: 'ERR_INVALID_ARG_TYPE',
            });
          }
        }
        for (const option of ['mode', 'uid', 'gid']) {
          for (const path of [undefined, abstractName()]) {
            assert.throws(() => server.listen({ path, [option]: 0 }), {
              code: 'ERR_INVALID_ARG_VALUE',
              message: new RegExp(`'options.${option}' needs a path`),
            });
          }
        }
        assert.equal(server.listening, false);
      });

      test('for whom uid and gid say', (t) => {
        const path = temporaryPath(t);
        const isRoot = process.getuid() === 0;
        const [uid, gid] = isRoot ? [12_345, 23_456] : [process.getuid(), process.getgid()];
        const server = new Server().listen({ path, uid, gid });
        const found = fs.statSync(path);
        assert.deepEqual([found.uid, found.gid], [uid, gid]);
        server.close();
        for (const name of ['uid', 'gid']) {
          assert.throws(() => server.listen({ path, [name]: -1 }), { code: 'ERR_OUT_OF_RANGE' });
          assert.throws(() => server.listen({ path, [name]: 'x' }), {
            code: 'ERR_INVALID_ARG_TYPE',
          });
        }
      });

      test('and leaves them with unlinkOnClose: false', async (t) => {
        const path = temporaryPath(t);
        const before = countFds();
        const server = new Server().listen({ path, unlinkOnClose: false });
        server.close();
        await nextEvent(server, 'close');
        assert.ok(fs.existsSync(path));
        // It is dead: the next server replaces it.
        const next = new Server().listen({ path, unlinkOnClose: true });
        next.close();
        await nextEvent(next, 'close');
        assert.equal(fs.existsSync(path), false);
        await assertNoLeak(before);
      });
    });
  });
}
