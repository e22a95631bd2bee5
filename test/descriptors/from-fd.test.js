'use strict';

// Owns fromFd(): which object fits which descriptor, that it works, and who owns the descriptor.

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { describe, test } = require('node:test');
const tty = require('node:tty');
const {
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  closeFd,
  dup,
  fdType,
  fileHandle,
  fromFd,
  listenFds,
  socketpair,
} = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

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

  test('a stream of a terminal, readable unless it is write-only', onLinux({}), async () => {
    const { O_NOCTTY, O_RDWR, O_WRONLY } = fs.constants;
    for (const [flags, Stream] of [
      [O_RDWR, tty.ReadStream],
      [O_WRONLY, tty.WriteStream],
    ]) {
      const fd = fs.openSync('/dev/ptmx', flags | O_NOCTTY);
      const stream = fromFd(fd);
      assert.ok(stream instanceof Stream && stream.isTTY);
      stream.destroy();
      await once(stream, 'close');
    }
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
    const sink = fromFd(fs.openSync('/dev/null', 'w'));
    assert.ok(sink instanceof fs.WriteStream);
    sink.destroy();
    await once(sink, 'close');
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

  test('what an open object has, also one that waits for nothing, and leaves it alone', async () => {
    const [left, right] = USocket.pair();
    const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = net.connect(server.address().port, '127.0.0.1');
    const [paused] = await once(server, 'connection');
    const udp = dgram.createSocket('udp4');
    udp.bind(0, '127.0.0.1');
    await once(udp, 'listening');
    const file = fs.createReadStream(__filename);
    await once(file, 'open');
    for (const holder of [left, server, paused, udp, file]) {
      assert.throws(() => fromFd(holder), { code: 'EEXIST', syscall: 'adopt' });
    }
    paused.end('still here');
    left.end('here, too');
    assert.equal(await text(client), 'still here');
    assert.equal(await text(right), 'here, too');
    udp.close();
    for (const each of [file, left, right, paused]) each.destroy();
    server.close();
  });

  test('a UDP socket that an object of this very turn has, and leaves it alone', async (t) => {
    const bound = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(bound, 'listening');
    const fd = posix.socket(posix.AF_INET, posix.SOCK_DGRAM, 0);
    const one = fromFd(fd);
    t.after(() => one.close());
    assert.throws(() => fromFd(fd), { code: 'EEXIST' });
    one.send('still here', bound.address().port, '127.0.0.1');
    const [message] = await once(bound, 'message');
    assert.equal(String(message), 'still here');
    bound.close();
  });

  test('a listener that somebody listens on, and leaves it alone', onLinux({}), async (t) => {
    const [stream, packets, tcp] = [new UServer(), new SeqpacketServer(), net.createServer()];
    const unix = net.createServer();
    stream.listen(temporaryPath(t));
    packets.listen(temporaryPath(t));
    tcp.listen(0, '127.0.0.1');
    unix.listen(temporaryPath(t));
    await Promise.all([stream, tcp, unix].map((server) => once(server, 'listening')));
    for (const fd of [stream.fd, packets.fd, tcp._handle.fd, unix._handle.fd]) {
      assert.throws(() => fromFd(fd), { name: 'Error', code: 'EEXIST' });
    }
    // None has heard of it, and all still accept.
    const client = net.connect(unix.address());
    const [socket] = await once(unix, 'connection');
    for (const each of [client, socket]) each.destroy();
    for (const server of [stream, packets, tcp, unix]) server.close();
  });

  test('a signal that is none, before anything has the descriptor', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = net.connect(server.address().port, '127.0.0.1');
    const [socket] = await once(server, 'connection');
    const fd = dup(socket);
    for (const signal of [null, 1, {}]) {
      assert.throws(() => fromFd(fd, { signal }), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    posix.send(fd, Buffer.from('still ours'));
    closeFd(fd);
    socket.end();
    assert.equal(await text(client), 'still ours');
    const closing = once(server, 'close');
    server.close();
    await closing;
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

describe('a FileHandle is given up to fromFd()', onLinux({}), () => {
  test('and closed once, with its stream', async (t) => {
    const file = path.join(temporaryFolder(t), 'file');
    fs.writeFileSync(file, 'what is in it');
    const before = countFds();
    const handle = await fs.promises.open(file);
    const closing = once(handle, 'close');
    const stream = fromFd(handle, { start: 5 });
    // The stream's own, and not a duplicate.
    assert.ok(handle.fd > 2);
    assert.equal(await text(stream), 'is in it');
    await closing;
    assert.equal(handle.fd, -1);
    const writable = await fs.promises.open(file, 'w');
    const writer = fromFd(writable);
    assert.ok(writer instanceof fs.WriteStream);
    writer.end('something else');
    await once(writer, 'close');
    assert.equal(writable.fd, -1);
    assert.equal(fs.readFileSync(file, 'utf8'), 'something else');
    await assertNoLeak(before);
  });

  test('and closed at once where a socket or a pipe is made of it', async () => {
    const before = countFds();
    const [left, right] = socketpair('stream');
    const [read, write] = posix.pipe();
    for (const [fd, peer, Socket] of [
      [left, right, USocket],
      [read, write, net.Socket],
    ]) {
      const handle = await fileHandle(fd);
      const closing = once(handle, 'close');
      const socket = fromFd(handle);
      await closing;
      assert.ok(socket instanceof Socket);
      fs.writeSync(peer, 'hello');
      closeFd(peer);
      assert.equal(await text(socket), 'hello');
      socket.destroy();
    }
    await assertNoLeak(before);
  });

  test('and keeps its descriptor where that throws', async (t) => {
    const handle = await fs.promises.open(temporaryFolder(t));
    assert.throws(() => fromFd(handle), { code: 'ERR_AFUNIX_FD_TYPE' });
    assert.ok((await handle.stat()).isDirectory());
    await handle.close();
    const [left, right] = socketpair();
    const socket = await fileHandle(left);
    const before = countFds();
    assert.throws(() => fromFd(socket, { allowHalfOpen: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.equal(countFds(), before);
    assert.ok((await socket.stat()).isSocket());
    await socket.close();
    closeFd(right);
  });
});

describe('fromFd() takes over', () => {
  test('an object that only names a number, as those of listenFds()', async () => {
    assert.deepEqual(listenFds(), []);
    const before = countFds();
    const [left, right] = socketpair();
    const sockets = [fromFd({ fd: left, name: 'left' }), fromFd({ __proto__: null, fd: right })];
    assert.deepEqual(
      sockets.map(({ fd }) => fd),
      [left, right],
    );
    sockets[0].end('hello');
    assert.equal(await text(sockets[1]), 'hello');
    sockets.forEach((socket) => socket.destroy());
    await assertNoLeak(before);
  });

  test('nothing that Object.prototype has got', () => {
    const [left, right] = socketpair();
    const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    let socket;
    Object.defineProperties(Object.prototype, {
      fd: { value: right, configurable: true, writable: true },
      path: { value: '/nonexistent', configurable: true, writable: true },
    });
    try {
      for (const holder of [{}, [], () => {}, '3']) assert.throws(() => fromFd(holder), failure);
      socket = fromFd(left);
    } finally {
      for (const name of ['fd', 'path']) delete Object.prototype[name];
    }
    assert.deepEqual([socket.fd, socket.connecting], [left, false]);
    socket.destroy();
    closeFd(right);
  });
});
