'use strict';

// Owns what one life of a socket left due when connect() made it as new: it must not strike the next one.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const {
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  closeFd,
  socketpair,
} = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

const KINDS = {
  SeqpacketSocket: { Class: SeqpacketSocket, Server: SeqpacketServer },
  USocket: { Class: USocket, Server: UServer },
};

/** A server that lives as long as the test. */
function listen(t, Server) {
  const server = new Server((socket) => cleanUp(t, socket)).listen(abstractName());
  t.after(() => server.close());
  return server;
}

/** Asserts that a socket is connected, and stays so, and that what it sends arrives. */
async function assertAlive(socket, server) {
  const [accepted] = await nextEvent(server, 'connection');
  if (socket.connecting) await nextEvent(socket, 'connect');
  await quiet();
  socket.write('hello');
  assert.equal(String((await nextEvent(accepted, 'data'))[0]), 'hello');
  await quiet();
  assert.deepEqual([socket.destroyed, socket.writableEnded], [false, false]);
}

for (const [name, { Class, Server }] of Object.entries(KINDS)) {
  describe(`${name}: connect() behind destroy()`, onLinux({}), () => {
    for (const when of ['before connect()', 'while connecting']) {
      test(`an end() ${when} ends no later connection`, async (t) => {
        const server = listen(t, Server);
        const elsewhere = listen(t, Server);
        const socket = cleanUp(t, new Class());
        const events = eventsOf(socket, ['connect', 'finish', 'end', 'error']);
        if (when === 'while connecting') socket.connect(elsewhere.address());
        socket.end();
        socket.destroy();
        socket.connect(server.address());
        await assertAlive(socket, server);
        assert.deepEqual(events, ['connect']);
      });
    }
  });
}

describe('what is due in a later turn', onLinux({}), () => {
  test('SeqpacketSocket: a send that failed destroys its own connection', async (t) => {
    const server = listen(t, SeqpacketServer);
    const socket = cleanUp(t, new SeqpacketSocket()).connect(server.address());
    const [accepted] = await nextEvent(server, 'connection');
    if (socket.connecting) await nextEvent(socket, 'connect');
    accepted.destroy();
    const outcomes = new Outcomes();
    socket.write('nobody is there', outcomes.callback());
    const events = eventsOf(socket, ['connect', 'end', 'error']);
    socket.destroy();
    socket.connect(server.address());
    await assertAlive(socket, server);
    assert.deepEqual(events, ['connect']);
    assert.deepEqual(outcomes.codes, [[0, 'EPIPE']]);
  });

  for (const [what, begin] of Object.entries({
    "an 'error' of a send without callback": (socket, accepted) => {
      accepted.destroy();
      assert.equal(socket.write('nobody is there'), false);
    },
    "a 'drain'": (socket) => assert.equal(socket.write('sent at once'), false),
  })) {
    test(`SeqpacketSocket: ${what} is of its own connection`, async (t) => {
      const server = listen(t, SeqpacketServer);
      const socket = cleanUp(t, new SeqpacketSocket({ writableHighWaterMark: 0 }));
      socket.connect(server.address());
      const [accepted] = await nextEvent(server, 'connection');
      if (socket.connecting) await nextEvent(socket, 'connect');
      const events = eventsOf(socket, ['connect', 'drain', 'error']);
      begin(socket, accepted);
      socket.destroy();
      socket.connect(server.address());
      await nextEvent(socket, 'connect');
      await quiet();
      assert.deepEqual(events, ['connect']);
    });
  }

  test("USocket: 'fds' for a late listener are of its own connection", async (t) => {
    const server = listen(t, UServer);
    const [socket, other] = USocket.pair().map((end) => cleanUp(t, end));
    other.write({ data: 'x', fds: [0] });
    await nextEvent(socket, 'readable');
    socket.on('fds', () => assert.fail('they are closed'));
    socket.destroy();
    socket.connect(server.address());
    await assertAlive(socket, server);
  });

  test("USocket: 'connect' of a descriptor is of that one", async (t) => {
    const server = listen(t, UServer);
    const [fd, other] = socketpair();
    t.after(() => closeFd(other));
    const socket = cleanUp(t, new USocket()).connect({ fd }, () => assert.fail('it is gone'));
    const events = eventsOf(socket, ['connect', 'ready', 'error']);
    socket.destroy();
    let calls = 0;
    socket.connect(server.address(), () => calls++);
    assert.equal(socket.connecting, true);
    await assertAlive(socket, server);
    assert.equal(calls, 1);
    assert.deepEqual(events, ['connect', 'ready']);
  });

  test('USocket: a descriptor that is refused destroys no later connection', async (t) => {
    const server = listen(t, UServer);
    const socket = cleanUp(t, new USocket()).connect({ fd: 1e6 });
    const events = eventsOf(socket, ['connect', 'error']);
    socket.destroy();
    socket.connect(server.address());
    await assertAlive(socket, server);
    assert.deepEqual(events, ['connect']);
    socket.destroy();
    await closing(socket);
  });
});
