'use strict';

// Owns UServer: the forms of listen(), socket files, `allow`, pauses, limits, want of descriptors,
// and exceptions in its handlers. What net.Server does too is in usocket-net.test.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet, untilConnections } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { delay, until, within } = require('../helpers/wait.js');
const { makeServer, makeSocket, startServer } = require('../helpers/usocket.js');

assertNoLeaks();

describe('listen()', onLinux(), () => {
  for (const [what, args] of [
    ['path', (name) => [name]],
    ['path, callback', (name, callback) => [name, callback]],
    ['path, backlog, callback', (name, callback) => [name, 5, callback]],
    ['{ path }, callback', (name, callback) => [{ path: name }, callback]],
    ['{ path, backlog }, callback', (name, callback) => [{ path: name, backlog: 5 }, callback]],
    ['Buffer', (name, callback) => [Buffer.from(name), callback]],
    ['URL', (name, callback) => [pathToFileURL(name), callback]],
  ]) {
    test(`(${what})`, async (t) => {
      const name = temporaryPath(t);
      const server = makeServer(t);
      let calls = 0;
      const list = args(name, () => calls++);
      assert.equal(server.listen(...list), server);
      assert.equal(calls, 0);
      await nextEvent(server, 'listening');
      assert.equal(calls, typeof list.at(-1) === 'function' ? 1 : 0);
      assert.equal(server.address(), name);
      const client = makeSocket(t, name);
      const [socket, bound] = await nextEvent(server, 'connection');
      assert.ok(socket instanceof USocket);
      assert.equal(bound, name);
      assert.equal(socket.address(), name);
      assert.equal(client.remoteAddress, name);
    });
  }

  test('address() is the path that was given, also one that is bound under another name', async (t) => {
    const folder = `${temporaryPath(t)}${'x'.repeat(100)}`;
    fs.mkdirSync(folder);
    const name = `${folder}/s`;
    const server = makeServer(t).listen(name);
    assert.equal(server.address(), name);
    makeSocket(t, server.address());
    assert.equal((await nextEvent(server, 'connection'))[1], name);
  });

  for (const args of [[], [null], [{ path: null }], [{}]]) {
    test(`without a path the kernel chooses an abstract name: ${inspect(args)}`, async (t) => {
      const server = makeServer(t).listen(...args);
      assert.match(server.address(), /^\0[0-9a-f]{5}$/);
      makeSocket(t, server.address());
      await nextEvent(server, 'connection');
    });
  }

  test('mode', (t) => {
    const name = temporaryPath(t);
    makeServer(t).listen({ path: name, mode: 0o640 });
    assert.equal(fs.statSync(name).mode & 0o777, 0o640);
  });

  test('{ fd } adopts a listening socket', async (t) => {
    const name = abstractName();
    const first = startServer(t, {}, name);
    const second = makeServer(t);
    // The first lets go of it: a duplicate goes on.
    const [one, two] = USocket.pair().map((end) => cleanUp(t, end));
    one.write({ data: 'x', fds: [first] });
    const [[fd]] = await nextEvent(two, 'fds');
    first.close();
    second.listen({ fd });
    assert.deepEqual([second.fd, second.address()], [fd, name]);
    makeSocket(t, name);
    await nextEvent(second, 'connection');
  });

  test("what the system refuses is an 'error', and the server can try again", async (t) => {
    const folder = temporaryFolder(t);
    const file = path.join(folder, 'file');
    fs.writeFileSync(file, 'x');
    const plain = fs.openSync(file);
    t.after(() => fs.closeSync(plain));
    for (const [code, target] of [
      ['EADDRINUSE', file],
      ['EADDRINUSE', folder],
      ['ENOENT', `${folder}/no/such`],
      ['ENAMETOOLONG', `${folder}/${'x'.repeat(200)}`],
      ['EBADF', { fd: 987 }],
      ['ENOTSOCK', { fd: plain }],
    ]) {
      const server = makeServer(t);
      const events = eventsOf(server, ['listening', 'close']);
      assert.equal(server.listen(target), server);
      const [error] = await nextEvent(server, 'error');
      assert.equal(error.code, code);
      assert.equal(typeof error.syscall, 'string');
      assert.ok(error.errno < 0);
      await quiet();
      assert.deepEqual(events, []);
      server.listen(`${folder}/good`);
      await nextEvent(server, 'listening');
      server.close();
      await closing(server);
    }
    assert.equal(fs.readFileSync(file, 'utf8'), 'x');
  });

  for (const Server of [net.Server, UServer]) {
    test(`${Server === UServer ? 'UServer' : 'net'}: a callback of listen() is for the next time, too`, async (t) => {
      const folder = temporaryFolder(t);
      const server = new Server();
      t.after(() => server.close());
      const called = [];
      server.listen(`${folder}/no/such`, () => called.push('first'));
      await nextEvent(server, 'error');
      assert.deepEqual(called, []);
      server.listen(`${folder}/good`, () => called.push('second'));
      await nextEvent(server, 'listening');
      await quiet();
      assert.deepEqual(called, ['first', 'second']);
    });
  }

  test('faulty arguments throw', (t) => {
    const server = makeServer(t);
    for (const args of [[3], [true], [''], ['/x', -1], ['/x', 1.5], ['/x', 1, 2], [{ path: 3 }]]) {
      assert.throws(() => server.listen(...args), { code: /^ERR_/ });
    }
    assert.throws(() => server.listen({ mode: 'x' }), { code: /^ERR_/ });
    for (const args of [
      [3],
      [{ allow: true }],
      [{ signal: 1 }],
      [{ maxPendingFds: 'x' }],
      [{}, 1],
    ]) {
      assert.throws(() => new UServer(...args), { code: /^ERR_/ });
    }
  });

  test('a dead socket file is replaced, our own removed, another one left alone', async (t) => {
    const name = temporaryPath(t);
    const dead = makeServer(t).listen(`${name}~`);
    fs.linkSync(`${name}~`, name);
    dead.close();
    assert.ok(fs.existsSync(name));
    const server = makeServer(t).listen(name);
    await nextEvent(server, 'listening');
    server.close();
    assert.equal(fs.existsSync(name), false);
    const second = makeServer(t).listen(name);
    fs.unlinkSync(name);
    fs.writeFileSync(name, 'mine');
    second.close();
    assert.equal(fs.readFileSync(name, 'utf8'), 'mine');
  });
});

describe('connections', onLinux(), () => {
  test('have the options of the server', async (t) => {
    const server = startServer(t, { allowHalfOpen: true, highWaterMark: 77, receiveFds: false });
    const client = makeSocket(t, server.address());
    const [socket] = await nextEvent(server, 'connection');
    assert.deepEqual([socket.allowHalfOpen, socket.readableHighWaterMark], [true, 77]);
    const fds = [];
    socket.on('fds', (some) => fds.push(...some));
    client.write({ data: 'x', fds: [0] });
    await nextEvent(socket, 'data');
    assert.deepEqual(fds, []);
  });

  test('pauseOnConnect: nothing is read before resume()', async (t) => {
    for (const [Server, Socket] of [
      [UServer, USocket],
      [SeqpacketServer, SeqpacketSocket],
    ]) {
      const server = new Server({ pauseOnConnect: true }).listen(abstractName());
      t.after(() => server.close());
      const client = cleanUp(t, new Socket()).connect(server.address());
      client.end('hello');
      const [socket] = await nextEvent(server, 'connection');
      cleanUp(t, socket);
      client.resume();
      assert.equal(socket.isPaused(), true);
      let text = '';
      socket.on('data', (data) => (text += data));
      await delay(20);
      assert.deepEqual([text, socket.bytesRead], ['', 0]);
      socket.resume();
      await nextEvent(socket, 'end');
      assert.equal(text, 'hello');
    }
    assert.throws(() => new UServer({ pauseOnConnect: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
  });

  test('allow is asked who comes, and turns away', async (t) => {
    for (const [Server, Socket] of [
      [UServer, USocket],
      [SeqpacketServer, SeqpacketSocket],
    ]) {
      const before = countFds();
      const asked = [];
      const answers = [true, false, undefined, 1, Promise.resolve(true), true];
      const server = new Server({
        allow(peer) {
          asked.push(peer);
          return answers[asked.length - 1];
        },
      });
      t.after(() => server.close());
      const events = [];
      server.on('connection', (socket) => {
        cleanUp(t, socket).resume();
        events.push('connection');
      });
      server.on('drop', () => events.push('drop'));
      server.listen(abstractName());
      const clients = [];
      for (let round = 0; round < answers.length; round++) {
        const client = cleanUp(t, new Socket()).connect(server.address()).resume();
        clients.push(client);
        await until(() => events.length === round + 1, 'an answer');
      }
      assert.deepEqual(events, ['connection', 'drop', 'drop', 'drop', 'drop', 'connection']);
      const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
      assert.deepEqual(asked, Array(answers.length).fill(me));
      await untilConnections(server, 2);
      await Promise.all(clients.slice(1, 5).map((client) => closing(client)));
      for (const client of clients) client.destroy();
      server.close();
      await nextEvent(server, 'close');
      await assertNoLeak(before);
    }
  });

  test("allow that throws turns away: 'warning', and 'drop'", async (t) => {
    const thrown = new Error('thrown');
    let asked = 0;
    const allow = () => {
      if (asked++ === 0) throw thrown;
      return true;
    };
    const server = startServer(t, { allow });
    const [warning, drop] = [nextEvent(server, 'warning'), nextEvent(server, 'drop')];
    const first = makeSocket(t, server.address()).resume();
    await closing(first);
    assert.deepEqual(await warning, [thrown]);
    const [{ peer, reason }] = await drop;
    assert.deepEqual([reason, peer.pid], ['allow', process.pid]);
    makeSocket(t, server.address()).resume();
    await nextEvent(server, 'connection');
    await untilConnections(server, 1);
    assert.equal(asked, 2);
  });

  test("an exception of a 'connection' handler costs no other connection", async (t) => {
    const result = await runScript(t, async ({ UServer: Server, USocket: Socket }) => {
      const errors = [];
      process.on('uncaughtException', ({ message }) => errors.push(message));
      let served = 0;
      const server = new Server((socket) => {
        socket.end(`${served++}`);
        throw new Error('thrown');
      }).listen();
      const texts = await Promise.all(
        Array.from({ length: 10 }, async () => {
          let text = '';
          for await (const data of new Socket(server.address())) text += data;
          return text;
        }),
      );
      server.close();
      console.log(JSON.stringify({ texts: texts.sort(), errors: errors.length }));
    });
    assert.deepEqual(result, { texts: [...'0123456789'], errors: 10 });
  });

  test('pause() leaves them in the backlog, resume() takes them, in either order', async (t) => {
    const server = makeServer(t);
    let count = 0;
    server.on('connection', () => count++);
    assert.equal(server.pause(), server);
    server.listen(abstractName());
    const clients = Array.from({ length: 5 }, () => makeSocket(t, server.address()));
    await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
    for (const client of clients) client.write('early');
    await assertIdle('a paused server');
    assert.equal(count, 0);
    assert.equal(server.resume(), server);
    await until(() => count === 5, 'all connections');
    server.pause();
    makeSocket(t, server.address());
    await delay(20);
    assert.equal(count, 5);
    server.close();
  });

  test('a full backlog makes clients try again, without loss', async (t) => {
    const server = makeServer(t).pause().listen(abstractName(), 1);
    let text = '';
    server.on('connection', (socket) => socket.on('data', (data) => (text += data)));
    const clients = Array.from({ length: 8 }, () => {
      const client = makeSocket(t, server.address());
      client.end('x');
      return client.resume();
    });
    await delay(30);
    assert.ok(clients.some((client) => client.connecting));
    server.resume();
    await Promise.all(clients.map((client) => closing(client)));
    assert.equal(text, 'xxxxxxxx');
  });

  test('in a handler: close() and pause() of the server, destroy() of the socket', async (t) => {
    const server = startServer(t);
    let count = 0;
    server.on('connection', (socket) => {
      count++;
      socket.destroy();
      server.pause();
      setTimeout(() => server.resume(), 2);
    });
    const clients = Array.from({ length: 5 }, () => makeSocket(t, server.address()).resume());
    await Promise.all(clients.map((client) => closing(client)));
    assert.equal(count, 5);
    server.removeAllListeners('connection');
    server.on('connection', () => server.close());
    const last = [1, 2].map(() => {
      const client = makeSocket(t, server.address());
      client.on('error', () => {});
      return client.resume();
    });
    await nextEvent(server, 'connection');
    assert.equal(server.listening, false);
    for (const client of last) client.destroy();
    await closing(server);
  });

  test('iteration yields them until the server closes', async (t) => {
    const server = startServer(t);
    for (let round = 0; round < 3; round++) makeSocket(t, server.address());
    let count = 0;
    for await (const socket of server) {
      assert.ok(socket instanceof USocket);
      socket.destroy();
      if (++count === 3) server.close();
    }
    assert.equal(count, 3);
  });

  test('an AbortSignal closes the server, asyncDispose too', async (t) => {
    const abort = new AbortController();
    const server = startServer(t, { signal: abort.signal });
    await nextEvent(server, 'listening');
    abort.abort();
    await nextEvent(server, 'close');
    const other = startServer(t);
    await within(other[Symbol.asyncDispose](), 'the end of the server');
    assert.equal(other.listening, false);
  });

  test("without descriptors (EMFILE) they wait: 'warning', and all are served in the end", async (t) => {
    const result = await runScript(
      t,
      async ({ UServer: Server }, name) => {
        const fs = require('node:fs');
        const { spawn } = require('node:child_process');
        let served = 0;
        const warnings = [];
        const server = new Server((socket) => {
          served++;
          socket.resume().end();
        });
        server.on('warning', ({ code }) => warnings.push(code));
        server.listen(name);
        const child = spawn(
          process.execPath,
          [
            '--eval',
            `let left = 10; for (let i = 0; i < 10; i++) require('net').connect(${JSON.stringify(
              name,
            )}).resume().on('close', () => --left || console.log('done'));`,
          ],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        );
        const opened = [];
        try {
          for (;;) opened.push(fs.openSync('/dev/null'));
        } catch {
          // There are no more.
        }
        while (warnings.length === 0) await new Promise((done) => setTimeout(done, 5));
        const before = served;
        for (const fd of opened) fs.closeSync(fd);
        await require('node:events').once(child.stdout, 'data');
        server.close();
        console.log(JSON.stringify({ before, served, code: warnings[0], count: warnings.length }));
      },
      [temporaryPath(t)],
      { openFiles: 80 },
    );
    assert.deepEqual(result, { before: 0, served: 10, code: 'EMFILE', count: 1 });
  });
});
