'use strict';

// Owns SeqpacketServer with its connections: accepting, pausing, limits, want of descriptors,
// closing. For listen() see seqpacket-listen.test.js.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const {
  closing,
  connectTo,
  connectedPair,
  eventsOf,
  makeServer,
  makeSocket,
  messagesOf,
  quiet,
  startServer,
  texts,
  untilConnections,
} = require('../helpers/seqpacket.js');
const { closed, nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { delay, until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** The number of connections, as getConnections() says. */
const connectionsOf = (server) =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

/** Connects so many clients; resolves when all are connected. */
async function connectMany(t, server, count) {
  const clients = Array.from({ length: count }, () => connectTo(t, server.address()));
  await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
  return clients;
}

describe('connections', onLinux(), () => {
  for (const [kind, makeName] of [
    ['a path', (t) => temporaryPath(t)],
    ['an abstract name', () => abstractName()],
  ]) {
    test(`come with a socket and the name they came to: ${kind}`, async (t) => {
      const name = makeName(t);
      const server = makeServer(t).listen(name);
      const client = connectTo(t, name);
      const [socket, to] = await nextEvent(server, 'connection');
      assert.ok(socket instanceof SeqpacketSocket);
      assert.equal(to, name);
      assert.equal(socket.readyState, 'open');
      assert.equal(socket.address(), name);
      assert.equal(socket.remoteAddress, '');
      assert.equal(client.remoteAddress, name);
      const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
      assert.deepEqual(socket.peerCredentials, me);
      assert.deepEqual(client.peerCredentials, me);
    });
  }

  test('go to the listener given to the constructor, alone or after options', async (t) => {
    for (const makeArguments of [(listener) => [listener], (listener) => [{}, listener]]) {
      const connected = new Promise((resolve) => {
        const server = makeServer(t, ...makeArguments(resolve)).listen(abstractName());
        connectTo(t, server.address());
      });
      assert.ok((await within(connected, 'a connection')) instanceof SeqpacketSocket);
    }
  });

  test("get the server's options", async (t) => {
    const options = { credentials: true, allowHalfOpen: true, readableHighWaterMark: 3 };
    const { socket, client } = await connectedPair(t, options);
    assert.equal(socket.allowHalfOpen, true);
    assert.equal(socket.readableHighWaterMark, 3);
    client.write('hello');
    const message = await messagesOf(socket).next();
    assert.equal(message.credentials.pid, process.pid);
  });

  test('know an empty message from the end, however late it comes', async (t) => {
    const { socket, client } = await connectedPair(t);
    const messages = messagesOf(socket);
    for (const text of ['first', '', 'second', '', '']) {
      // The connection is marked otherwise once it has lived longer than a turn.
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      client.write(text);
      assert.equal(String(await messages.next()), text);
    }
    client.end();
    await assert.rejects(messages.next(), /there was 'end'/);
  });

  test('know an empty message from the end in their first turn', async (t) => {
    const { socket, client } = await connectedPair(t);
    const messages = messagesOf(socket);
    for (const text of ['first', '', '', 'second']) client.write(text);
    client.end();
    assert.deepEqual(await texts(messages, 4), ['first', '', '', 'second']);
    await assert.rejects(messages.next(), /there was 'end'/);
  });

  test('are all accepted: 500 at once, each with its messages', async (t) => {
    const before = countFds();
    const server = startServer(t);
    const seen = new Set();
    server.on('connection', (socket) => socket.on('data', (message) => seen.add(String(message))));
    const clients = Array.from({ length: 500 }, (_, index) => {
      const client = connectTo(t, server.address());
      client.end(`client ${index}`);
      client.resume();
      return client;
    });
    await Promise.all(clients.map((client) => nextEvent(client, 'close')));
    await untilConnections(server, 0);
    assert.equal(seen.size, 500);
    await closed(server);
    await assertNoLeak(before);
  });

  test('are counted', async (t) => {
    const server = startServer(t);
    let calls = 0;
    assert.equal(
      server.getConnections(() => calls++),
      server,
    );
    assert.equal(calls, 0);
    assert.equal(await connectionsOf(server), 0);
    const clients = await connectMany(t, server, 3);
    await untilConnections(server, 3);
    clients[0].destroy();
    await untilConnections(server, 2);
  });

  test('are a stream of their own: async iteration, until the server closes', async (t) => {
    const server = makeServer(t).listen(abstractName());
    const got = [];
    const iterated = (async () => {
      for await (const socket of server) {
        got.push(String(await messagesOf(socket).next()));
        socket.end();
        if (got.length === 3) server.close();
      }
    })();
    for (const text of ['one', 'two', 'three']) connectTo(t, server.address()).resume().write(text);
    await within(iterated, 'the iteration to end');
    assert.deepEqual(got.sort(), ['one', 'three', 'two']);
  });

  test('carry the async context of listen() and new SeqpacketServer', async (t) => {
    const storage = new AsyncLocalStorage();
    const server = makeServer(t);
    const stores = [];
    server.on('connection', (socket) => {
      stores.push(storage.getStore());
      socket.on('data', () => stores.push(storage.getStore()));
    });
    storage.run('listening', () => server.listen(abstractName()));
    storage.run('client', () => connectTo(t, server.address()).write('hello'));
    await until(() => stores.length === 2, 'a message');
    assert.deepEqual(stores, ['listening', 'listening']);
  });

  test('survive an exception in a handler of another: none is lost, none leaks', async (t) => {
    const result = await runScript(
      t,
      async ({ SeqpacketServer: Server, SeqpacketSocket: Socket }, name) => {
        const { readdirSync } = require('node:fs');
        const { once } = require('node:events');
        const count = () => readdirSync('/proc/self/fd').length;
        const uncaught = [];
        process.on('uncaughtException', (error) => uncaught.push(error.message));
        let accepted = 0;
        const server = new Server((socket) => {
          accepted++;
          socket.on('close', () => {
            if (accepted % 2 === 0) throw new Error('close');
          });
          socket.end();
          if (accepted % 3 === 0) throw new Error('connection');
        });
        server.listen(name).pause();
        const before = count();
        const clients = Array.from({ length: 60 }, () => new Socket().connect(name).resume());
        const ends = clients.map((client) => once(client, 'close'));
        server.resume();
        await Promise.all(ends);
        server.close(() => {
          const connection = uncaught.filter((message) => message === 'connection').length;
          console.log(JSON.stringify({ accepted, connection, leaked: count() - before + 1 }));
        });
      },
      [abstractName()],
    );
    assert.deepEqual(result, { accepted: 60, connection: 20, leaked: 0 });
  });
});

describe('limits', onLinux(), () => {
  test('pause() leaves connections in the backlog, resume() accepts them', async (t) => {
    const server = startServer(t);
    assert.equal(server.pause(), server);
    let count = 0;
    server.on('connection', () => count++);
    await connectMany(t, server, 20);
    await delay(30);
    assert.equal(count, 0);
    assert.equal(server.resume(), server);
    await until(() => count === 20, 'all connections');
  });

  test("pause() inside 'connection' holds at once", async (t) => {
    const server = startServer(t);
    let count = 0;
    server.on('connection', () => {
      count++;
      server.pause();
    });
    await connectMany(t, server, 20);
    await delay(30);
    assert.equal(count, 1);
    for (let more = 2; more <= 20; more++) {
      server.resume();
      await until(() => count === more, 'the next connection');
    }
  });

  test('pause() before listen() holds too', async (t) => {
    const server = makeServer(t).pause().listen(abstractName());
    let count = 0;
    server.on('connection', () => count++);
    await connectMany(t, server, 2);
    await delay(30);
    assert.equal(count, 0);
    server.resume();
    await until(() => count === 2, 'both connections');
  });

  test("maxConnections: what is beyond gets 'drop' and is closed", async (t) => {
    const before = countFds();
    const server = startServer(t);
    server.maxConnections = 2;
    let [drops, count] = [0, 0];
    server.on('drop', () => drops++);
    server.on('connection', () => count++);
    const clients = await connectMany(t, server, 5);
    const ends = clients.map((client) => eventsOf(client.resume(), ['close']));
    await until(() => drops === 3, 'three drops');
    await until(() => ends.flat().length === 3, 'three closes');
    assert.equal(count, 2);
    assert.deepEqual(
      ends.map((events) => events.length),
      [0, 0, 1, 1, 1],
    );
    // There is room again.
    clients[0].destroy();
    await untilConnections(server, 1);
    await connectMany(t, server, 1);
    await untilConnections(server, 2);
    assert.equal(count, 3);
    server.maxConnections = undefined;
    await connectMany(t, server, 5);
    await untilConnections(server, 7);
    const done = closed(server);
    server.emit('test over');
    clients.forEach((client) => client.destroy());
    t.after(() => done);
    assert.ok(countFds() > before);
  });

  /** In a process with few descriptors: uses them up, connects, frees them again. */
  const useUpDescriptors = async (afunix, name, way) => {
    const { closeSync, openSync } = require('node:fs');
    const { setTimeout: sleep } = require('node:timers/promises');
    const server = new afunix.SeqpacketServer().listen(name);
    const warnings = [];
    let [count, errors] = [0, 0];
    server.on('warning', (error) => warnings.push([error.code, error.syscall]));
    server.on('error', () => errors++);
    server.on('connection', () => count++);
    const clients = Array.from({ length: 12 }, () => new afunix.SeqpacketSocket().connect(name));
    const held = [];
    try {
      for (;;) held.push(openSync('/dev/null'));
    } catch {
      // That was the last one.
    }
    await sleep(100);
    const before = process.cpuUsage();
    await sleep(1000);
    const { user, system } = process.cpuUsage(before);
    const short = count;
    if (way === 'pause') {
      server.pause();
      await sleep(100);
    }
    held.splice(0, 3).forEach((fd) => closeSync(fd));
    await sleep(100);
    if (way === 'pause') {
      const paused = count;
      if (paused !== 0) errors += 100;
      server.resume();
      await sleep(100);
    }
    const some = count;
    held.forEach((fd) => closeSync(fd));
    for (let left = 1000; count < 12 && left > 0; left--) await sleep(5);
    const cpu = (user + system) / 1000;
    console.log(JSON.stringify({ warnings, errors, short, some, all: count, cpu }));
    clients.forEach((client) => client.destroy());
    process.exit();
  };

  for (const way of ['without a pause', 'pause']) {
    test(`EMFILE: a warning, no busy loop, all accepted later (${way})`, async (t) => {
      const args = [abstractName(), way];
      const result = await runScript(t, useUpDescriptors, args, { openFiles: 64 });
      assert.equal(result.errors, 0);
      assert.equal(result.short, 0);
      assert.deepEqual([result.some, result.all], [3, 12]);
      // One for each time that there were none left.
      assert.deepEqual(result.warnings[0], ['EMFILE', 'accept']);
      assert.ok(result.warnings.length <= 2, JSON.stringify(result.warnings));
      assert.ok(result.cpu < 200, `${result.cpu} ms CPU in a second`);
    });
  }
});

describe('close()', onLinux(), () => {
  test("calls back and emits 'close' after the last connection", async (t) => {
    const { server, client, socket } = await connectedPair(t);
    const name = server.address();
    const events = [];
    server.on('close', (...args) => events.push(['event', ...args]));
    assert.equal(
      server.close((...args) => events.push(['callback', ...args])),
      server,
    );
    server.close();
    // It listens no more, at once; the connection goes on.
    const refused = makeSocket(t);
    const failures = eventsOf(refused.connect(name));
    await closing(refused);
    assert.deepEqual(failures, ['error ECONNREFUSED', 'close true']);
    const messages = messagesOf(client);
    socket.write('still here');
    assert.deepEqual(await texts(messages, 1), ['still here']);
    assert.deepEqual(events, []);
    socket.end();
    await closing(socket);
    assert.deepEqual(events, [['event'], ['callback']]);
  });

  test('of a server that does not listen: ERR_SERVER_NOT_RUNNING, in a later tick', async (t) => {
    const server = makeServer(t);
    const errors = [];
    const events = eventsOf(server, ['error']);
    const note = (error) => errors.push(error?.code);
    server.close();
    server.close(note);
    assert.deepEqual(errors, []);
    await quiet();
    server.listen(abstractName());
    server.close(note);
    server.close(note);
    await quiet();
    assert.deepEqual(errors.sort(), [
      'ERR_SERVER_NOT_RUNNING',
      'ERR_SERVER_NOT_RUNNING',
      undefined,
    ]);
    assert.deepEqual(events, []);
  });

  test("inside 'connection': one 'close', whatever else was accepted is closed", async (t) => {
    const before = countFds();
    const server = new SeqpacketServer();
    server.listen(abstractName()).pause();
    const events = eventsOf(server, ['close', 'error']);
    let count = 0;
    server.on('connection', (socket) => {
      count++;
      socket.destroy();
      server.close();
    });
    const clients = await connectMany(t, server, 10);
    clients.forEach((client) => client.on('error', () => {}).resume());
    server.resume();
    await Promise.all(clients.map((client) => nextEvent(client, 'close')));
    await quiet();
    assert.equal(count, 1);
    assert.equal(events.length, 1);
    await assertNoLeak(before);
  });

  test('removes the file only while it is its own', async (t) => {
    const file = temporaryPath(t);
    const server = makeServer(t).listen(file);
    fs.renameSync(file, `${file}.moved`);
    const other = makeServer(t).listen(file);
    await closed(server);
    assert.ok(fs.existsSync(file));
    await closed(other);
    assert.equal(fs.existsSync(file), false);
  });

  test('asyncDispose closes and waits for the last connection', async (t) => {
    const { server, client } = await connectedPair(t);
    let disposed = false;
    let closed = 0;
    server.on('close', () => closed++);
    const disposing = server[Symbol.asyncDispose]().then(() => (disposed = true));
    await quiet();
    assert.equal(server.listening, false);
    assert.equal(disposed, false);
    client.destroy();
    await within(disposing, 'asyncDispose');
    await within(server[Symbol.asyncDispose](), 'asyncDispose again');
    await within(new SeqpacketServer()[Symbol.asyncDispose](), 'asyncDispose before listen()');
    await quiet();
    assert.equal(closed, 1);
  });

  test('an AbortSignal closes, also one that is aborted already', async (t) => {
    const controller = new AbortController();
    const server = makeServer(t, { signal: controller.signal }).listen(abstractName());
    controller.abort();
    await nextEvent(server, 'close');
    assert.equal(server.listening, false);
    const late = makeServer(t, { signal: controller.signal }).listen(abstractName());
    await nextEvent(late, 'close');
    assert.throws(() => new SeqpacketServer({ signal: 'abort' }), { code: 'ERR_INVALID_ARG_TYPE' });
  });
});
