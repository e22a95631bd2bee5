'use strict';

// Owns listen() of SeqpacketServer: its overloads, names, files and descriptors. For connections
// see seqpacket-server.test.js.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { SeqpacketServer, SeqpacketSocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const {
  closing,
  connectTo,
  eventsOf,
  makeServer,
  messagesOf,
  quiet,
  startServer,
  texts,
} = require('../helpers/seqpacket.js');
const { closed, leaveDeadFile } = require('../helpers/sockets.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** Connects, sends and reads one message back: the server has to echo. */
async function assertEcho(t, name) {
  const client = connectTo(t, name);
  const messages = messagesOf(client);
  client.write('are you there?');
  assert.deepEqual(await texts(messages, 1), ['are you there?']);
  client.end();
  await closing(client);
}

const echo = (socket) => socket.pipe(socket);

describe('listen()', onLinux(), () => {
  const WAYS = {
    'a string': (file) => [file],
    'a Buffer': (file) => [Buffer.from(file)],
    'a URL': (file) => [pathToFileURL(file)],
    'an object': (file) => [{ path: file }],
    'an object with backlog and mode': (file) => [{ path: file, backlog: 5, mode: 0o600 }],
    'a backlog': (file) => [file, 5],
  };
  for (const [what, makeArguments] of Object.entries(WAYS)) {
    for (const withCallback of [false, true]) {
      test(`takes ${what}${withCallback ? ' and a callback' : ''}`, async (t) => {
        const file = temporaryPath(t);
        const server = makeServer(t, echo);
        const events = [];
        server.on('listening', () => events.push('event'));
        const callback = () => events.push('callback');
        const args = makeArguments(file).concat(withCallback ? [callback] : []);
        assert.equal(server.listen(...args), server);
        // Synchronous: somebody can connect already.
        assert.equal(server.listening, true);
        assert.equal(server.address(), file);
        assert.ok(server.fd >= 0);
        assert.deepEqual(events, []);
        await assertEcho(t, file);
        assert.deepEqual(events, withCallback ? ['event', 'callback'] : ['event']);
        const { mode } = fs.statSync(file);
        if (what.includes('mode')) assert.equal(mode & 0o777, 0o600);
        await closed(server);
        assert.equal(fs.existsSync(file), false);
        assert.equal(server.listening, false);
        assert.equal(server.address(), null);
        assert.equal(server.fd, -1);
      });
    }
  }

  test('takes a path, a backlog and a callback that is undefined', (t) => {
    const name = abstractName();
    const server = makeServer(t).listen(name, undefined, undefined);
    assert.equal(server.listening, true);
    assert.equal(server.address(), name);
  });

  for (const [what, args] of [
    ['nothing', []],
    ['a callback alone', [() => {}]],
    ['options without a path', [{ backlog: 3 }]],
  ]) {
    test(`has the kernel choose an abstract name for ${what}`, async (t) => {
      const server = makeServer(t, echo).listen(...args);
      assert.match(server.address(), /^\0[0-9a-f]{5}$/);
      await assertEcho(t, server.address());
    });
  }

  test('takes abstract names with more NULs, and of 107 bytes', async (t) => {
    for (const name of [`${abstractName()}\0x\0`, abstractName().padEnd(108, 'x')]) {
      const server = makeServer(t, echo).listen(name);
      assert.equal(server.address(), name);
      await assertEcho(t, name);
    }
  });

  test('takes an open descriptor of a listening socket', async (t) => {
    // Left behind by a parent process, which passes it as descriptor 3.
    const name = abstractName();
    const parent = startServer(t, undefined, name);
    const result = await runScript(
      t,
      ({ SeqpacketServer: Server }) => {
        const server = new Server((socket) => {
          socket.pipe(socket);
          socket.on('close', () => server.close());
        });
        server.listen({ fd: 3 });
        const { SeqpacketSocket: Socket } = require(process.env.AFUNIX);
        const client = new Socket().connect(server.address());
        client.end('hello');
        client.on('data', (message) => console.log(JSON.stringify(String(message))));
      },
      [],
      {
        stdio: ['pipe', 'pipe', 'pipe', parent.pause().fd],
        env: { ...process.env, AFUNIX: path.join(__dirname, '..', '..', 'lib') },
      },
    );
    assert.equal(result, 'hello');
  });

  test('throws for descriptors that are no listening seqpacket socket, and leaves them', (t) => {
    const file = fs.openSync(__filename);
    t.after(() => fs.closeSync(file));
    for (const [fd, code] of [
      [9999, 'EBADF'],
      [file, 'ENOTSOCK'],
      [startServer(t), 'EEXIST'],
      [-1, 'ERR_OUT_OF_RANGE'],
      ['3', 'ERR_INVALID_ARG_TYPE'],
    ]) {
      const server = makeServer(t);
      assert.throws(() => server.listen({ fd }), { code });
      assert.equal(server.listening, false);
    }
    fs.fstatSync(file);
  });

  test('throws EADDRINUSE for a live server, which goes on', async (t) => {
    for (const name of [temporaryPath(t), abstractName()]) {
      const server = makeServer(t, echo).listen(name);
      const other = makeServer(t);
      const failure = { code: 'EADDRINUSE', syscall: 'listen', path: name };
      assert.throws(() => other.listen(name), failure);
      assert.equal(other.listening, false);
      await assertEcho(t, name);
      // It can still listen elsewhere. The callback of a call that failed is never called.
      const called = [];
      assert.throws(() => other.listen(name, () => called.push('failed')), failure);
      other.listen(abstractName(), () => called.push('listens'));
      await once(other, 'listening');
      assert.deepEqual(called, ['listens']);
      await closed(server);
    }
  });

  test('does not show itself to a live server as a connection', async (t) => {
    const name = temporaryPath(t);
    const server = makeServer(t);
    let connections = 0;
    server.on('connection', (socket) => {
      connections++;
      socket.destroy();
    });
    server.listen(name);
    for (let turn = 0; turn < 3; turn++) {
      assert.throws(() => makeServer(t).listen(name), { code: 'EADDRINUSE' });
    }
    const client = new SeqpacketSocket();
    client.connect(name);
    await once(client, 'close');
    assert.equal(connections, 1);
  });

  test('throws EADDRINUSE for a file that is no socket, and leaves it alone', (t) => {
    const folder = temporaryFolder(t);
    const file = path.join(folder, 'file');
    fs.writeFileSync(file, 'text');
    fs.symlinkSync(file, path.join(folder, 'link'));
    fs.mkdirSync(path.join(folder, 'folder'));
    for (const name of ['file', 'link', 'folder']) {
      const there = path.join(folder, name);
      assert.throws(() => makeServer(t).listen(there), { code: 'EADDRINUSE', path: there });
    }
    assert.equal(fs.readFileSync(path.join(folder, 'link'), 'utf8'), 'text');
    assert.deepEqual(fs.readdirSync(folder), ['file', 'folder', 'link']);
  });

  test('replaces a dead socket file', async (t) => {
    const file = temporaryPath(t);
    await leaveDeadFile(file);
    makeServer(t, echo).listen(file);
    await assertEcho(t, file);
  });

  test('replaces the file of a server that was killed', async (t) => {
    const file = temporaryPath(t);
    const body = ({ SeqpacketServer: Server }, name) => {
      new Server().listen(name, () => console.log('"listens"'));
    };
    const program = startScript(t, body, [file]);
    await program.lines.next();
    assert.throws(() => makeServer(t).listen(file), { code: 'EADDRINUSE' });
    program.kill('SIGKILL');
    await program.ended();
    assert.ok(fs.existsSync(file));
    makeServer(t, echo).listen(file);
    await assertEcho(t, file);
  });

  test('throws for bad arguments, and leaves nothing open', async (t) => {
    const before = countFds();
    const server = makeServer(t);
    for (const [args, code] of [
      [['/tmp/'.padEnd(109, 'x')], 'ENAMETOOLONG'],
      [['\0'.padEnd(109, 'x')], 'ENAMETOOLONG'],
      [['/nonexistent/a.sock'], 'ENOENT'],
      [[''], 'ERR_INVALID_ARG_VALUE'],
      [['a\0b'], 'ERR_INVALID_ARG_VALUE'],
      [[5], 'ERR_INVALID_ARG_VALUE'],
      [[{ port: 5 }], 'ERR_INVALID_ARG_VALUE'],
      [[{ host: 'localhost' }], 'ERR_INVALID_ARG_VALUE'],
      [[abstractName(), -1], 'ERR_OUT_OF_RANGE'],
      [[abstractName(), '5'], 'ERR_INVALID_ARG_TYPE'],
      [[abstractName(), 5, 'callback'], 'ERR_INVALID_ARG_TYPE'],
      [[{ path: abstractName(), mode: 'rw' }], 'ERR_INVALID_ARG_TYPE'],
    ]) {
      assert.throws(() => server.listen(...args), { code }, String(args));
      assert.equal(server.listening, false);
    }
    assert.throws(() => new SeqpacketServer({ receiveFds: 'yes' }), {
      code: 'ERR_INVALID_ARG_TYPE',
    });
    assert.throws(() => new SeqpacketServer('listener'), { code: 'ERR_INVALID_ARG_TYPE' });
    await assertNoLeak(before);
    assert.equal(server.listenerCount('listening'), 0);
  });

  test('throws while it listens, and can listen again after close()', async (t) => {
    const server = makeServer(t, echo);
    for (const name of [abstractName(), temporaryPath(t), abstractName()]) {
      server.listen(name);
      assert.throws(() => server.listen(abstractName()), { code: 'ERR_SERVER_ALREADY_LISTEN' });
      await assertEcho(t, name);
      await closed(server);
    }
  });

  test("emits no 'listening' if it is closed before", async (t) => {
    const server = makeServer(t);
    const events = eventsOf(server, ['listening', 'error']);
    server.listen(abstractName()).close();
    await quiet();
    assert.deepEqual(events, []);
  });
});
