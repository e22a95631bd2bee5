'use strict';

// Owns close({ drain: true }) of servers: the file goes first, and whoever waits in the backlog is served.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

for (const [Server, Socket] of [
  [UServer, USocket],
  [SeqpacketServer, SeqpacketSocket],
]) {
  describe(`close({ drain: true }) of a ${Server.name}`, onLinux(), () => {
    test('serves who waits in the backlog, and its name is free at once', async (t) => {
      const path = temporaryPath(t);
      const server = new Server().listen(path);
      server.pause();
      let served = 0;
      server.on('connection', (socket) => {
        served++;
        cleanUp(t, socket).end('served');
      });
      const clients = Array.from({ length: 20 }, () => cleanUp(t, new Socket()).connect(path));
      const answers = clients.map((client) => nextEvent(client, 'data'));
      await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
      assert.equal(served, 0);
      const ended = nextEvent(server, 'close');
      server.close({ drain: true });
      assert.equal(fs.existsSync(path), false);
      const next = new Server().listen(path);
      t.after(() => next.close());
      for (const [data] of await Promise.all(answers)) assert.equal(String(data), 'served');
      for (const client of clients) client.destroy();
      await ended;
      // Not the successor's file.
      assert.equal(fs.existsSync(path), true);
    });

    for (const [how, makeServer] of [
      ['an abstract name', (...args) => new Server(...args).listen(abstractName(), 5)],
      [
        'a socket that others have',
        (...args) => {
          const { fd } = new Server().listen(abstractName()).detach();
          return new Server(...args).listen({ fd });
        },
      ],
    ]) {
      test(`ends, though others come to ${how} without a pause`, async (t) => {
        let count = 0;
        const come = () => {
          count++;
          const client = new Socket().on('error', () => {}).connect(server.address());
          client.resume();
        };
        const server = makeServer((socket) => {
          socket.on('error', () => {}).destroy();
          come();
        });
        t.after(() => server.close());
        for (let number = 0; number < 4; number++) come();
        await nextEvent(server, 'connection');
        const before = count;
        server.close({ drain: true });
        await nextEvent(server, 'close');
        assert.ok(count - before < 10_000, `${count - before} more`);
      });
    }

    test('serves more than are accepted in a few turns of the event loop', async (t) => {
      const path = temporaryPath(t);
      const server = new Server().listen(path).pause();
      t.after(() => server.close());
      let served = 0;
      server.on('connection', (socket) => {
        served++;
        socket.on('error', () => {}).destroy();
      });
      const type = Server === UServer ? posix.SOCK_STREAM : posix.SOCK_SEQPACKET;
      const clients = Array.from({ length: 400 }, () => posix.socket(posix.AF_UNIX, type, 0));
      for (const fd of clients) posix.connect(fd, path);
      const ended = nextEvent(server, 'close');
      server.close({ drain: true });
      await ended;
      for (const fd of clients) posix.close(fd);
      assert.equal(served, clients.length);
    });

    test('serves who waits, once there are descriptors again', async (t) => {
      const served = await runScript(
        t,
        (afunix, serverName, socketName, path) => {
          const fs = require('node:fs');
          const server = new afunix[serverName]().listen(path).pause();
          const codes = [];
          server.on('warning', ({ code }) => codes.push(code));
          let count = 0;
          server.on('connection', (socket) => {
            count++;
            socket.on('error', () => {}).end('served');
          });
          const clients = Array.from({ length: 10 }, () => new afunix[socketName]().connect(path));
          const texts = [];
          for (const client of clients) {
            client.on('data', (data) => texts.push(String(data)));
            client.on('error', ({ code }) => texts.push(code));
          }
          const files = [];
          setTimeout(() => {
            try {
              for (;;) files.push(fs.openSync('/dev/null'));
            } catch {
              server.close({ drain: true });
            }
          }, 50);
          setTimeout(() => files.forEach((fd) => fs.closeSync(fd)), 200);
          server.on('close', () => {
            setTimeout(() => console.log(JSON.stringify([codes, count, texts.join()])), 50);
          });
        },
        [Server.name, Socket.name, temporaryPath(t)],
        { openFiles: 100 },
      );
      assert.deepEqual(served, [['EMFILE'], 10, Array(10).fill('served').join()]);
    });

    test('twice is once, and a file that another has put there stays', async (t) => {
      const path = temporaryPath(t);
      const server = new Server().listen(path);
      await nextEvent(server, 'listening');
      fs.renameSync(path, `${path}.old`);
      fs.writeFileSync(path, 'not ours');
      const ended = nextEvent(server, 'close');
      server.close({ drain: true }).close({ drain: true });
      await ended;
      assert.equal(fs.readFileSync(path, 'utf8'), 'not ours');
    });
  });
}
