'use strict';

// Owns fromFd(): which object fits which descriptor, that it works, and who owns the descriptor.

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { describe, test } = require('node:test');
const {
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  closeFd,
  fdType,
  fromFd,
  socketpair,
} = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

/** Passes a descriptor through a socket, as to another process: the copy is another number. */
async function passed(holder) {
  const [here, there] = USocket.pair();
  const arrived = once(there, 'fds');
  here.write({ data: 'x', fds: [holder] });
  const [[fd]] = await arrived;
  here.destroy();
  there.destroy();
  return fd;
}

/** Everything that a stream says until its end. */
const text = async (stream) => Buffer.concat(await stream.toArray()).toString();

describe('fromFd() makes', () => {
  const pairs = {
    SOCK_STREAM: USocket,
    SOCK_DGRAM: DgramSocket,
    ...(process.platform === 'linux' && { SOCK_SEQPACKET: SeqpacketSocket }),
  };
  for (const [type, Socket] of Object.entries(pairs)) {
    test(`a ${Socket.name} of a ${type} pair's end`, async () => {
      const before = countFds();
      const [left, right] = socketpair(socketpair[type]).map((fd) => fromFd(fd));
      assert.ok(left instanceof Socket);
      const arrived = once(right, 'data');
      if (left.write) left.write('hello');
      else left.send('hello');
      const [data] = await arrived;
      assert.equal(String(data), 'hello');
      left.close();
      right.close();
      await assertNoLeak(before);
    });
  }

  test('a UServer of a listening stream socket', async (t) => {
    const name = temporaryPath(t);
    const first = new UServer();
    first.listen(name);
    await once(first, 'listening');
    const second = fromFd(await passed(first), { allowHalfOpen: true });
    assert.ok(second instanceof UServer);
    first.pause();
    const client = new USocket(name);
    const [socket] = await once(second, 'connection');
    assert.equal(socket.allowHalfOpen, true);
    client.destroy();
    socket.destroy();
    second.close();
    first.close();
  });

  test('a SeqpacketServer of a listening seqpacket socket', onLinux({}), async (t) => {
    const name = temporaryPath(t);
    const first = new SeqpacketServer();
    first.listen(name);
    const second = fromFd(await passed(first));
    assert.ok(second instanceof SeqpacketServer);
    first.pause();
    const client = new SeqpacketSocket();
    client.connect(name);
    const [socket] = await once(second, 'connection');
    client.destroy();
    socket.destroy();
    second.close();
    first.close();
  });

  for (const host of ['127.0.0.1', '::1']) {
    test(`a net.Server and net.Sockets of TCP ones, ${host}`, async () => {
      const first = net.createServer().listen(0, host);
      await once(first, 'listening');
      const { port } = first.address();
      const second = fromFd(await passed(first));
      assert.ok(second instanceof net.Server);
      first.close();
      // In the same turn as anything else that was accepted: the server listens already.
      const accepted = once(second, 'connection');
      const client = net.connect(port, host);
      const [socket] = await accepted;
      const moved = fromFd(await passed(socket));
      assert.ok(moved instanceof net.Socket);
      assert.equal(moved.remotePort, client.localPort);
      socket.destroy();
      moved.end('from where it moved to');
      assert.equal(await text(client), 'from where it moved to');
      second.close();
      await once(second, 'close');
    });

    test(`a dgram.Socket of a UDP one, ${host}`, async () => {
      const type = host === '::1' ? 'udp6' : 'udp4';
      const socket = dgram.createSocket(type);
      socket.bind(0, host);
      await once(socket, 'listening');
      const { port } = socket.address();
      const moved = fromFd(await passed(socket));
      assert.ok(moved instanceof dgram.Socket);
      assert.equal(moved.type, type);
      socket.close();
      const arrived = once(moved, 'message');
      const sender = dgram.createSocket(type);
      sender.send('hello', port, host);
      const [message] = await arrived;
      assert.equal(String(message), 'hello');
      sender.close();
      moved.close();
    });
  }

  test('a net.Socket of a pipe, readable or writable as its end is', async (t) => {
    const fifo = path.join(temporaryFolder(t), 'fifo');
    const { startProgram } = require('../helpers/programs.js');
    assert.equal((await startProgram(t, 'mkfifo', [fifo]).ended()).code, 0);
    const holder = fs.openSync(fifo, 'r+');
    const [reader, writer] = ['r', 'w'].map((mode) => fromFd(fs.openSync(fifo, mode)));
    fs.closeSync(holder);
    assert.ok(reader instanceof net.Socket && writer instanceof net.Socket);
    assert.deepEqual([reader.writable, writer.readable], [false, false]);
    writer.end('through the pipe');
    assert.equal(await text(reader), 'through the pipe');
  });

  test('a stream of a file, readable unless it is write-only', async (t) => {
    const file = path.join(temporaryFolder(t), 'file');
    fs.writeFileSync(file, 'what is in it');
    assert.equal(await text(fromFd(fs.openSync(file, 'r'))), 'what is in it');
    assert.equal(await text(fromFd(fs.openSync(file, 'r+'), { start: 5 })), 'is in it');
    const writer = fromFd(fs.openSync(file, 'w'));
    assert.ok(writer instanceof fs.WriteStream);
    writer.end('something else');
    await once(writer, 'close');
    assert.equal(fs.readFileSync(file, 'utf8'), 'something else');
    assert.ok(fromFd(fs.openSync('/dev/null', 'w')) instanceof fs.WriteStream);
  });
});

describe('fromFd() refuses', () => {
  test('what no object fits, and leaves it open', (t) => {
    const fd = fs.openSync(temporaryFolder(t), 'r');
    assert.throws(() => fromFd(fd), { name: 'TypeError', code: 'ERR_AFUNIX_FD_TYPE' });
    assert.equal(fdType(fd), 'directory');
    closeFd(fd);
  });

  test('what is not open, and what is no descriptor', () => {
    const fd = fs.openSync('/dev/null', 'r');
    fs.closeSync(fd);
    assert.throws(() => fromFd(fd), { code: 'EBADF' });
    for (const wrong of [undefined, null, '3', {}, [], Symbol('3')]) {
      assert.throws(() => fromFd(wrong), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
    for (const wrong of [-1, 1.5, NaN, 2 ** 31]) {
      assert.throws(() => fromFd(wrong), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    }
  });

  test('a socket that is watched already', () => {
    const [left, right] = USocket.pair();
    assert.throws(() => fromFd(left), { code: 'EEXIST' });
    left.destroy();
    right.destroy();
  });

  test('options that do not suit, and leaves the descriptor open', () => {
    const [left, right] = socketpair();
    assert.throws(() => fromFd(left, { allowHalfOpen: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => fromFd(left, 'paused'), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.equal(fdType(left), 'unix-stream');
    closeFd(left);
    closeFd(right);
  });
});
