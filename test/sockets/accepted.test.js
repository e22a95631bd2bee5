'use strict';

// Owns the life of connections that a server accepted and nobody refers to: they are open until they are
// closed, whatever they wait for, and gone after that. Everything runs in processes of its own.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { runScript } = require('../helpers/node.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const WITH_GC = { flags: ['--expose-gc', '--max-semi-space-size=1'] };

/** Forgets accepted connections that do not read; says what the collector did, and closes all. */
async function keepForgotten(afunix, serverName, socketName, path, options) {
  const { once } = require('node:events');
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  const references = [];
  let ends = 0;
  const server = new afunix[serverName](options).listen(path);
  server.on('connection', (socket) => {
    references.push(new WeakRef(socket));
    socket.on('error', () => {});
    if (options.allowHalfOpen) socket.on('end', () => ends++).resume();
  });
  const clients = Array.from({ length: 5 }, () => new afunix[socketName]().connect(path));
  let closedBefore = 0;
  for (const client of clients) {
    client.on('error', () => {}).on('close', () => closedBefore++);
    client.resume();
    if (options.allowHalfOpen) client.end();
    else for (let count = 0; count < 5; count++) client.write('some words');
  }
  while (references.length < clients.length) await turn();
  while (options.allowHalfOpen && ends < clients.length) await turn();
  for (let turns = 0; turns < 30; turns++) {
    await turn();
    global.gc();
  }
  const count = await new Promise((resolve) => {
    server.getConnections((_error, found) => resolve(found));
  });
  const alive = references.filter((reference) => reference.deref() !== undefined).length;
  const result = { count, alive, closedBefore };
  // A server that closes waits for all of them.
  server.close();
  for (const reference of references) reference.deref()?.destroy();
  const closed = await Promise.race([
    once(server, 'close').then(() => true),
    new Promise((resolve) => setTimeout(resolve, 60_000, false).unref()),
  ]);
  console.log(JSON.stringify({ ...result, closed }));
  process.exit();
}

for (const [Server, Socket] of [
  ['SeqpacketServer', 'SeqpacketSocket'],
  ['UServer', 'USocket'],
]) {
  describe(`connections of a ${Server}`, onLinux(), () => {
    for (const [state, options] of Object.entries({
      'that never read': { pauseOnConnect: true },
      'that read until nobody took it': { readableHighWaterMark: 1 },
      'whose peer has ended': { allowHalfOpen: true },
    })) {
      test(`${state}, without a reference: there, counted, and closed one day`, async (t) => {
        const arguments_ = [Server, Socket, temporaryPath(t), options];
        assert.deepEqual(await runScript(t, keepForgotten, arguments_, WITH_GC), {
          count: 5,
          alive: 5,
          closedBefore: 0,
          closed: true,
        });
      });
    }

    for (const event of ['data', 'end', 'readable']) {
      for (const side of ['accepted', 'connecting']) {
        test(`destroyed in '${event}', ${side}: the collector takes them`, async (t) => {
          const result = await runScript(
            t,
            async (afunix, serverName, socketName, path, name, isAccepted) => {
              const { once } = require('node:events');
              const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
              const references = [];
              const server = new afunix[serverName]().listen(path);
              /** Destroys itself when the event comes. */
              const watch = (socket) => {
                references.push(new WeakRef(socket));
                socket.on('error', () => {});
                socket.once(name, () => socket.destroy());
                if (name === 'end') socket.resume();
              };
              /** The other end. */
              const speak = (socket) => {
                socket.on('error', () => {});
                socket.resume();
                socket.write('x');
                if (name === 'end') socket.end();
              };
              const one = async () => {
                const client = new afunix[socketName]();
                const [serve, connect] = isAccepted ? [watch, speak] : [speak, watch];
                server.once('connection', serve);
                connect(client.connect(path));
                await once(client, 'close');
              };
              for (let count = 0; count < 50; count++) await one();
              const alive = () => references.filter((reference) => reference.deref()).length;
              // The last may still be on a stack or in a feedback cell.
              for (let turns = 0; turns < 300 && alive() > 2; turns++) {
                await turn();
                global.gc();
              }
              const found = alive();
              server.close();
              await once(server, 'close');
              console.log(JSON.stringify({ made: references.length, found }));
            },
            [Server, Socket, temporaryPath(t), event, side === 'accepted'],
            WITH_GC,
          );
          assert.equal(result.made, 50);
          assert.ok(result.found <= 2, `${result.found} of ${result.made} are kept`);
        });
      }
    }
  });
}
