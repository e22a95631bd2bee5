'use strict';

// Owns what one life of a socket left due when connect() made it as new: it must not strike the next one.

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, test } = require('node:test');
const { USocket, closeFd, socketpair } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const seqpacket = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const usocket = require('../helpers/usocket.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { cleanUp, closing, eventsOf, quiet } = seqpacket;

/** With what a write fails without a connection. */
const KINDS = {
  SeqpacketSocket: { ...seqpacket, unconnected: 'ENOTCONN' },
  USocket: { ...usocket, unconnected: 'ERR_SOCKET_CLOSED' },
};

/** Asserts that a socket is connected, and stays so, and that what it sends arrives: at what is returned. */
async function assertAlive(socket, server) {
  const [accepted] = await nextEvent(server, 'connection');
  if (socket.connecting) await nextEvent(socket, 'connect');
  await quiet();
  socket.write('hello');
  assert.equal(String((await nextEvent(accepted, 'data'))[0]), 'hello');
  await quiet();
  assert.deepEqual([socket.destroyed, socket.writable], [false, true]);
  return accepted;
}

for (const [name, kind] of Object.entries(KINDS)) {
  const { connectedPair, makeSocket, startServer, unconnected } = kind;
  describe(`${name}: connect() behind destroy()`, onLinux({}), () => {
    for (const when of ['before connect()', 'while connecting']) {
      test(`an end() ${when} ends no later connection`, async (t) => {
        const server = startServer(t);
        const elsewhere = startServer(t);
        const socket = makeSocket(t);
        const events = eventsOf(socket, ['connect', 'finish', 'end', 'error']);
        if (when === 'while connecting') socket.connect(elsewhere.address());
        socket.end();
        socket.destroy();
        socket.connect(server.address());
        assert.equal(socket.writable, true);
        await assertAlive(socket, server);
        assert.deepEqual(events, ['connect']);
      });

      test(`an end() ${when} fails no write of the next life`, async (t) => {
        const server = startServer(t);
        const elsewhere = startServer(t);
        const socket = makeSocket(t);
        const outcomes = new Outcomes();
        if (when === 'while connecting') socket.connect(elsewhere.address());
        socket.end(() => {});
        socket.destroy();
        socket.connect(server.address());
        socket.write('of this life', outcomes.callback());
        const [accepted] = await nextEvent(server, 'connection');
        assert.equal(String((await nextEvent(accepted, 'data'))[0]), 'of this life');
        assert.deepEqual(await outcomes.settled(1), [[0, undefined]]);
      });
    }

    for (const [what, connect] of [
      ['without a connection', (t) => ({ server: startServer(t), client: makeSocket(t) })],
      ['to nobody', connectedPair],
    ]) {
      test(`a write ${what} fails alone`, async (t) => {
        const { server, client: socket, socket: accepted } = await connect(t);
        accepted?.destroy();
        const outcomes = new Outcomes();
        socket.write('nobody is there', outcomes.callback());
        const events = eventsOf(socket, ['connect', 'end', 'error']);
        socket.destroy();
        socket.connect(server.address());
        await assertAlive(socket, server);
        assert.deepEqual(events, ['connect']);
        assert.deepEqual(outcomes.codes, [[0, accepted ? 'EPIPE' : unconnected]]);
      });
    }

    test('a user may destroy it for a write of before', async (t) => {
      const server = startServer(t);
      for (const destroy of [
        (socket, error) => socket.destroy(error),
        (socket, error, callback) => socket.destroy(error, callback),
      ]) {
        const socket = makeSocket(t).on('error', () => {});
        let called = 0;
        socket.write('nobody is there', (error) => destroy(socket, error, () => called++));
        socket.destroy();
        socket.connect(server.address());
        await until(() => socket.destroyed, 'the end of that life');
        await quiet();
        assert.equal(called, destroy.length > 2 ? 1 : 0);
      }
    });

    test('so may a user in a later turn', async (t) => {
      const server = startServer(t);
      const socket = makeSocket(t).on('error', () => {});
      let failure;
      socket.write('nobody is there', (error) => (failure = error));
      socket.destroy();
      await closing(socket);
      socket.connect(server.address());
      await assertAlive(socket, server);
      assert.equal(socket.destroy(failure).errored, failure);
    });

    // What Writable does between 'prefinish' and 'finish' is due in one tick.
    for (const [when, event, defer] of [
      ["in 'prefinish'", 'prefinish', (again) => again()],
      ["between 'prefinish' and 'finish'", 'prefinish', process.nextTick],
      ["in 'finish'", 'finish', (again) => again()],
    ]) {
      test(`${when} of destroySoon() is followed by a whole life`, async (t) => {
        const { server, client: socket } = await connectedPair(t);
        const again = () => socket.destroy().connect(server.address());
        socket.once(event, () => defer(again)).destroySoon();
        const accepted = await assertAlive(socket, server);
        socket.end();
        await nextEvent(accepted.resume(), 'end');
      });
    }

    // What Readable does for the end of the peer is due in these ticks.
    for (const [when, follow] of Object.entries({
      "in 'end'": (socket, again) => socket.once('end', again).resume(),
      "twice in 'end'": (socket, again) => {
        socket.once('end', () => again(socket.destroy().connect(abstractName()))).resume();
      },
      "behind 'end'": (socket, again) => socket.once('end', () => process.nextTick(again)).resume(),
      "before 'end'": (socket, again) =>
        socket.once('readable', () => {
          process.nextTick(again);
          socket.read();
        }),
    })) {
      for (const allowHalfOpen of [false, true]) {
        test(`${when}, allowHalfOpen ${allowHalfOpen}, is followed by a whole life`, async (t) => {
          const {
            server,
            client: socket,
            socket: accepted,
          } = await connectedPair(t, {
            allowHalfOpen,
          });
          let events;
          follow(socket, () => {
            socket.destroy().connect(server.address());
            process.nextTick(() => (events = eventsOf(socket, ['end', 'finish', 'error'])));
          });
          accepted.end();
          await assertAlive(socket, server);
          assert.deepEqual(events, []);
          // The next one has no such end before it.
          socket.destroy().connect(server.address());
          assert.equal(socket.writable, true);
          const again = await assertAlive(socket, server);
          again.end();
          await nextEvent(socket.resume(), 'end');
          socket.end();
          await nextEvent(again.resume(), 'end');
        });
      }
    }

    for (const isConnected of [false, true]) {
      for (const when of ['at once', "in 'error'", "in 'close'"]) {
        const which = isConnected ? 'wait' : 'came before the connection';
        test(`${when}, writes that ${which} and their end() fail behind it, in order`, async (t) => {
          const server = startServer(t);
          const socket = isConnected
            ? (await connectedPair(t)).client
            : makeSocket(t).connect(server.address());
          const outcomes = new Outcomes();
          let inside = 0;
          const again = () => {
            const before = outcomes.codes.length;
            socket.connect(server.address());
            inside = outcomes.codes.length - before;
          };
          for (let count = 0; count < 8; count++) {
            socket.write(Buffer.alloc(100_000), outcomes.callback());
          }
          const called = outcomes.callback();
          let failure;
          socket.end('the last one', (error) => called((failure = error)));
          socket.once('error', () => when === "in 'error'" && again());
          socket.once('close', () => when === "in 'close'" && again());
          // As anything may be thrown.
          socket.destroy(when === 'at once' ? 'of the test' : new Error('of the test'));
          if (when === 'at once') again();
          await nextEvent(socket, 'connect');
          await outcomes.settled();
          await quiet();
          assert.equal(inside, 0);
          const order = outcomes.codes.map(([number]) => number);
          assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
          if (when === 'at once') assert.ok(failure);
          else assert.ok(failure instanceof Error);
        });
      }
    }

    test('leaves unwritable what a user has made so, as in net', async (t) => {
      const server = startServer(t, {}, temporaryPath(t, 'server'));
      const model = name === 'USocket' ? [cleanUp(t, new net.Socket())] : [];
      for (const socket of [makeSocket(t), ...model]) {
        socket.writable = false;
        socket.destroy();
        socket.connect(server.address());
        await nextEvent(socket, 'connect');
        await quiet();
        assert.deepEqual([socket.writable, socket.destroyed], [false, false]);
      }
    });

    test("in 'end', is ended soon after", async (t) => {
      const { server, client: socket, socket: accepted } = await connectedPair(t);
      socket.once('end', () => {
        socket.destroy().connect(server.address());
        socket.destroySoon();
      });
      socket.resume();
      accepted.end();
      const [again] = await nextEvent(server, 'connection');
      await nextEvent(again.resume(), 'end');
    });

    for (const [when, bytes, end] of [
      ['at once', 'of before €', (accepted) => accepted.end()],
      ['at once, half a character', 'of before €', () => {}],
      ['at once, half a character alone', '€', () => {}],
      ['in a later turn', 'of before €', (accepted) => accepted.end()],
    ]) {
      test(`${when}, finds nothing of what was not read before`, async (t) => {
        const { server, client: socket, socket: accepted } = await connectedPair(t);
        const chunks = [];
        socket.setEncoding('utf8').pause();
        socket.on('data', (chunk) => chunks.push(chunk));
        accepted.write(Buffer.from(bytes).subarray(0, -2));
        end(accepted);
        socket.read(0);
        await until(() => socket.bytesRead > 0, 'what was written');
        // Behind it the end, where there is one.
        socket.read(0);
        await quiet();
        socket.destroy();
        if (when === 'in a later turn') await closing(socket);
        socket.connect(server.address());
        // Where the end is of a turn that is over, nothing is held back.
        assert.equal(socket.writable, when === 'in a later turn' || end.length === 0);
        const events = eventsOf(socket, ['end', 'error']);
        socket.resume();
        const again = await assertAlive(socket, server);
        assert.deepEqual([chunks, events], [[], []]);
        again.end('of now');
        await nextEvent(socket, 'end');
        assert.deepEqual(chunks, ['of now']);
      });
    }
  });
}

describe('what is due in a later turn', onLinux({}), () => {
  for (const [what, begin] of Object.entries({
    "an 'error' of a send without callback": (socket, accepted) => {
      accepted.destroy();
      assert.equal(socket.write('nobody is there'), false);
    },
    "a 'drain'": (socket) => assert.equal(socket.write('sent at once'), false),
  })) {
    test(`SeqpacketSocket: ${what} is of its own connection`, async (t) => {
      const options = { writableHighWaterMark: 0 };
      const {
        server,
        client: socket,
        socket: accepted,
      } = await seqpacket.connectedPair(t, options);
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
    const server = usocket.startServer(t);
    const [socket, other] = USocket.pair().map((end) => cleanUp(t, end));
    other.write({ data: 'x', fds: [0] });
    await nextEvent(socket, 'readable');
    socket.on('fds', () => assert.fail('they are closed'));
    socket.destroy();
    socket.connect(server.address());
    await assertAlive(socket, server);
  });

  test("USocket: 'connect' of a descriptor is of that one", async (t) => {
    const server = usocket.startServer(t);
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
    const server = usocket.startServer(t);
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
