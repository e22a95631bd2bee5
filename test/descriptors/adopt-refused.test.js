'use strict';

// Owns descriptors that a socket or server refuses to adopt: they stay open, the caller's, and of use to
// whoever has them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const lib = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { open, own, pair } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = lib;
const { AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } = posix;

/** Asserts that what adopts throws this code, or emits it, and that the descriptor is still open. */
async function refuses(adopt, fd, code) {
  const { ino } = fs.fstatSync(fd);
  const flags = () => [posix.F_GETFL, posix.F_GETFD].map((command) => posix.fcntl(fd, command));
  const before = flags();
  let failure;
  try {
    const emitter = adopt(fd);
    [failure] = await nextEvent(emitter, 'error');
  } catch (error) {
    failure = error;
  }
  assert.equal(failure.code, code);
  assert.equal(fs.fstatSync(fd).ino, ino);
  // Others may have it, who rely on its flags.
  assert.deepEqual(flags(), before);
}

/** Sends from one descriptor to the other. */
function assertConnected(from, to) {
  posix.send(from, Buffer.from('still'));
  const room = Buffer.alloc(10);
  assert.equal(room.toString('utf8', 0, posix.recv(to, room)), 'still');
}

describe('a descriptor that is not adopted is still open', onLinux(), () => {
  for (const [name, Server, type] of [
    ['UServer', UServer, SOCK_STREAM],
    ['SeqpacketServer', SeqpacketServer, SOCK_SEQPACKET],
  ]) {
    test(`EINVAL: ${name}, of a socket that does not listen`, async (t) => {
      const [one, two] = pair(t, type);
      await refuses((fd) => new Server().listen({ fd }), one, 'EINVAL');
      assertConnected(one, two);
      const fresh = open(t, AF_UNIX, type);
      await refuses((fd) => new Server().listen({ fd }), fresh, 'EINVAL');
      posix.bind(fresh, { sun_family: AF_UNIX, sun_path: temporaryPath(t) });
      posix.listen(fresh, 1);
    });
  }

  for (const [name, Class, type, other] of [
    ['USocket', USocket, SOCK_STREAM, SOCK_SEQPACKET],
    ['SeqpacketSocket', SeqpacketSocket, SOCK_SEQPACKET, SOCK_DGRAM],
    ['DgramSocket', DgramSocket, SOCK_DGRAM, SOCK_STREAM],
  ]) {
    test(`EPROTOTYPE: ${name}, of another type`, async (t) => {
      const [one, two] = pair(t, other);
      await refuses((fd) => new Class({ fd }), one, 'EPROTOTYPE');
      assertConnected(one, two);
    });

    test(`ENOTSOCK, EAFNOSUPPORT: ${name}, of no Unix socket`, async (t) => {
      const file = fs.openSync('/dev/null');
      await refuses((fd) => new Class({ fd }), file, 'ENOTSOCK');
      fs.closeSync(file);
      const inet = open(t, AF_INET, type === SOCK_SEQPACKET ? SOCK_STREAM : type);
      await refuses((fd) => new Class({ fd }), inet, 'EAFNOSUPPORT');
    });

    test(`EEXIST: ${name}, of a socket of this package`, async (t) => {
      const [holder, peer] = Class.pair();
      for (const end of [holder, peer]) t.after(() => end.close());
      await refuses((fd) => new Class({ fd }), holder.fd, 'EEXIST');
      const data = nextEvent(peer, 'data');
      if (Class === DgramSocket) holder.send('still');
      else holder.write('still');
      assert.equal(String((await data)[0]), 'still');
    });
  }

  test('EEXIST: of a socket of this package that waits for nothing, and so is not watched', async (t) => {
    for (const Class of [USocket, SeqpacketSocket]) {
      const [holder, peer] = Class.pair({ pauseOnConnect: true });
      for (const end of [holder, peer]) cleanUp(t, end);
      await refuses((fd) => new Class({ fd }), holder.fd, 'EEXIST');
      peer.resume().write('still');
      assert.equal(String((await nextEvent(holder.resume(), 'data'))[0]), 'still');
    }
    const holder = new DgramSocket();
    t.after(() => holder.close());
    await refuses((fd) => new DgramSocket({ fd }), holder.fd, 'EEXIST');
    holder.bind();
    const server = new UServer().listen(abstractName()).pause();
    t.after(() => server.close());
    await refuses((fd) => new UServer().listen({ fd }), server.fd, 'EEXIST');
  });

  test('EEXIST: USocket, of a socket that Node watches; its owner goes on', async (t) => {
    const path = temporaryPath(t);
    const server = net.createServer((socket) => cleanUp(t, socket).pipe(socket)).listen(path);
    t.after(() => server.close());
    const client = cleanUp(t, net.connect(path));
    await nextEvent(client, 'connect');
    // Its poll is armed.
    client.on('data', () => {});
    client.write('first');
    await nextEvent(client, 'data');
    const { fd } = client._handle;
    await refuses((taken) => new USocket({ fd: taken }), fd, 'EEXIST');
    client.write('still');
    assert.equal(String((await nextEvent(client, 'data'))[0]), 'still');
  });

  test('EEXIST: UServer, of a listener that Node watches; its owner goes on', async (t) => {
    const path = temporaryPath(t);
    const server = net.createServer((socket) => cleanUp(t, socket).end('still')).listen(path);
    t.after(() => server.close());
    await nextEvent(server, 'listening');
    await refuses((fd) => new UServer().listen({ fd }), server._handle.fd, 'EEXIST');
    const client = cleanUp(t, net.connect(path));
    assert.equal(String((await nextEvent(client, 'data'))[0]), 'still');
  });

  test('EEXIST: UServer, of a listener of this package', async (t) => {
    const server = new UServer((socket) => cleanUp(t, socket).end('still')).listen(abstractName());
    t.after(() => server.close());
    await refuses((fd) => new UServer().listen({ fd }), server.fd, 'EEXIST');
    const client = cleanUp(t, new USocket(server.address()));
    assert.equal(String((await nextEvent(client, 'data'))[0]), 'still');
  });

  test('a refused descriptor is adopted by whom it suits', async (t) => {
    const [one, two] = lib.socketpair(SOCK_SEQPACKET);
    own(t, two);
    await refuses((fd) => new USocket({ fd }), one, 'EPROTOTYPE');
    await refuses((fd) => new SeqpacketServer().listen({ fd }), one, 'EINVAL');
    const socket = cleanUp(t, new SeqpacketSocket({ fd: one }));
    assert.equal(socket.fd, one);
    posix.send(two, Buffer.from('still'));
    assert.equal(String((await nextEvent(socket, 'data'))[0]), 'still');
  });
});
