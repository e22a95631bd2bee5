'use strict';

// Owns the shape of errors of USocket and UServer: that of net's, property by property, and when they come.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const { UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { nextEvent, tick } = require('../helpers/sockets.js');
const { listen } = require('../helpers/streams.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { makePair, makeSocket, startServer } = require('../helpers/usocket.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** What there is to see of an error. */
function shapeOf(error) {
  const { name, message, code } = error;
  return { name, message, code, ...error };
}

describe("errors have net's shape", onLinux(), () => {
  for (const [what, makePath] of [
    ['nobody there', (t) => temporaryPath(t)],
    [
      'a file that is no socket',
      (t) => {
        const path = temporaryPath(t);
        fs.writeFileSync(path, '');
        return path;
      },
    ],
    ['below a file', () => `${__filename}/x`],
  ]) {
    test(`connect(): ${what}`, async (t) => {
      const path = makePath(t);
      const [expected] = await nextEvent(net.connect(path), 'error');
      const [found] = await nextEvent(makeSocket(t, path), 'error');
      const { path: name, ...shape } = shapeOf(found);
      // Ours has the name under the name that the other classes have for it, too.
      assert.equal(name, path);
      assert.deepEqual(shape, shapeOf(expected));
    });
  }

  test('listen()', async (t) => {
    const path = temporaryPath(t);
    startServer(t, undefined, path);
    for (const name of [path, `${__filename}/x`, '/nonexistent/a.sock']) {
      const theirs = net.createServer();
      const listening = nextEvent(theirs, 'error');
      theirs.listen(name);
      const [expected] = await listening;
      const ours = new UServer();
      const trying = nextEvent(ours, 'error');
      ours.listen(name);
      const [found] = await trying;
      const { path: same, ...shape } = shapeOf(found);
      assert.equal(same, name);
      // libuv says EACCES for what is not there, and means bind().
      if (expected.code === 'EACCES' && found.code !== 'EACCES') continue;
      assert.deepEqual(shape, shapeOf(expected));
    }
  });

  test('listen() on a descriptor: there is no address', async () => {
    const server = new UServer();
    const failing = nextEvent(server, 'error');
    server.listen({ fd: 999_999 });
    const [error] = await failing;
    assert.deepEqual(Object.keys(error).sort(), ['code', 'errno', 'syscall']);
  });

  test("write(): EPIPE, and 'read' ECONNRESET", async (t) => {
    const [one, two] = makePair(t);
    two.destroy();
    one.write('x');
    const [error] = await nextEvent(one, 'error');
    assert.deepEqual(shapeOf(error), {
      name: 'Error',
      message: 'write EPIPE',
      code: 'EPIPE',
      errno: -32,
      syscall: 'write',
    });
    const [three, four] = makePair(t, { pauseOnConnect: true });
    three.write('never read');
    four.destroy();
    three.resume();
    const [reset] = await nextEvent(three, 'error');
    assert.deepEqual(shapeOf(reset), {
      name: 'Error',
      message: 'read ECONNRESET',
      code: 'ECONNRESET',
      errno: -104,
      syscall: 'read',
    });
  });

  test('a write without a connection, and before one that never comes', async (t) => {
    const outcomes = async (Socket) => {
      const codes = [];
      const socket = cleanUp(t, new Socket()).on('error', ({ code }) => codes.push(code));
      socket.write('x', ({ code }) => codes.push(code));
      await closing(socket);
      const other = cleanUp(t, new Socket()).on('error', ({ code }) => codes.push(code));
      other.connect({ path: temporaryPath(t) });
      other.write('x', ({ code }) => codes.push(code));
      other.destroy();
      await closing(other);
      return codes;
    };
    const expected = await outcomes(net.Socket);
    assert.ok(expected.includes('ERR_SOCKET_CLOSED_BEFORE_CONNECTION'));
    assert.deepEqual(await outcomes(USocket), expected);
    assert.ok(expected.includes('ERR_SOCKET_CLOSED'));
  });

  test('a write after the other end: EPIPE without errno', async (t) => {
    const codes = [];
    for (const connect of [(path) => net.connect(path), (path) => makeSocket(t, path)]) {
      const server = startServer(t);
      const path = temporaryPath(t);
      server.close();
      const peer = startServer(t, undefined, path);
      peer.on('connection', (socket) => socket.end());
      const client = cleanUp(t, connect(path)).resume();
      await nextEvent(client, 'end');
      // Its own end is under way.
      const failing = nextEvent(client, 'error');
      client.write('late', (error) => codes.push(error.code));
      const [error] = await failing;
      codes.push(shapeOf(error));
    }
    const [, expected, , found] = codes;
    assert.deepEqual(found, expected);
    assert.equal(found.errno, undefined);
    assert.deepEqual([codes[0], codes[2]], ['EPIPE', 'EPIPE']);
  });
});

describe('connect()', onLinux(), () => {
  test('reports its outcome in a later turn, with the socket as it was', async (t) => {
    const server = startServer(t);
    for (const path of [server.address(), temporaryPath(t)]) {
      const socket = makeSocket(t);
      const events = eventsOf(socket);
      socket.connect(path);
      const state = () => [socket.connecting, socket.destroyed, socket.pending, socket.readyState];
      const before = [true, false, true, 'opening'];
      assert.deepEqual(state(), before);
      await null;
      await tick();
      assert.deepEqual([state(), events], [before, []]);
      socket.once('connect', () => socket.destroy());
      await closing(socket);
      const outcome = path === server.address() ? ['connect'] : ['error ENOENT'];
      assert.deepEqual(events, [...outcome, `close ${path !== server.address()}`]);
    }
  });

  test("of a bad descriptor: 'error', and the socket can be connected after all", async (t) => {
    const server = startServer(t);
    const socket = makeSocket(t);
    for (const fd of [987, -1, 2 ** 31]) {
      const failing = nextEvent(socket, 'error');
      assert.equal(socket.connect({ fd }), socket);
      assert.match((await failing)[0].code, /^(EBADF|ERR_OUT_OF_RANGE)$/);
      await closing(socket);
    }
    socket.connect(server.address());
    await nextEvent(socket, 'connect');
  });
});

test('a peer that goes with our bytes unread: what comes behind its data waits for a reader, as in net', async (t) => {
  const story = async (Server, Socket, isPaused) => {
    const server = new Server();
    t.after(() => server.close());
    server.listen(temporaryPath(t));
    const connecting = nextEvent(server, 'connection');
    const socket = cleanUp(t, new Socket()).connect({ path: server.address() });
    const [peer] = await connecting;
    if (socket.connecting) await nextEvent(socket, 'connect');
    await quiet();
    cleanUp(t, peer).pause();
    if (isPaused) socket.pause();
    await quiet();
    socket.write('never read');
    peer.write('last words');
    await until(() => socket.readableLength === 10, 'the last words to be buffered');
    peer.destroy();
    await nextEvent(peer, 'close');
    await quiet(20);
    const events = eventsOf(socket, ['end', 'error', 'close']);
    assert.deepEqual([socket.readableLength, socket.destroyed, socket.errored], [10, false, null]);
    socket.on('data', (data) => events.push(String(data))).resume();
    await closing(socket);
    return events;
  };
  for (const isPaused of [false, true]) {
    const found = await story(UServer, USocket, isPaused);
    assert.equal(found[0], 'last words');
    assert.deepEqual(found, await story(net.Server, net.Socket, isPaused));
  }
});

test('_handle is what libraries look for: null on a closed socket', onLinux(), async (t) => {
  assert.equal(new USocket()._handle, null);
  const [one] = makePair(t);
  assert.equal(one._handle.fd, one.fd);
  assert.equal(one._handle.reading, true);
  assert.equal(typeof one._handle.getAsyncId(), 'number');
  one.pause();
  one.destroy();
  assert.equal(one._handle, null);
});

for (const [Server, Socket] of [
  [net.Server, net.Socket],
  [UServer, USocket],
]) {
  test(`_handle of a ${Socket.name} starts and stops reading`, onLinux(), async (t) => {
    const server = new Server((socket) => socket.write('one'));
    const client = cleanUp(t, new Socket()).connect(await listen(t, server));
    const chunks = [];
    client.on('data', (data) => chunks.push(String(data)));
    const [accepted] = await nextEvent(server, 'connection');
    await until(() => chunks.length === 1, 'the first');
    for (let times = 0; times < 2; times++) client._handle.readStop();
    accepted.write('two');
    await quiet(20);
    assert.deepEqual(chunks, ['one']);
    // As node:http does it.
    client._handle.reading = true;
    for (let times = 0; times < 2; times++) client._handle.readStart();
    await until(() => chunks.length === 2, 'the second');
    assert.deepEqual(chunks, ['one', 'two']);
  });
}
