'use strict';

// Owns detach(): descriptors that are given up with all that came through them, by every kind of socket and
// server, and taken over by another object or another process.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { beforeEach, describe, test } = require('node:test');
const afunix = require('../../lib');
const { assertNoLeak, closeQuietly, countFds, nulls } = require('../helpers/descriptors.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet, write } = require('../helpers/seqpacket.js');
const { closed, inbox, nextEvent, openPair, openSocket, send } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket, closeFd } = afunix;

const KINDS = [
  ['USocket', USocket, UServer],
  ['SeqpacketSocket', SeqpacketSocket, SeqpacketServer],
];

// What the test before destroyed is closed when descriptors are counted.
beforeEach(() => quiet(20));

for (const [name, Socket, Server] of KINDS) {
  describe(`detach() of a ${name}`, onLinux(), () => {
    const makePair = (t, options) => Socket.pair(options).map((end) => cleanUp(t, end));

    test('the peer notices nothing, and another object goes on', async (t) => {
      const before = countFds();
      const [one, two] = makePair(t);
      const events = eventsOf(one);
      const { fd, data, fds } = one.detach();
      assert.equal(typeof fd, 'number');
      assert.deepEqual([data, fds], [name === 'USocket' ? null : [], []]);
      assert.deepEqual([one.fd, one.destroyed, one.address()], [-1, true, '']);
      await closing(one);
      assert.deepEqual(events, ['close undefined']);
      const other = cleanUp(t, new Socket({ fd }));
      assert.equal(other.fd, fd);
      const received = nextEvent(other, 'data');
      await write(two, 'still there');
      assert.equal(String((await received)[0]), 'still there');
      const answered = nextEvent(two, 'data');
      await write(other, 'so am I');
      assert.equal(String((await answered)[0]), 'so am I');
      other.destroy();
      two.destroy();
      await assertNoLeak(before);
    });

    test('what was received and not read comes along', async (t) => {
      const before = countFds();
      const [one, two] = makePair(t, { receiveFds: true, pauseOnConnect: true });
      // In the buffer: somebody asked once, and reads no further.
      one.read(0);
      const fds = nulls(3);
      await write(two, 'first ');
      await write(two, { data: 'second', fds });
      fds.forEach(closeFd);
      const length = name === 'USocket' ? 12 : 2;
      await until(() => one.readableLength === length, 'the data to be buffered');
      // In the kernel: sent with nobody reading.
      one.pause();
      const found = one.detach();
      const text = name === 'USocket' ? String(found.data) : found.data.map(String).join('');
      assert.equal(text, 'first second');
      assert.equal(found.fds.length, 3);
      for (const fd of found.fds) closeFd(fd);
      await write(two, 'third');
      const other = cleanUp(t, new Socket(found.fd));
      assert.equal(String((await nextEvent(other, 'data'))[0]), 'third');
      other.destroy();
      two.destroy();
      await assertNoLeak(before);
    });

    test('characters come along as such', async (t) => {
      const [one, two] = makePair(t, { pauseOnConnect: true });
      one.setEncoding('utf8');
      one.read(0);
      await write(two, 'é');
      await until(() => one.readableLength > 0, 'the data to be buffered');
      const { fd, data } = one.detach();
      closeFd(fd);
      assert.deepEqual(data, name === 'USocket' ? 'é' : ['é']);
    });

    test('part of a character comes along as bytes', async (t) => {
      for (const [encoding, bytes] of [
        ['utf8', Buffer.from('a€').subarray(0, 3)],
        ['utf16le', Buffer.from([0x61, 0, 0x3d, 0xd8, 0x0a])],
        ['base64', Buffer.from([1, 2, 3, 4])],
      ]) {
        const [one, two] = makePair(t, { pauseOnConnect: true });
        one.setEncoding(encoding);
        one.read(0);
        await write(two, bytes);
        await until(() => one.bytesRead === bytes.length, 'the bytes');
        const { fd, data } = one.detach();
        closeFd(fd);
        const chunks = name === 'USocket' ? [data] : data;
        const all = chunks.map((chunk) =>
          typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk,
        );
        assert.deepEqual(Buffer.concat(all), bytes, encoding);
        two.destroy();
      }
    });

    test('throws while writes wait, and when there is no connection', async (t) => {
      const socket = cleanUp(t, new Socket());
      assert.throws(() => socket.detach(), { code: 'ENOTCONN', syscall: 'detach' });
      const [one, two] = makePair(t);
      two.pause();
      await quiet();
      while (one.writableLength === 0) one.write(Buffer.alloc(10_000), () => {});
      assert.throws(() => one.detach(), { code: 'EBUSY', syscall: 'detach' });
      assert.equal(one.destroyed, false);
      await assertIdle('a socket whose writes wait');
      two.resume();
      await until(() => one.writableLength === 0, 'everything to be sent');
      closeFd(one.detach().fd);
      assert.throws(() => one.detach(), { code: 'ENOTCONN' });
      two.destroy();
      assert.throws(() => two.detach(), { code: 'ENOTCONN' });
    });

    test('a server counts it no more', async (t) => {
      const path = temporaryPath(t);
      const server = new Server().listen(path);
      t.after(() => server.close());
      const connecting = nextEvent(server, 'connection');
      const client = cleanUp(t, new Socket()).connect(path);
      const [socket] = await connecting;
      const { fd } = socket.detach();
      t.after(() => closeQuietly(fd));
      server.close();
      await nextEvent(server, 'close');
      assert.equal(client.destroyed, false);
    });
  });

  describe(`detach() of a ${Server.name}`, onLinux(), () => {
    test('the file stays, connections wait, and another server accepts them', async (t) => {
      const path = temporaryPath(t);
      const before = countFds();
      const server = new Server().listen(path);
      t.after(() => server.close());
      const events = eventsOf(server, ['listening', 'error', 'close']);
      await nextEvent(server, 'listening');
      const { fd, data, fds } = server.detach();
      assert.deepEqual([data, fds, server.fd, server.listening], [null, [], -1, false]);
      await quiet();
      assert.deepEqual(events, ['listening', 'close undefined']);
      assert.ok(fs.existsSync(path));
      assert.throws(() => server.detach(), { code: 'ERR_SERVER_NOT_RUNNING' });
      const client = cleanUp(t, new Socket()).connect(path);
      await nextEvent(client, 'connect');
      const next = new Server((socket) => socket.end('from the next')).listen({ fd });
      t.after(() => next.close());
      assert.equal(String((await nextEvent(client, 'data'))[0]), 'from the next');
      await closing(client);
      next.close();
      await nextEvent(next, 'close');
      fs.unlinkSync(path);
      await assertNoLeak(before);
    });

    test('in the first of several connections: the others are handed over', async (t) => {
      const server = new Server().listen(temporaryPath(t)).pause();
      t.after(() => server.close());
      const clients = Array.from({ length: 3 }, () => {
        return cleanUp(t, new Socket()).connect(server.address());
      });
      await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
      const accepted = [];
      server.on('connection', (socket) => {
        accepted.push(cleanUp(t, socket));
        if (accepted.length === 1) closeFd(server.detach().fd);
      });
      server.resume();
      await until(() => accepted.length === 3, 'all connections');
      assert.equal(server.listening, false);
      for (const socket of [...clients, ...accepted]) socket.resume().end();
      await nextEvent(server, 'close');
    });

    for (const [what, isShared] of [
      ['the others are closed', false],
      ['what another listener has stays open', true],
    ]) {
      test(`in a loop that ends with it: ${what}`, async (t) => {
        const server = new Server().listen(temporaryPath(t)).pause();
        const clients = Array.from({ length: 4 }, () => {
          return cleanUp(t, new Socket()).connect(server.address());
        });
        await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
        const accepted = [];
        if (isShared) server.on('connection', (socket) => accepted.push(socket));
        server.resume();
        for await (const socket of server) {
          accepted.push(cleanUp(t, socket));
          closeFd(server.detach().fd);
          break;
        }
        await quiet(20);
        const open = new Set(accepted.filter((socket) => !socket.destroyed));
        assert.equal(open.size, isShared ? clients.length : 1);
        for (const socket of open) socket.destroy();
        for (const client of clients) await closing(client.on('error', () => {}).resume());
      });
    }

    test('in a loop that goes on: it gets the others', async (t) => {
      const server = new Server().listen(temporaryPath(t)).pause();
      const clients = Array.from({ length: 4 }, () => {
        return cleanUp(t, new Socket()).connect(server.address());
      });
      await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
      server.resume();
      let count = 0;
      for await (const socket of server) {
        cleanUp(t, socket);
        if (count === 0) closeFd(server.detach().fd);
        if (++count === clients.length) break;
        assert.equal(socket.destroyed, false);
      }
      for (const client of clients) client.destroy();
    });

    test('while it hands connections over, it may be closed', async (t) => {
      const server = new Server().listen(temporaryPath(t)).pause();
      const clients = Array.from({ length: 3 }, () => {
        return cleanUp(t, new Socket()).connect(server.address());
      });
      await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
      const codes = [];
      server.on('connection', (socket) => {
        socket.destroy();
        codes.push('connection');
        if (codes.length > 1) return server.close();
        assert.throws(() => server.detach(), { code: 'ERR_SERVER_NOT_RUNNING' });
        codes.push('thrown');
      });
      server.resume();
      await nextEvent(server, 'close');
      assert.deepEqual(codes, ['connection', 'connection', 'thrown']);
      for (const client of clients) await closing(client.on('error', () => {}).resume());
    });

    test('what was accepted stays open', async (t) => {
      const path = temporaryPath(t);
      const server = new Server().listen(path);
      t.after(() => server.close());
      const connecting = nextEvent(server, 'connection');
      const client = cleanUp(t, new Socket()).connect(path);
      const [socket] = await connecting;
      cleanUp(t, socket);
      closeFd(server.detach().fd);
      const received = nextEvent(client, 'data');
      await write(socket, 'still here');
      assert.equal(String((await received)[0]), 'still here');
      const ending = nextEvent(server, 'close');
      socket.destroy();
      await ending;
    });
  });
}

describe('detach() of a DgramSocket', onLinux(), () => {
  test('the name stays, and another object receives', async (t) => {
    const path = temporaryPath(t);
    const before = countFds();
    const socket = new DgramSocket().bind(path);
    let closes = 0;
    socket.on('close', () => closes++);
    const { fd, data, fds } = socket.detach();
    assert.deepEqual([data, fds, socket.fd], [null, [], -1]);
    await quiet();
    assert.equal(closes, 1);
    assert.throws(() => socket.detach(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
    assert.ok(fs.existsSync(path));
    const sender = openSocket(t);
    sender.sendTo('in between', path);
    const other = openSocket(t, { fd });
    const messages = inbox(other);
    assert.equal(String((await messages.next()).data), 'in between');
    assert.equal(other.address(), path);
    await Promise.all([closed(other), closed(sender)]);
    assert.ok(fs.existsSync(path), 'the file of an adopted socket is not removed');
    await assertNoLeak(before);
  });

  test('throws while messages wait', async (t) => {
    const [one, two] = openPair(t);
    const { fd: stopped } = two.detach();
    while (one.writableLength === 0) one.send('x', () => {});
    assert.throws(() => one.detach(), { code: 'EBUSY', syscall: 'detach' });
    const messages = inbox(openSocket(t, { fd: stopped }));
    await until(() => one.writableLength === 0, 'everything to be sent');
    await messages.next();
    const again = openSocket(t, { fd: one.detach().fd });
    await send(again, 'the last');
    let text;
    do text = String((await messages.next()).data);
    while (text === 'x');
    assert.equal(text, 'the last');
  });
});

test('another process goes on where this one stopped', onLinux(), async (t) => {
  const [one, two] = USocket.pair().map((end) => cleanUp(t, end));
  const [parent, child] = afunix.socketpair();
  const program = startScript(
    t,
    ({ USocket: Socket }) => {
      new Socket(3).on('fds', ([fd]) => {
        new Socket(fd).end('from another process');
      });
    },
    [],
    { stdio: ['pipe', 'pipe', 'pipe', child] },
  );
  closeFd(child);
  const { fd } = one.detach();
  const channel = cleanUp(t, new USocket(parent));
  await write(channel, { data: 'x', fds: [fd] });
  closeFd(fd);
  assert.equal(String((await nextEvent(two, 'data'))[0]), 'from another process');
  two.resume();
  await closing(two);
  channel.destroy();
  await program.ended();
});
