'use strict';

// Owns the life of a USocket: connecting anew, options, credentials, closing, what keeps the process
// alive, and that nothing is left of those that have gone.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { USocket, socketpair } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { delay, until, within } = require('../helpers/wait.js');
const { makePair, makeSocket, startServer } = require('../helpers/usocket.js');

assertNoLeaks();

describe('life', onLinux(), () => {
  test('connect() after destroy() starts anew, and leaves nothing behind', async (t) => {
    const server = startServer(t);
    server.on('connection', (socket) => socket.end('hello'));
    const before = countFds();
    const socket = makeSocket(t);
    const events = eventsOf(socket);
    for (let round = 0; round < 3; round++) {
      socket.destroy();
      await quiet();
      assert.deepEqual([socket.destroyed, socket.fd, socket.bytesRead], [true, -1, round && 5]);
      events.length = 0;
      socket.connect(server.address());
      assert.deepEqual([socket.connecting, socket.destroyed], [true, false]);
      assert.equal(String(await nextEvent(socket, 'data')), 'hello');
      await closing(socket);
      assert.deepEqual(events, ['connect', 'end', 'finish', 'close false']);
    }
    const [fd, peer] = socketpair();
    socket.connect({ fd });
    makeSocket(t, peer).resume().end('through a descriptor');
    assert.equal(String(await nextEvent(socket, 'data')), 'through a descriptor');
    await closing(socket);
    await assertNoLeak(before);
  });

  test('destroy() while connecting: no error, whatever becomes of the attempt', async (t) => {
    const server = startServer(t);
    const before = countFds();
    for (const path of [server.address(), '/nowhere/at/all']) {
      const socket = makeSocket(t);
      const events = eventsOf(socket);
      socket.connect(path, () => events.push('callback'));
      assert.deepEqual([socket.connecting, socket.destroyed], [true, false]);
      socket.destroy();
      await closing(socket);
      assert.deepEqual([events.length, events[0].split(' ')[0]], [1, 'close']);
      assert.deepEqual([socket.connecting, socket.errored], [false, null]);
    }
    await quiet(20);
    await assertNoLeak(before);
  });

  test('options of the constructor', async (t) => {
    const [one, two] = makePair(t, {
      readableHighWaterMark: 10,
      writableHighWaterMark: 20,
      timeout: 15,
      allowHalfOpen: true,
    });
    assert.deepEqual([one.readableHighWaterMark, one.writableHighWaterMark], [10, 20]);
    await nextEvent(one, 'timeout');
    one.end();
    two.resume();
    await nextEvent(two, 'end');
    await quiet();
    assert.equal(two.destroyed, false);
    const [other] = makePair(t, { highWaterMark: 33 });
    assert.deepEqual([other.readableHighWaterMark, other.writableHighWaterMark], [33, 33]);
  });

  test('credentials of the peer, and of each chunk', async (t) => {
    const [one, two] = makePair(t, { credentials: true });
    const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
    one.write('x');
    const [chunk] = await nextEvent(two, 'data');
    assert.deepEqual(chunk.credentials, me);
    assert.deepEqual(two.peerCredentials, me);
  });

  test('close() calls back, is idempotent, and asyncDispose destroys', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one);
    await within(new Promise((done) => one.close(done)), 'the callback of close');
    await within(new Promise((done) => one.close(done)), 'the callback of close');
    assert.deepEqual(events, ['close false']);
    await two[Symbol.asyncDispose]();
    assert.equal(two.destroyed, true);
  });

  test('an open socket keeps the process alive, an unreferenced one does not', async (t) => {
    for (const unref of [false, true]) {
      const program = startScript(
        t,
        ({ UServer, USocket }, name, quietly) => {
          const server = new UServer().listen(name);
          const [one, two] = USocket.pair();
          const client = new USocket(name);
          const all = [server, one, two, client];
          server.on('connection', (socket) => (quietly ? socket.unref() : socket));
          if (quietly) for (const each of all) each.unref();
          console.log(all.map((each) => each.hasRef()).join());
        },
        [abstractName(), unref],
      );
      const line = await program.lines.next();
      assert.equal(line, Array(4).fill(!unref).join());
      if (unref) {
        assert.equal((await program.ended()).code, 0);
      } else {
        await delay(100);
        assert.equal(program.lines.length, 0);
        program.kill();
        assert.equal((await program.ended()).signal, 'SIGTERM');
      }
    }
  });

  test('thousands of sockets come and go without a trace', async (t) => {
    const server = startServer(t);
    server.on('connection', (socket) => socket.resume());
    const before = countFds();
    for (let round = 0; round < 20; round++) {
      const clients = Array.from({ length: 50 }, () => new USocket(server.address()));
      await Promise.all(
        clients.map((client, index) => {
          client.resume().on('connect', () => (index % 2 ? client.end('x') : client.destroy()));
          return nextEvent(client, 'close');
        }),
      );
    }
    await assertNoLeak(before);
  });

  test('what is dropped stays open until it is closed, and is collected then', async () => {
    const { WeakRef } = globalThis;
    const refs = [];
    const before = countFds();
    (() => {
      for (let round = 0; round < 50; round++) {
        const [one, two] = USocket.pair({ pauseOnConnect: true });
        one.write('x');
        refs.push(new WeakRef(one), new WeakRef(two));
      }
    })();
    await delay(1);
    globalThis.gc();
    assert.equal(countFds(), before + 100);
    assert.ok(refs.every((ref) => ref.deref() !== undefined));
    for (const ref of refs) ref.deref().destroy();
    await until(() => {
      globalThis.gc();
      return refs.filter((ref) => ref.deref() !== undefined).length < 10;
    }, 'the collector');
    assert.equal(countFds(), before);
  });
});
