'use strict';

// Owns the turns of the event loop under a flood that never ends: each message, chunk or connection brings
// the next before its handler returns, and others have their turn all the same.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const lib = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { closed } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** Turns of the event loop that have to come. */
const TURNS = 20;
/** Messages after which the flood ends in any case; a turn takes some hundred at most. */
const FLOOD = 20_000;

/**
 * Lets `next()`, which is called `ahead` times at first, bring about one event after the other, each of which
 * has to call what `begin` was given, and asserts that the event loop turns meanwhile.
 */
async function flood(begin, next, { most = FLOOD, ahead = 1 } = {}) {
  let events = 0;
  let turns = 0;
  let going = true;
  const turn = () => {
    if (++turns === TURNS) going = false;
    else if (going) setImmediate(turn);
  };
  begin(() => {
    if (++events === most) going = false;
    if (going) next();
  });
  for (let count = 0; count < ahead; count++) next();
  // Learning takes some wake-ups: whether one more look is worth it.
  await until(() => events > 200 || !going, 'the flood');
  setImmediate(turn);
  await until(() => !going, 'the end of the flood');
  assert.ok(events < most, `${turns} turns in ${events} events`);
  assert.equal(turns, TURNS);
}

describe('a flood', onLinux(), () => {
  test('of datagrams', async () => {
    const [one, two] = lib.DgramSocket.pair();
    const message = Buffer.alloc(10);
    await flood(
      (seen) => two.on('data', seen),
      () => one.send(message),
    );
    await Promise.all([closed(one), closed(two)]);
  });

  for (const Class of [lib.SeqpacketSocket, lib.USocket]) {
    test(`of what a ${Class.name} receives`, async (t) => {
      const [one, two] = Class.pair();
      for (const end of [one, two]) cleanUp(t, end);
      const message = Buffer.alloc(10);
      await flood(
        (seen) => two.on('data', seen),
        () => one.write(message),
      );
    });
  }

  test("of messages of a socket of createSocket('unix_dgram')", async (t) => {
    const name = abstractName();
    const sender = new lib.DgramSocket();
    const receiver = lib.createSocket('unix_dgram');
    t.after(() => receiver.close());
    receiver.bind(name);
    const message = Buffer.alloc(10);
    await flood(
      (seen) => receiver.on('message', seen),
      () => sender.sendTo(message, name),
    );
    await closed(sender);
  });

  for (const [Server, Socket] of [
    [lib.UServer, lib.USocket],
    [lib.SeqpacketServer, lib.SeqpacketSocket],
  ]) {
    test(`of connections of a ${Server.name}`, async (t) => {
      const server = new Server().listen(abstractName());
      t.after(() => server.close());
      const connect = () => {
        const client = cleanUp(t, new Socket());
        client.on('error', () => {});
        client.connect(server.address());
      };
      const accepted = [];
      await flood(
        (seen) =>
          server.on('connection', (socket) => {
            accepted.push(socket);
            socket.on('error', () => {}).destroy();
            seen();
          }),
        connect,
        // More than are accepted together, so that there are always more.
        { most: 5000, ahead: 100 },
      );
      await Promise.all(accepted.map((socket) => closing(socket)));
    });
  }
});
