'use strict';

// Owns what Node's documentation says of net.Socket, net.Server and net's functions, method by method: each program
// runs with net and with afunix/net, on Unix paths, and what it saw has to be the same. What connections go through is
// compared in usocket/; shapes and errors in net.test.js.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const unix = require('../../lib/net');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { turn } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** The code and message of what a call throws, without what was received. */
function thrownBy(call) {
  try {
    call();
  } catch ({ name, code, message }) {
    return [name, code, message.replace(/ Received [^]*$/, '')];
  }
  return 'nothing';
}

/** A server that listens at a new path. */
async function listening(t, lib, options, listener) {
  const server = lib.createServer(options, listener);
  t.after(() => server.close());
  const path = temporaryPath(t);
  server.listen(path);
  await once(server, 'listening');
  return { server, path };
}

/** A client, and the server's end of its connection. */
async function connected(t, lib, options = {}, clientOptions = {}) {
  const { server, path } = await listening(t, lib, options);
  const client = cleanUp(t, lib.connect({ path, ...clientOptions }));
  const [[socket]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  return { server, client, socket: cleanUp(t, socket), path };
}

/** Of an emitter, in their order: the names of events, and what `show` makes of their values. */
function record(emitter, names, show = () => '') {
  const seen = [];
  for (const name of names) {
    emitter.on(name, (...values) => seen.push(`${name} ${show(...values)}`));
  }
  return seen;
}

/** docs/moving.md says why those of connection attempts are not among them. */
const SOCKET_EVENTS = ['lookup', 'connect', 'ready', 'end', 'timeout', 'drain', 'error', 'close'];

/** Options that say nothing to a Unix socket. */
const OF_TCP = {
  ...{ autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 10, family: 6, hints: 0 },
  ...{ keepAlive: true, keepAliveInitialDelay: 5, noDelay: true, localAddress: '127.0.0.1' },
  lookup() {
    throw new Error('lookup of a path');
  },
};

const PROGRAMS = {
  async 'Socket: events of a connection that is made, used and ended'(t, lib) {
    const { server, path } = await listening(t, lib);
    server.on('connection', (socket) => socket.resume().on('end', () => socket.end('bye')));
    const client = cleanUp(t, new lib.Socket());
    const seen = record(client, SOCKET_EVENTS, (...values) =>
      values.map((value) => value === path || value),
    );
    client.resume().connect({ path });
    client.end('hello');
    await once(client, 'close');
    return seen;
  },

  async 'Socket: events of a connection that fails'(t, lib) {
    const client = new lib.Socket();
    const path = temporaryPath(t);
    const show = (...values) => values.map((value) => value?.code ?? (value === path || value));
    const seen = record(client, SOCKET_EVENTS, show);
    client.connect(path);
    await once(client, 'close').catch(() => once(client, 'close'));
    return [...seen, client.readyState, client.destroyed, client.errored?.code];
  },

  async 'connect: each form'(t, lib) {
    const { path } = await listening(t, lib);
    const seen = [];
    const calls = [
      (done) => lib.connect(path, done),
      (done) => lib.connect({ path }, done),
      (done) => lib.createConnection({ path, timeout: 0 }, done),
      (done) => new lib.Socket().connect(path, done),
      (done) => new lib.Socket().connect({ path }, done),
      (done) => new lib.Stream().connect({ path, ...OF_TCP }, done),
      (done) => lib.connect({ path, ...OF_TCP }, done),
    ];
    for (const call of calls) {
      let given;
      const client = cleanUp(
        t,
        call(function (...values) {
          given = [this === client, values.length];
        }),
      );
      seen.push(client.connecting, client.pending, client.readyState);
      await once(client, 'ready');
      seen.push(given, client.connecting, client.pending, client.readyState);
      client.destroy();
    }
    return seen;
  },

  async 'connect: what is refused'(t, lib) {
    const { path } = await listening(t, lib);
    const made = () => cleanUp(t, new lib.Socket());
    return [
      thrownBy(() => lib.connect()),
      thrownBy(() => lib.connect({})),
      thrownBy(() => made().connect({ path: undefined })),
      thrownBy(() => made().connect({ path: 5 })).slice(0, 2),
      thrownBy(() => lib.connect({ path, signal: 'no signal' })).slice(0, 2),
      thrownBy(() => lib.connect({ path, readableObjectMode: true })),
      thrownBy(() => lib.connect({ path, writableObjectMode: true })),
      thrownBy(() => lib.connect({ path, timeout: 'long' })),
    ];
  },

  async 'listen: each form'(t, lib) {
    const seen = [];
    const calls = [
      (server, path, done) => server.listen(path, done),
      (server, path, done) => server.listen(path, 5, done),
      (server, path, done) => server.listen({ path }, done),
      (server, path, done) => server.listen({ path, backlog: 5, exclusive: true }, done),
      (server, path, done) => server.listen({ path, ipv6Only: true, reusePort: false }, done),
    ];
    for (const call of calls) {
      const server = lib.createServer(OF_TCP);
      t.after(() => server.close());
      const path = temporaryPath(t);
      let given;
      const returned = call(server, path, function (...values) {
        given = [this === server, values.length];
      });
      seen.push(returned === server, server.listening, server.address() === path);
      await once(server, 'listening');
      seen.push(given, server.listenerCount('listening'), server.address() === path);
    }
    return seen;
  },

  async 'listen: what is refused'(t, lib) {
    const { server, path } = await listening(t, lib);
    const shut = () => lib.createServer();
    return [
      thrownBy(() => server.listen(path)),
      thrownBy(() => shut().listen({ path, signal: 'no signal' })),
      ...[{}, { backlog: 5 }, { path: undefined }].map((options) =>
        thrownBy(() => shut().listen(options)).slice(0, 2),
      ),
      ...['readableAll', 'writableAll'].map((name) =>
        thrownBy(() => shut().listen({ path: abstractName(), [name]: true })).slice(0, 2),
      ),
    ];
  },

  async 'listen: readableAll and writableAll'(t, lib) {
    const modes = [];
    // The bits that were asked for; versions of libuv differ in the others.
    for (const [given, bits] of [
      [{ readableAll: true }, 0o444],
      [{ writableAll: true }, 0o222],
      [{ readableAll: true, writableAll: true }, 0o666],
    ]) {
      const path = temporaryPath(t);
      const server = lib.createServer().listen({ path, ...given });
      t.after(() => server.close());
      await once(server, 'listening');
      modes.push(fs.statSync(path).mode & bits);
    }
    return modes;
  },

  async 'Server: connections come before there is a listener'(t, lib) {
    const { server, path } = await listening(t, lib);
    const client = cleanUp(t, lib.connect(path));
    await once(client, 'connect');
    const ended = once(client.resume(), 'end');
    // Nobody has the server's end: it ends when the client does.
    client.end();
    await ended;
    return [server.listenerCount('connection')];
  },

  async 'Server: what listeners get'(t, lib) {
    const counts = [];
    const listener = function (...values) {
      counts.push([values.length, this === server, values[0] instanceof lib.Socket]);
    };
    const { server, path } = await listening(t, lib, {}, listener);
    server.on('listening', (...values) => counts.push(values.length));
    server.on('close', (...values) => counts.push(values.length));
    const accepted = once(server, 'connection');
    const client = cleanUp(t, lib.connect(path));
    const [socket] = await accepted;
    socket.destroy();
    client.resume();
    server.close();
    await once(server, 'close');
    return counts;
  },

  async 'Server: options reach its connections'(t, lib) {
    const seen = [];
    for (const options of [
      {},
      { highWaterMark: 1000 },
      { allowHalfOpen: true, pauseOnConnect: true },
      { keepAlive: true, keepAliveInitialDelay: 5, noDelay: true },
    ]) {
      const { server, client, socket } = await connected(t, lib, options);
      seen.push(
        [server.allowHalfOpen, server.pauseOnConnect],
        [socket.readableHighWaterMark, socket.writableHighWaterMark],
        [socket.allowHalfOpen, socket.isPaused(), socket.readableFlowing],
        [client.allowHalfOpen, client.readableHighWaterMark],
      );
    }
    return seen;
  },

  async 'Server: maxConnections and getConnections'(t, lib) {
    const { server, client, path } = await connected(t, lib);
    const count = () => new Promise((done) => server.getConnections((...values) => done(values)));
    const seen = [await count(), server.maxConnections];
    for (const [limit, expected] of [
      [1, 'drop'],
      [2, 'connection'],
    ]) {
      server.maxConnections = limit;
      const happens = once(server, expected);
      const other = cleanUp(t, lib.connect(path)).resume();
      await happens;
      if (expected === 'drop') await once(other, 'close');
      seen.push(await count());
    }
    client.destroy();
    return [...seen, server.getConnections(() => {}) === server];
  },

  async 'Server: close'(t, lib) {
    const { server, client, socket, path } = await connected(t, lib);
    socket.resume();
    const seen = record(server, ['close', 'error']);
    const first = new Promise((done) => server.close((...values) => done(values)));
    seen.push(server.listening, server.address() === path, fs.existsSync(path));
    // Connections stay.
    client.write('x');
    await turn();
    seen.push(client.destroyed);
    client.destroy();
    seen.push(await within(first, 'the callback'));
    seen.push(await new Promise((done) => server.close((error) => done(error.code))));
    server.listen(path);
    await once(server, 'listening');
    seen.push(server.listening);
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    return [...seen, server.listening];
  },

  async 'Socket: members by name'(t, lib) {
    const { client, socket } = await connected(t, lib);
    const of = (one) => ({
      names: [one.localAddress, one.localPort, one.localFamily, one.remotePort, one.remoteFamily],
      address: [one.address(), one.autoSelectFamilyAttemptedAddresses?.length],
      counts: [one.bytesRead, one.bytesWritten, one.bufferSize, one.writableLength],
      states: [one.connecting, one._connecting, one.pending, one.destroyed, one.readyState],
      timeout: one.timeout,
      chained: [
        ...[one.setKeepAlive(true, 5), one.setKeepAlive(), one.setNoDelay(false), one.setNoDelay()],
        ...[one.ref(), one.unref(), one.ref(), one.pause(), one.resume(), one.setEncoding('utf8')],
        ...[one.setTimeout(50), one.setTimeout(0), one.cork() ?? one, one.uncork() ?? one],
      ].map((value) => value === one),
    });
    const seen = [of(client), of(socket)];
    client.destroy();
    await once(client, 'close');
    return [...seen, of(client)];
  },

  async 'Socket: bytesWritten of an end() while it connects'(t, lib) {
    const { path } = await listening(t, lib, {}, (socket) => socket.resume());
    const client = cleanUp(t, lib.connect(path));
    client.write('behind it');
    client.end('hello');
    const seen = [client.bytesWritten];
    await once(client, 'close');
    return [...seen, client.bytesWritten];
  },

  async 'Socket: a write that waits and moves on is no idle time'(t, lib) {
    const { client, socket } = await connected(t, lib);
    const seen = [];
    client.on('timeout', () => seen.push('timeout'));
    client.setTimeout(250);
    client.write(Buffer.alloc(4_000_000), () => seen.push('written'));
    // A second and more, with all of it in one write.
    const timer = setInterval(() => socket.read(65_536), 20);
    t.after(() => clearInterval(timer));
    await until(() => seen.length === 2, 'the write, and then the time-out');
    return seen;
  },

  async 'Socket: setTypeOfService() and getTypeOfService()'(t, lib) {
    const { client, server } = await connected(t, lib);
    const fresh = cleanUp(t, new lib.Socket());
    // What net says from Node 24 on, on a Unix path.
    const said = [
      ...[0, true, 3, true, 3, 255, 255],
      ...['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'],
      ...['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 255],
    ];
    if (lib === net && client.setTypeOfService === undefined) return said;
    const seen = [client.getTypeOfService()];
    for (const socket of [fresh, client]) {
      seen.push(socket.setTypeOfService(3) === socket, socket.getTypeOfService());
    }
    client.setTypeOfService(255);
    seen.push(client.getTypeOfService());
    client.destroy();
    seen.push(client.getTypeOfService());
    for (const bad of [NaN, '3', undefined, 1.5, -1, 256]) {
      seen.push(thrownBy(() => client.setTypeOfService(bad))[1]);
    }
    server.close();
    return [...seen, client.getTypeOfService()];
  },

  async 'Socket: bytesWritten and bufferSize while it connects'(t, lib) {
    const { server, path } = await listening(t, lib, {}, (socket) => socket.resume());
    const client = cleanUp(t, lib.connect(path));
    const sizes = () => [client.bytesWritten, client.bufferSize, client.writableLength];
    const seen = [sizes()];
    client.write('häh');
    seen.push(sizes());
    client.write(Buffer.alloc(10));
    client.write('6869', 'hex');
    seen.push(sizes());
    await once(client, 'connect');
    await until(() => client.writableLength === 0, 'everything to be sent');
    seen.push(sizes());
    client.end('!');
    await once(client.resume(), 'close');
    server.close();
    return seen;
  },

  async 'Socket: setTimeout'(t, lib) {
    const { client } = await connected(t, lib);
    const wrong = [-1, NaN, Infinity, '5', undefined, null, {}].map((value) =>
      thrownBy(() => client.setTimeout(value)).slice(0, 2),
    );
    const seen = [wrong];
    const calls = [];
    const first = () => calls.push('first');
    client.setTimeout(5, first);
    seen.push(client.timeout, client.listenerCount('timeout'));
    client.setTimeout(0, first);
    seen.push(client.timeout, client.listenerCount('timeout'));
    client.setTimeout(1, () => calls.push('second'));
    await once(client, 'timeout');
    seen.push(calls, client.listenerCount('timeout'), client.readyState);
    // It is a property, and to set it sets no time-out.
    client.setTimeout(0);
    client.timeout = 7;
    seen.push(client.timeout);
    client.setTimeout(9);
    seen.push(client.timeout);
    client.timeout = 0;
    await once(client, 'timeout');
    client.destroy();
    return [...seen, client.setTimeout(5) === client, client.timeout];
  },

  async 'Socket: end, its callback and what it is too late for'(t, lib) {
    const { client, socket } = await connected(t, lib, { allowHalfOpen: true });
    const order = [];
    socket.setEncoding('utf8').on('data', (data) => order.push(data));
    socket.on('end', () => order.push('end'));
    client.on('finish', () => order.push('finish'));
    const returned = client.end('hello', 'utf8', (error) => order.push(`callback ${error}`));
    client.on('error', ({ code }) => order.push(code));
    client.write('late', ({ code }) => order.push(`write ${code}`));
    await until(() => socket.readableEnded, 'the end');
    socket.destroy();
    await until(() => client.closed, 'the client to close');
    return [order, returned === client];
  },

  async 'Socket: destroySoon'(t, lib) {
    const { client, socket } = await connected(t, lib);
    let length = 0;
    socket.on('data', (data) => (length += data.length));
    client.write(Buffer.alloc(1_000_000));
    client.destroySoon();
    const states = [client.destroyed, client.writableEnded];
    await once(socket, 'close');
    return [...states, client.destroyed, length];
  },

  async 'Socket: drain'(t, lib) {
    const { client, socket } = await connected(t, lib);
    const size = client.writableHighWaterMark;
    const results = [client.write(Buffer.alloc(size - 1))];
    for (let count = 0; client.write(Buffer.alloc(size)); count++) assert.ok(count < 1000);
    results.push(client.writableNeedDrain, client.bufferSize > 0);
    socket.resume();
    await once(client, 'drain');
    return [...results, client.writableNeedDrain, client.bufferSize];
  },

  async 'Socket: onread with a function, and pauses'(t, lib) {
    const { server, path } = await listening(t, lib);
    const seen = [];
    const onread = {
      buffer: () => Buffer.alloc(3),
      callback(length, buffer) {
        seen.push([length, buffer.length, String(buffer.subarray(0, length))]);
        return false;
      },
    };
    const client = cleanUp(t, lib.connect({ path, onread }));
    client.on('data', () => seen.push('data'));
    const [socket] = await once(server, 'connection');
    cleanUp(t, socket).end('abcdef');
    await until(() => seen.length === 1, 'the first bytes');
    await turn();
    seen.push(client.bytesRead);
    client.resume();
    await until(() => seen.length === 3, 'the others');
    client.resume();
    await until(() => client.closed, 'the end');
    return seen;
  },

  async 'Socket: iteration, dispose and the context of listeners'(t, lib) {
    const storage = new AsyncLocalStorage();
    const { server, path } = await listening(t, lib);
    server.on('connection', (socket) => socket.on('error', () => {}).end('abc'));
    const client = storage.run('here', () => lib.connect(path));
    const seen = [];
    client.on('connect', () => seen.push(storage.getStore()));
    for await (const data of client.setEncoding('utf8')) seen.push(data, storage.getStore());
    seen.push(client.destroyed);
    const other = cleanUp(t, lib.connect(path));
    await once(other, 'connect');
    const disposing = other[Symbol.asyncDispose]().catch(({ name }) => seen.push(name));
    other.on('error', ({ name }) => seen.push(name));
    await disposing;
    return [...seen, other.destroyed];
  },

  async 'defaults, and what decides about addresses'(_t, lib) {
    return [
      lib.isIP('127.0.0.1'),
      lib.isIP('::1'),
      lib.isIP('x'),
      lib.isIPv4('1.2.3.4'),
      lib.isIPv6('::'),
    ];
  },
};

describe('net and afunix/net do what is documented', onLinux(), () => {
  for (const [name, program] of Object.entries(PROGRAMS)) {
    test(name, async (t) => {
      const expected = await within(program(t, net), 'the program on net');
      const seen = await within(program(t, unix), 'the program on afunix/net');
      assert.deepEqual(seen, expected);
    });
  }
});
