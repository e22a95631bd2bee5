'use strict';

// Owns what the collector may take: servers, their connections, and iterators. DgramSockets are in
// lifecycle.test.js, every state of every class is in torture/cases/garbage.js. Everything runs in
// processes of its own.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const WITH_GC = { flags: ['--expose-gc', '--max-semi-space-size=1'] };

describe('the collector', onLinux({}), () => {
  for (const [Server, Socket] of [
    ['SeqpacketServer', 'SeqpacketSocket'],
    ['UServer', 'USocket'],
  ]) {
    test(`leaves a ${Server} alone that was paused before it listened`, async (t) => {
      const result = await runScript(
        t,
        async (afunix, server, socket, name) => {
          const listen = () => {
            const made = new afunix[server]().pause().listen(name);
            return new WeakRef(made);
          };
          const reference = listen();
          for (let turns = 0; turns < 30; turns++) {
            await new Promise((resolve) => setTimeout(resolve, 1));
            global.gc();
          }
          const isAlive = reference.deref() !== undefined;
          const client = new afunix[socket]();
          client.on('error', () => {}).connect(name);
          const accepted = new Promise((resolve) => {
            if (isAlive) reference.deref().on('connection', () => resolve(true));
            else resolve(false);
          });
          reference.deref()?.resume();
          console.log(JSON.stringify({ isAlive, accepted: await accepted }));
          process.exit();
        },
        [Server, Socket, temporaryPath(t)],
        WITH_GC,
      );
      assert.deepEqual(result, { isAlive: true, accepted: true });
    });

    test(`takes a ${Server} that was closed by its listener for connections`, async (t) => {
      const result = await runScript(
        t,
        async (afunix, server, socket, name) => {
          const { once } = require('node:events');
          const serveOne = async (number) => {
            const made = new afunix[server]((peer) => {
              peer.destroy();
              made.close();
            }).listen(`${name}${number}`);
            new afunix[socket]().on('error', () => {}).connect(`${name}${number}`);
            await once(made, 'close');
            return new WeakRef(made);
          };
          const references = [];
          for (let number = 0; number < 10; number++) references.push(await serveOne(number));
          const alive = () => references.filter((reference) => reference.deref()).length;
          for (let turns = 0; turns < 300 && alive() > 0; turns++) {
            await new Promise((resolve) => setTimeout(resolve, 1));
            global.gc();
          }
          console.log(alive());
        },
        [Server, Socket, temporaryPath(t)],
        WITH_GC,
      );
      assert.equal(result, 0);
    });

    test(`leaves a closed ${Server} alone whose 'close' is to come`, async (t) => {
      const result = await runScript(
        t,
        async (afunix, server, socket, name) => {
          const { once } = require('node:events');
          const client = new afunix[socket]();
          let closed = 0;
          const serve = async () => {
            const made = new afunix[server]((peer) => peer.resume()).listen(name);
            client.resume().connect(name);
            await once(made, 'connection');
            made.close(() => closed++);
          };
          await serve();
          for (let turns = 0; turns < 30; turns++) {
            await new Promise((resolve) => setTimeout(resolve, 1));
            global.gc();
          }
          const early = closed;
          client.destroy();
          for (let turns = 0; turns < 300 && closed === 0; turns++) {
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
          console.log(JSON.stringify({ early, closed }));
        },
        [Server, Socket, temporaryPath(t)],
        WITH_GC,
      );
      assert.deepEqual(result, { early: 0, closed: 1 });
    });
  }
});
