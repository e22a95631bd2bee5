'use strict';

// Owns the claim that afunix/net has net's shape: each program runs with net and with afunix/net in one process, and
// what it saw has to be the same. The events of connections are compared in usocket/net*.test.js.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const afunix = require('../../lib');
const unix = require('../../lib/net');
const posix = require('../../lib/posix');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { polluted } = require('../helpers/prototypes.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { turn } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const MARK = 64 * 1024;

/** What a thrown value, or an error that was emitted, looks like to those who match it. */
function shapeOf(error, path) {
  const shown = (value) => (typeof value === 'string' ? value.replaceAll(path, 'PATH') : value);
  const { name, message, code, errno, syscall, address, port } = error;
  return { name, message: shown(message), code, errno, syscall, address: shown(address), port };
}

/** What a call throws. */
function thrownBy(call, path = '-') {
  try {
    call();
  } catch (error) {
    const { name, code } = shapeOf(error, path);
    return { name, code };
  }
  return 'nothing';
}

/** A listening server and a client of it, and the server's end: `{ server, client, socket, path }`. */
async function connected(t, lib, serverOptions, clientOptions) {
  const path = temporaryPath(t);
  const server = lib.createServer(serverOptions);
  t.after(() => server.close());
  server.on('connection', (socket) => cleanUp(t, socket));
  server.listen(path);
  await once(server, 'listening');
  const client = cleanUp(t, lib.connect({ path, ...clientOptions }));
  const [[socket]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  return { server, client, socket, path };
}

/** Name → a program that returns what it saw. */
const PROGRAMS = {
  async 'a new Socket'(t, lib) {
    const socket = new lib.Socket();
    const { readyState, connecting, pending, destroyed, timeout, bytesRead, bytesWritten } = socket;
    const { remoteAddress, remotePort, remoteFamily, localAddress, localPort } = socket;
    const { bufferSize, server, allowHalfOpen, _handle: handle } = socket;
    const marks = [socket.readableHighWaterMark, socket.writableHighWaterMark];
    const names = [remoteAddress, remotePort, remoteFamily, localAddress, localPort];
    const states = [readyState, connecting, pending, destroyed, timeout, bytesRead, bytesWritten];
    const rest = [bufferSize, server, allowHalfOpen, handle, socket.address()];
    const isChained = ['setNoDelay', 'setKeepAlive', 'ref', 'unref', 'pause', 'resume'].map(
      (name) => socket[name]() === socket,
    );
    socket.destroy();
    return { marks, names, states, rest, isChained, name: lib.Socket.name };
  },

  async 'classes are functions that need no new'(t, lib) {
    const socket = lib.Socket({ allowHalfOpen: true });
    const server = lib.Server({ allowHalfOpen: true, pauseOnConnect: true }, () => {});
    class Mine extends lib.Socket {}
    const mine = new Mine();
    const usual = new lib.Server(null);
    return [
      [socket instanceof lib.Socket, socket.allowHalfOpen, socket.constructor === lib.Socket],
      [server instanceof lib.Server, server.allowHalfOpen, server.pauseOnConnect],
      [mine instanceof Mine, mine instanceof lib.Socket, lib.Stream === lib.Socket],
      [server.listenerCount('connection'), usual.allowHalfOpen, usual.pauseOnConnect],
      [lib.Socket, lib.Server].map(({ prototype }) => {
        const { value, ...rest } = Object.getOwnPropertyDescriptor(prototype, 'constructor');
        return { isOwn: value.prototype === prototype, ...rest };
      }),
      [lib.connect.name, lib.createServer.length, typeof lib.createConnection],
    ].slice(0, 5);
  },

  async 'arguments that are refused'(t, lib) {
    const socket = cleanUp(t, new lib.Socket());
    socket.on('error', () => {});
    return [
      thrownBy(() => socket.write(5)),
      thrownBy(() => socket.write([1])),
      thrownBy(() => socket.write({ data: 'x' })),
      thrownBy(() => socket.write(null)),
      thrownBy(() => socket.write(undefined)),
      thrownBy(() => socket.write('x', 'no encoding')),
      thrownBy(() => socket.end([1])),
      thrownBy(() => socket.setTimeout('5')),
      thrownBy(() => socket.setTimeout(-1)),
      thrownBy(() => socket.setTimeout(5, 'no function')),
      thrownBy(() => socket.connect()),
      thrownBy(() => new lib.Socket({ objectMode: true })),
      thrownBy(() => lib.createServer('no options')),
      thrownBy(() => lib.createServer().listen({ path: abstractName(), signal: 5 })),
      thrownBy(() => lib.createServer().listen({})),
    ];
  },

  async 'sizes of writes, and drain'(t, lib) {
    const options = { highWaterMark: MARK };
    const { client, socket } = await connected(t, lib, options, options);
    socket.resume();
    const seen = [];
    client.on('drain', () => seen.push('drain'));
    for (const size of [1, MARK - 1, MARK, MARK + 1]) {
      seen.push(client.write(Buffer.alloc(size)), client.writableNeedDrain);
      if (client.writableNeedDrain) await once(client, 'drain');
      seen.push(client.write('x'.repeat(size)), client.bytesWritten);
      if (client.writableNeedDrain) await once(client, 'drain');
    }
    client.end('end');
    await once(socket, 'end');
    seen.push(socket.bytesRead, client.bytesWritten);
    return seen;
  },

  async 'encodings, callbacks and views'(t, lib) {
    const { client, socket } = await connected(t, lib);
    const text = [];
    socket.setEncoding('latin1').on('data', (data) => text.push(data));
    const order = [];
    client.write('6869', 'hex', () => order.push('hex'));
    client.write('ä', 'latin1', () => order.push('latin1'));
    client.write(new Uint8Array([104, 105]), () => order.push('bytes'));
    client.setDefaultEncoding('base64');
    client.write('aGk=', () => order.push('base64'));
    client.end('!', 'utf8', () => order.push('end'));
    await once(socket, 'end');
    await turn();
    return { text: text.join(''), order, written: client.bytesWritten };
  },

  async 'what is written without a connection'(t, lib) {
    const found = [];
    for (const isCorked of [false, true]) {
      const socket = cleanUp(t, new lib.Socket()).on('error', ({ code }) => found.push(code));
      if (isCorked) socket.cork();
      found.push(socket.write('abc'), socket.bytesWritten);
      await quiet();
      found.push(socket.bytesWritten, socket.destroyed);
    }
    return found;
  },

  async 'what is no chunk'(t, lib) {
    const { client } = await connected(t, lib);
    const codes = [];
    for (const chunk of [5, true, [0], { data: 'x', fds: [0] }, Symbol('x')]) {
      for (const method of ['write', 'end']) codes.push(thrownBy(() => client[method](chunk)));
    }
    return { codes, written: client.bytesWritten, ended: client.writableEnded };
  },

  async 'views and nothing after the end'(t, lib) {
    const { client, socket } = await connected(t, lib);
    const codes = [];
    client.on('error', ({ code }) => codes.push(code));
    socket.resume();
    const sent = [];
    for (const view of [new Uint16Array(3), new DataView(new ArrayBuffer(5))]) {
      sent.push(
        thrownBy(() => client.write(view)),
        client.bytesWritten,
      );
    }
    client.end(new DataView(new ArrayBuffer(2)), () => codes.push('ended'));
    for (const late of [new Uint16Array(3), Buffer.alloc(3), 'xyz']) {
      sent.push(
        thrownBy(() => client.write(late)),
        client.bytesWritten,
      );
    }
    // Not once(), for which the error would be the outcome.
    await new Promise((done) => client.once('close', done));
    return { sent, codes, written: client.bytesWritten };
  },

  async 'unshift with an encoding'(t, lib) {
    const { client, socket } = await connected(t, lib);
    client.write('c');
    await once(socket, 'readable');
    socket.unshift('YQ==', 'base64');
    return String(socket.read());
  },

  async 'a connection that is open'(t, lib) {
    const { server, client, socket, path } = await connected(t, lib);
    const of = (one) => [
      one.readyState,
      one.pending,
      one.connecting,
      one.address(),
      one.remoteAddress?.replace(path, 'PATH') ?? 'unnamed',
      one.localAddress,
      one.bufferSize,
      one.allowHalfOpen,
      typeof one._handle,
    ];
    const counted = await new Promise((done) => {
      server.getConnections((error, count) => done([error, count]));
    });
    const seen = {
      client: of(client).filter((_value, at) => at !== 4),
      socket: of(socket),
      server: [socket.server === server, client.server, server.listening, counted],
      name: server.address() === path,
    };
    socket.destroy();
    await once(client, 'close');
    seen.after = [socket.server === server, client.readyState, client.pending, client._handle];
    server.close();
    await once(server, 'close');
    seen.closed = [server.listening, server.address() === path];
    return seen;
  },

  async 'the callback of connect is a listener in its place'(t, lib) {
    const { path } = await connected(t, lib);
    const order = [];
    const socket = cleanUp(t, new lib.Socket());
    socket.on('connect', () => order.push('before'));
    socket.connect(path, () => order.push('callback'));
    socket.on('connect', () => order.push('after'));
    socket.on('connected', () => order.push('connected'));
    await once(socket, 'ready');
    return [order, socket.listenerCount('connect')];
  },

  async 'errors of connect, listen, write and close'(t, lib) {
    const path = temporaryPath(t);
    const seen = [];
    const failed = async (emitter) => seen.push(shapeOf((await once(emitter, 'error'))[0], path));
    const once = async (emitter, event) =>
      new Promise((done) => emitter.once(event, (...values) => done(values)));
    await failed(lib.connect(path));
    await failed(lib.createServer().listen(`${__filename}/below`));
    const server = lib.createServer().listen(path);
    t.after(() => server.close());
    await once(server, 'listening');
    await failed(lib.createServer().listen(path));
    seen.push(thrownBy(() => server.listen(path)));
    const unconnected = new lib.Socket();
    unconnected.write('x');
    await failed(unconnected);
    const destroyed = lib.connect(path);
    destroyed.destroy();
    destroyed.write('x', (error) => seen.push(error.code));
    await once(destroyed, 'close');
    const reset = new lib.Socket();
    reset.resetAndDestroy();
    await failed(reset);
    const closed = lib.createServer();
    seen.push(await new Promise((done) => closed.close((error) => done(error.code))));
    return seen;
  },

  async 'end, half open and destroySoon'(t, lib) {
    const seen = [];
    for (const allowHalfOpen of [false, true]) {
      const { client, socket } = await connected(t, lib, { allowHalfOpen });
      socket.resume();
      client.end('x');
      await once(socket, 'end');
      await turn();
      seen.push([socket.writable, socket.readyState, client.readyState]);
      socket.destroySoon();
      client.resume();
      await once(client, 'close');
      seen.push([socket.destroyed, client.destroyed]);
    }
    return seen;
  },

  async setTimeout(t, lib) {
    const { client } = await connected(t, lib, undefined, { timeout: 10 });
    const first = client.timeout;
    const timedOut = once(client, 'timeout');
    client.write('x'); // It may have timed out before both ends were there: this begins anew.
    await timedOut;
    const seen = [first, client.setTimeout(0) === client, client.timeout, client.destroyed];
    let calls = 0;
    client.setTimeout(5, () => calls++);
    await once(client, 'timeout');
    return [...seen, calls, client.listenerCount('timeout')];
  },

  async onread(t, lib) {
    const buffer = Buffer.alloc(4);
    const seen = [];
    const onread = {
      buffer,
      callback(length, given) {
        seen.push(given === buffer, this instanceof lib.Socket, String(given.subarray(0, length)));
      },
    };
    const { client, socket } = await connected(t, lib, undefined, { onread });
    socket.end('abcdef');
    await once(client, 'close');
    return seen;
  },

  async 'signals of sockets and servers'(t, lib) {
    const path = temporaryPath(t);
    const controller = new AbortController();
    const { signal } = controller;
    const server = lib.createServer().listen({ path, signal });
    await once(server, 'listening');
    const socket = lib.connect({ path, signal });
    await once(socket, 'connect');
    socket.on('error', ({ name, code }) => seen.push(name, code));
    const seen = [];
    controller.abort();
    await until(() => socket.closed && !server.listening, 'both to close');
    const late = lib.createServer().listen({ path, signal });
    await once(late, 'close');
    return [...seen, late.listening];
  },

  async 'maxConnections and drop'(t, lib) {
    const { server, path } = await connected(t, lib);
    server.maxConnections = 1;
    server.on('connection', () => assert.fail('a connection too many'));
    const dropped = once(server, 'drop');
    const second = lib.connect(path);
    second.on('error', () => {}).resume();
    await Promise.all([dropped, once(second, 'close')]);
    return await new Promise((done) => server.getConnections((_error, count) => done(count)));
  },

  async pauseOnConnect(t, lib) {
    const { client, socket } = await connected(t, lib, { pauseOnConnect: true });
    client.write('x');
    await turn();
    const seen = [socket.isPaused(), socket.bytesRead];
    socket.resume();
    const [data] = await once(socket, 'data');
    return [...seen, String(data)];
  },

  async 'a socket that closed connects again'(t, lib) {
    const { client, socket, path } = await connected(t, lib);
    socket.destroy();
    client.resume();
    await once(client, 'close');
    client.connect({ path });
    const before = [client.connecting, client.destroyed, client.readyState];
    await once(client, 'connect');
    const seen = [before, client.readyState, client.bytesWritten, client.bytesRead];
    client.write('xy');
    return [...seen, client.bytesWritten];
  },

  async 'a descriptor is adopted'(t, lib) {
    const pair = unix.Socket.pair();
    const { fd } = pair[0].detach();
    const socket = cleanUp(t, new lib.Socket({ fd, readable: true, writable: true }));
    cleanUp(t, pair[1]).write('hello');
    const [data] = await once(socket, 'data');
    return [String(data), socket.readyState, socket.connecting];
  },

  async 'ref, unref and dispose'(t, lib) {
    const { server, client } = await connected(t, lib);
    const chained = [server.unref() === server, server.ref() === server, client.unref() === client];
    client.destroy();
    await server[Symbol.asyncDispose]();
    return [chained, server.listening, server.close() === server];
  },
};

describe('net and afunix/net give the same', onLinux(), () => {
  for (const [name, program] of Object.entries(PROGRAMS)) {
    test(name, async (t) => {
      const expected = await within(program(t, net), 'the program on net');
      const seen = await within(program(t, unix), 'the program on afunix/net');
      assert.deepEqual(seen, expected);
    });
  }

  test('the exports', () => {
    for (const name of Object.keys(unix)) {
      if (name === 'serve') assert.equal(unix.serve, afunix.serve);
      else assert.equal(typeof net[name], 'function', name);
    }
    assert.equal(unix.isIP('::1'), 6);
    assert.equal(unix.isIPv4('::1'), false);
    assert.equal(unix.isIPv6('::1'), true);
  });

  test('every documented member of Socket and Server', () => {
    const notOfUnixSockets = ['autoSelectFamilyAttemptedAddresses', 'remotePort', 'remoteFamily'];
    const absent = [...notOfUnixSockets, 'localAddress', 'localPort', 'localFamily'];
    for (const Class of ['Socket', 'Server']) {
      for (const name of Object.getOwnPropertyNames(net[Class].prototype)) {
        if (name.startsWith('_') || absent.includes(name)) continue;
        assert.ok(name in unix[Class].prototype, `${Class}.${name}`);
      }
    }
  });
});

describe('what net has not', onLinux(), () => {
  test('resetAndDestroy() of a connection, made or not: destroy(), without an error', async (t) => {
    const { client, path } = await connected(t, unix);
    for (const socket of [client, unix.connect(path)]) {
      const closed = once(socket, 'close');
      socket.resetAndDestroy();
      assert.deepEqual([socket.destroyed, ...(await closed)], [true, false]);
      assert.equal(socket.resetAndDestroy(), socket);
    }
  });

  test('no descriptors come in or go out', async (t) => {
    const { server, path } = await connected(t, unix);
    const sender = cleanUp(t, new afunix.USocket(path));
    const [socket] = await once(server, 'connection');
    cleanUp(t, socket).on('fds', () => assert.fail('descriptors'));
    sender.write({ data: 'x', fds: [0, 1, 2] });
    assert.equal(String((await once(socket, 'data'))[0]), 'x');
    socket.write('y');
    assert.deepEqual(socket.read(0, 3), null);
    assert.equal(socket.supportsUnixFd, false);
    assert.equal(socket.writeWithFds, undefined);
    for (const write of [[0], { data: 'x', fds: [0] }]) {
      assert.throws(() => socket.write(write), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    await turn();
  });

  test('abstract names, modes, dead files, allow and credentials', async (t) => {
    const name = abstractName();
    const refused = unix.createServer({ allow: ({ pid }) => pid !== process.pid }).listen(name);
    t.after(() => refused.close());
    refused.on('connection', () => assert.fail('a connection'));
    const [[drop]] = await Promise.all([once(refused, 'drop'), once(unix.connect(name), 'close')]);
    assert.equal(drop.reason, 'allow');
    const path = temporaryPath(t);
    const fd = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0);
    posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path: path });
    posix.close(fd);
    assert.ok(fs.existsSync(path));
    const server = unix.createServer((socket) => socket.end(`${socket.peerCredentials.pid}`));
    t.after(() => server.close());
    server.listen({ path, mode: 0o600 });
    await once(server, 'listening');
    assert.equal(fs.statSync(path).mode & 0o777, 0o600);
    const client = unix.connect(Buffer.from(path));
    assert.equal(String((await once(client, 'data'))[0]), String(process.pid));
    assert.equal(client.peerCredentials?.uid ?? process.getuid(), process.getuid());
  });

  test('a host or port is an error that says so', () => {
    for (const where of [80, { port: 80 }, { host: 'localhost', port: 80 }]) {
      assert.throws(() => unix.connect(where), {
        code: 'ERR_INVALID_ARG_VALUE',
        message: /Unix sockets only/,
      });
      assert.throws(() => unix.createServer().listen(where), { code: 'ERR_INVALID_ARG_VALUE' });
    }
  });

  test('a number is a descriptor, and null no path, in net, too', async (t) => {
    for (const lib of [net, unix]) {
      const [one, two] = afunix.socketpair();
      const ends = [one, two].map((fd) => new lib.Socket(fd));
      t.after(() => ends.forEach((end) => end.destroy()));
      ends[0].end('by number');
      const [data] = await within(once(ends[1], 'data'), 'the bytes');
      assert.equal(String(data), 'by number');
      const idle = new lib.Socket({ path: null });
      assert.deepEqual([idle.pending, idle.connecting], [true, false]);
    }
  });

  test('what a stranger has put on Object.prototype is no descriptor', () => {
    for (const options of [undefined, 'ignored', {}]) {
      polluted({ fd: 1e6 }, () => new unix.Socket(options)).destroy();
    }
  });
});
