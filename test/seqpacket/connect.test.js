'use strict';

// Owns what comes with the messages of a SeqpacketSocket and before them: descriptors,
// credentials, pair(), adopting a descriptor, connect() and how it fails or waits.

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { SeqpacketSocket } = require('../../lib');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const {
  closing,
  connectTo,
  connectedPair,
  eventsOf,
  fillUp,
  makePair,
  makeServer,
  makeSocket,
  messagesOf,
  startServer,
  texts,
  write,
} = require('../helpers/seqpacket.js');
const {
  Outcomes,
  leaveDeadFile,
  nextEvent,
  openPair,
  openSocket,
} = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { delay, until } = require('../helpers/wait.js');

assertNoLeaks();

/** Opens files; `close()` closes them again. */
function openFiles(paths) {
  const fds = paths.map((file) => fs.openSync(file));
  return { fds, close: () => fds.forEach((fd) => fs.closeSync(fd)) };
}

/** A server whose backlog is full, with those who fill it: `{ server, sockets, waiting }`. */
function fullServer(t) {
  const server = makeServer(t).listen(abstractName(), 0).pause();
  const first = connectTo(t, server.address());
  const waiting = connectTo(t, server.address());
  return { server, sockets: [first, waiting], waiting };
}

describe('descriptors', onLinux(), () => {
  for (const count of [1, 2, 64, 253]) {
    for (const text of ['with descriptors', '']) {
      test(`${count} come with a message of ${text.length} bytes`, async (t) => {
        const before = countFds();
        const { paths, texts: contents } = makeFiles(t, count);
        const [one, two] = makePair(t, { receiveFds: true });
        const messages = messagesOf(two);
        const { fds, close } = openFiles(paths);
        one.write('plain');
        one.write({ data: text, fds });
        // Ours to close at once.
        close();
        one.write('plain');
        const [first, message, last] = await messages.take(3);
        assert.deepEqual([first, message, last].map(String), ['plain', text, 'plain']);
        assert.deepEqual([first.fds, last.fds], [[], []]);
        assert.equal(message.fds, message.fds);
        assert.deepEqual(readAndClose(message.fds), contents);
        one.destroy();
        two.destroy();
        await assertNoLeak(before);
      });
    }
  }

  test('may be closed while their message is queued', async (t) => {
    const { paths, texts: contents } = makeFiles(t, 3);
    const [one, two] = makePair(t, { receiveFds: true });
    two.pause();
    const count = await fillUp(one);
    const before = countFds();
    const { fds, close } = openFiles(paths);
    one.write({ data: 'queued', fds });
    close();
    assert.equal(countFds(), before + 3);
    one.write('after');
    const messages = messagesOf(two);
    two.resume();
    await messages.take(count);
    const [message, after] = await messages.take(2);
    assert.equal(String(message), 'queued');
    assert.deepEqual(readAndClose(message.fds), contents);
    assert.deepEqual(after.fds, []);
    assert.equal(countFds(), before);
  });

  test('of queued messages are closed with the socket, connected or connecting', async (t) => {
    const { waiting } = fullServer(t);
    const [one, two] = makePair(t);
    two.pause();
    await fillUp(one);
    for (const socket of [one, waiting]) {
      const before = countFds();
      socket.write({ data: 'never sent', fds: [0, 1, 2] });
      assert.equal(countFds(), before + 3);
      socket.destroy();
      await closing(socket);
      assert.equal(countFds(), before - 1);
    }
  });

  test('arrive at a server that accepts later', async (t) => {
    const { paths } = makeFiles(t, 2);
    const inodes = paths.map((file) => fs.statSync(file).ino);
    const server = makeServer(t, { receiveFds: true }).listen(abstractName(), 0).pause();
    // One connects, the others wait for room in the backlog.
    const clients = Array.from({ length: 3 }, () => connectTo(t, server.address()));
    const { fds, close } = openFiles(paths);
    clients.forEach((client, index) => client.write({ data: `${index}`, fds }));
    close();
    const seen = [];
    server.on('connection', (socket) => {
      socket.on('data', (message) => {
        seen.push(String(message));
        const found = message.fds.map((fd) => fs.fstatSync(fd).ino);
        message.fds.forEach((fd) => fs.closeSync(fd));
        assert.deepEqual(found, inodes);
      });
    });
    server.resume();
    await until(() => seen.length === clients.length, 'all messages');
    assert.deepEqual(seen.sort(), clients.map((_, index) => `${index}`).sort());
  });

  test('may be given as objects that hold one', async (t) => {
    const server = net.createServer().listen(0, '127.0.0.1');
    t.after(() => server.close());
    await nextEvent(server, 'listening');
    const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    t.after(() => udp.close());
    await nextEvent(udp, 'listening');
    const file = await fs.promises.open(__filename);
    t.after(() => file.close());
    const [one, two] = makePair(t, { receiveFds: true });
    const holders = [server, udp, file, one, startServer(t), openSocket(t).bind(abstractName())];
    one.write({ data: 'objects', fds: holders });
    const { fds } = await messagesOf(two).next();
    const kinds = fds.map((fd) => fs.readlinkSync(`/proc/self/fd/${fd}`).replace(/\[\d+\]/, ''));
    fds.forEach((fd) => fs.closeSync(fd));
    const socket = 'socket:';
    assert.deepEqual(kinds, [socket, socket, __filename, socket, socket, socket]);
    assert.throws(() => one.write({ data: '', fds: [makeSocket(t)] }), TypeError);
  });

  test('that nobody takes are closed with the socket; those taken are not', async (t) => {
    const before = countFds();
    const { paths, texts: contents } = makeFiles(t, 5);
    const [one, two] = makePair(t, { receiveFds: true });
    const messages = messagesOf(two);
    const { fds, close } = openFiles(paths);
    for (let count = 0; count < 4; count++) one.write({ data: `${count}`, fds });
    close();
    const received = await messages.take(4);
    const taken = received[1].fds;
    one.destroy();
    two.destroy();
    await assertNoLeak(before + 5);
    assert.deepEqual(readAndClose(taken), contents);
    assert.deepEqual(received[1].fds, taken);
    assert.throws(() => received[2].fds, { code: 'ERR_AFUNIX_FDS_CLOSED' });
    await assertNoLeak(before);
  });

  test('are discarded by the kernel without receiveFds', async (t) => {
    const [one, two] = makePair(t);
    const messages = messagesOf(two);
    const before = countFds();
    for (let count = 0; count < 10; count++) one.write({ data: 'x', fds: [0, 1, 2] });
    const [message] = await messages.take(10);
    assert.equal('fds' in message, false);
    assert.equal(countFds(), before);
  });

  test('beyond maxPendingFds are closed, and an error', async (t) => {
    const [one, two] = makePair(t, { receiveFds: true, maxPendingFds: 4 });
    const before = countFds();
    const events = eventsOf(two, ['error', 'close']);
    const received = [];
    two.on('data', (message) => received.push(String(message)));
    for (let count = 0; count < 3; count++) one.write({ data: `${count}`, fds: [0, 1] });
    await closing(two);
    assert.deepEqual(events, ['error ERR_AFUNIX_TOO_MANY_FDS', 'close true']);
    assert.deepEqual(received, ['0', '1', '2']);
    one.destroy();
    await assertNoLeak(before - 2);
  });

  test('a bad one fails its write alone', async (t) => {
    const [one, two] = makePair(t, { receiveFds: true });
    const messages = messagesOf(two);
    await assert.rejects(write(one, { data: 'bad', fds: [0, 9999] }), { code: 'EBADF' });
    one.write('good');
    assert.deepEqual(await texts(messages, 1), ['good']);
  });
});

describe('credentials', onLinux(), () => {
  const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };

  test('of the peer are known at both ends, and of each message on request', async (t) => {
    const options = { credentials: true };
    const { client, socket } = await connectedPair(t, options);
    for (const end of [client, socket]) assert.deepEqual(end.peerCredentials, me);
    client.write('hello');
    const message = await messagesOf(socket).next();
    assert.deepEqual(message.credentials, me);
    const [one, two] = makePair(t);
    assert.deepEqual(one.peerCredentials, me);
    one.write('hello');
    assert.equal('credentials' in (await messagesOf(two).next()), false);
    one.destroy();
    assert.equal(one.peerCredentials, undefined);
    assert.equal(makeSocket(t).peerCredentials, undefined);
  });

  test('come with descriptors, and name another process', async (t) => {
    const server = startServer(t, { credentials: true, receiveFds: true });
    const connected = nextEvent(server, 'connection');
    const body = ({ SeqpacketSocket: Socket }, name) => {
      const socket = new Socket().connect(name);
      socket.write({ data: 'hello', fds: [0, 1] });
      socket.on('data', () => socket.end());
      console.log(JSON.stringify(process.pid));
    };
    const running = runScript(t, body, [server.address()]);
    const [socket] = await connected;
    const message = await messagesOf(socket).next();
    assert.equal(message.fds.length, 2);
    message.fds.forEach((fd) => fs.closeSync(fd));
    socket.end('bye');
    const pid = await running;
    assert.equal(message.credentials.pid, pid);
    assert.notEqual(pid, process.pid);
  });
});

describe('adopting a descriptor', onLinux(), () => {
  test('makes a socket of it, in another process too', async (t) => {
    const [one, two] = makePair(t);
    const body = ({ SeqpacketSocket: Socket }) => {
      const socket = new Socket({ fd: 3 });
      socket.on('data', (message) => socket.write(`got ${message}`));
      socket.on('end', () => console.log('"end"'));
    };
    const options = { stdio: ['pipe', 'pipe', 'pipe', two.fd] };
    two.pause();
    const running = runScript(t, body, [], options);
    const messages = messagesOf(one);
    await delay(50);
    one.write('hello');
    one.write('');
    // Here it is closed, there it goes on.
    two.destroy();
    const answers = await texts(messages, 2);
    assert.deepEqual(answers.sort(), ['got ', 'got hello']);
    one.end();
    assert.equal(await running, 'end');
  });

  test('throws for what is no connected seqpacket socket, and leaves it', async (t) => {
    const file = fs.openSync(__filename);
    const [datagram] = openPair(t);
    const listener = startServer(t);
    const inet = net.createServer().listen(0);
    t.after(() => inet.close());
    await nextEvent(inet, 'listening');
    for (const [fd, code] of [
      [9999, 'EBADF'],
      [file, 'ENOTSOCK'],
      [datagram, /EEXIST|EPROTOTYPE/],
      [listener, /EEXIST|EINVAL|ENOTCONN/],
      [inet, /EAFNOSUPPORT|EPROTOTYPE/],
      [-1, 'ERR_OUT_OF_RANGE'],
      ['x', 'ERR_INVALID_ARG_TYPE'],
    ]) {
      assert.throws(() => new SeqpacketSocket({ fd }), { code });
    }
    assert.throws(() => new SeqpacketSocket(9999), { code: 'EBADF', syscall: 'adopt' });
    fs.closeSync(file);
  });
});

describe('connect()', onLinux(), () => {
  test('takes a string, Buffer, URL or object; calls back in a later tick', async (t) => {
    const file = temporaryPath(t);
    const server = startServer(t, undefined, file);
    for (const to of [file, Buffer.from(file), pathToFileURL(file), { path: file }]) {
      for (const withCallback of [true, false]) {
        const client = makeSocket(t);
        const events = eventsOf(client, ['connect', 'ready', 'error']);
        let calls = 0;
        const callback = withCallback ? [() => calls++] : [];
        assert.equal(client.connect(to, ...callback), client);
        assert.deepEqual([events.length, calls], [0, 0]);
        await nextEvent(client, 'ready');
        assert.deepEqual(events, ['connect', 'ready']);
        assert.equal(calls, callback.length);
        assert.equal(client.readyState, 'open');
        assert.equal(client.remoteAddress, file);
        assert.throws(() => client.connect(file), { code: 'EISCONN' });
      }
    }
    server.close();
  });

  test('is EISCONN while it connects, which goes on', async (t) => {
    const file = temporaryPath(t);
    const server = startServer(t, undefined, file);
    const client = makeSocket(t);
    const events = eventsOf(client, ['connect', 'error', 'close']);
    client.connect(file);
    assert.throws(() => client.connect(file), { code: 'EISCONN', syscall: 'connect' });
    assert.equal(client.readyState, 'opening');
    const [[accepted]] = await Promise.all([
      nextEvent(server, 'connection'),
      nextEvent(client, 'connect'),
    ]);
    client.write('hello');
    assert.equal(String((await nextEvent(accepted, 'data'))[0]), 'hello');
    assert.deepEqual(events, ['connect']);
    server.close();
  });

  test('throws for bad arguments', (t) => {
    const client = makeSocket(t);
    for (const bad of [undefined, '', 5, 'a\0b', {}, new URL('http://localhost/')]) {
      assert.throws(() => client.connect(bad), { code: /^ERR_/ });
    }
    assert.throws(() => client.connect('x', 'y'), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => makeSocket(t, { connectTimeout: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => makeSocket(t, { receiveFds: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => makeSocket(t, 'x'), { code: 'ERR_INVALID_ARG_TYPE' });
  });

  for (const [what, makePath, code] of [
    ['nothing', async (t) => temporaryPath(t), 'ENOENT'],
    ['an abstract name that nobody has', async () => abstractName(), 'ECONNREFUSED'],
    [
      'a dead file',
      async (t) => {
        const file = temporaryPath(t);
        await leaveDeadFile(file);
        return file;
      },
      'ECONNREFUSED',
    ],
    [
      'a stream socket',
      async (t) => {
        const server = net.createServer().listen(temporaryPath(t));
        t.after(() => server.close());
        await nextEvent(server, 'listening');
        return server.address();
      },
      'EPROTOTYPE',
    ],
    [
      'a datagram socket',
      async (t) => openSocket(t).bind(temporaryPath(t)).address(),
      'EPROTOTYPE',
    ],
    ['a path that is too long', async () => '/tmp/'.padEnd(109, 'x'), 'ENAMETOOLONG'],
    ['an abstract name that is too long', async () => '\0'.padEnd(109, 'x'), 'ENAMETOOLONG'],
    ['below a file', async () => path.join(__filename, 'x'), 'ENOTDIR'],
  ]) {
    test(`to ${what} emits 'error' ${code}, then 'close'`, async (t) => {
      const before = countFds();
      const to = await makePath(t);
      const more = countFds() - before;
      const client = makeSocket(t);
      const events = eventsOf(client);
      let failure;
      client.on('error', (error) => (failure = error));
      const outcomes = new Outcomes();
      client.connect(to, () => events.push('callback'));
      client.write('never sent', outcomes.callback());
      assert.deepEqual(events, []);
      await closing(client);
      assert.deepEqual(events, [`error ${code}`, 'close true']);
      assert.equal(failure.syscall, 'connect');
      assert.equal(failure.path, to);
      assert.ok(failure.errno < 0);
      assert.match(failure.message, new RegExp(`^${code}: .*, connect `));
      assert.equal(outcomes.codes.length, 1);
      assert.notEqual(outcomes.codes[0][1], undefined);
      await assertNoLeak(before + more);
    });
  }

  test('waits for room in a full backlog; writes before it are delivered in order', async (t) => {
    const { server, sockets, waiting } = fullServer(t);
    const more = Array.from({ length: 5 }, () => connectTo(t, server.address()));
    const clients = [...sockets, ...more];
    const events = [];
    waiting.on('connect', () => events.push('connect'));
    for (const client of clients) {
      for (let count = 0; count < 20; count++) client.write(`${count}`);
      client.end('end');
    }
    waiting.once('finish', () => events.push('finish'));
    assert.equal(waiting.connecting, true);
    assert.equal(waiting.readyState, 'opening');
    assert.ok(waiting.writableLength > 0);
    let complete = 0;
    server.on('connection', async (socket) => {
      const got = await messagesOf(socket).take(21);
      assert.deepEqual(got.map(String), [...Array(20).keys(), 'end'].map(String));
      complete++;
    });
    await delay(50);
    assert.equal(waiting.connecting, true);
    server.resume();
    await until(() => complete === clients.length, 'all messages of all clients');
    assert.deepEqual(events, ['connect', 'finish']);
  });

  test("a full backlog: 'connect' comes before the callbacks of writes", async (t) => {
    const { server, waiting } = fullServer(t);
    const order = [];
    waiting.on('connect', () => order.push('connect'));
    waiting.write('x', () => order.push('written'));
    server.resume();
    await until(() => order.length === 2, 'both');
    assert.deepEqual(order, ['connect', 'written']);
  });

  test('a full backlog: ETIMEDOUT after connectTimeout, without using the processor', async (t) => {
    const { server } = fullServer(t);
    const client = makeSocket(t, { connectTimeout: 1500 });
    const events = eventsOf(client);
    const started = performance.now();
    const before = process.cpuUsage();
    client.connect(server.address());
    const written = write(client, 'never sent');
    await assert.rejects(written, { code: 'ETIMEDOUT' });
    await closing(client);
    const { user, system } = process.cpuUsage(before);
    const lasted = performance.now() - started;
    assert.deepEqual(events, ['error ETIMEDOUT', 'close true']);
    assert.ok(lasted > 1400 && lasted < 60_000, `${lasted} ms`);
    assert.ok((user + system) / 1000 < 1000, `${(user + system) / 1000} ms CPU`);
  });

  test('a full backlog whose server closes: ECONNREFUSED', async (t) => {
    const { server, sockets, waiting } = fullServer(t);
    const events = eventsOf(waiting);
    for (const socket of sockets) socket.on('error', () => {});
    server.close();
    await closing(waiting);
    assert.deepEqual(events, ['error ECONNREFUSED', 'close true']);
  });
});
