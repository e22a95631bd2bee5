'use strict';

// Owns options as all classes take them: an object's own properties and nothing that somebody put on
// Object.prototype, two names for one thing, and what is refused.

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const afunix = require('../../lib');
const unix = require('../../lib/net');
const posix = require('../../lib/posix');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { open } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { SeqpacketServer, SeqpacketSocket, UServer, USocket, dup } = afunix;

test('what is on Object.prototype is no option, of no call', onLinux({}), async (t) => {
  const result = await runScript(
    t,
    async (lib, name) => {
      const { once } = require('node:events');
      const polluted = {
        ...{ fd: 987, path: '/nowhere', host: 'localhost', port: 5, signal: 1, onread: 1 },
        ...{ receiveFds: 'x', credentials: 'x', maxPendingFds: -1, maxWaitingFds: -1 },
        ...{ writableHighWaterMark: -1, sendBufferSize: -1, recvBufferSize: -1, mode: -1, uid: -1 },
        ...{ gid: -1, backlog: -1, allow: 1, unlinkOnClose: 1, readableAll: 1, writableAll: 1 },
        ...{ allowHalfOpen: 1, connectTimeout: -1, localPath: 5, pauseOnConnect: 1, drain: 1 },
        ...{ objectMode: true, timeout: 'x', whenFull: 'x', pathEncoding: 'x', data: 5, fds: 5 },
      };
      Object.assign(Object.prototype, polluted);
      const done = [];
      const dgram = new lib.DgramSocket({}).bind({ path: `${name}d` });
      dgram.sendTo('x', dgram.address(), {});
      done.push(String((await once(dgram, 'data'))[0]));
      dgram.close();
      for (const [Server, Socket] of [
        [lib.SeqpacketServer, lib.SeqpacketSocket],
        [lib.UServer, lib.USocket],
      ]) {
        const server = new Server({}, (socket) => socket.end('y')).listen({ path: name });
        const socket = new Socket({}).connect({ path: name });
        const closed = once(socket, 'close');
        done.push(String((await once(socket, 'data'))[0]));
        await closed;
        server.close({});
        await once(server, 'close');
        for (const end of Socket.pair({})) end.destroy();
      }
      for (const end of lib.DgramSocket.pair({})) end.close();
      for (const key of Object.keys(polluted)) delete Object.prototype[key];
      console.log(JSON.stringify(done));
    },
    [abstractName()],
  );
  assert.deepEqual(result, ['x', 'y', 'y']);
});

describe('objectMode', () => {
  for (const option of ['objectMode', 'readableObjectMode', 'writableObjectMode']) {
    test(`${option} of a USocket is refused, as in net`, () => {
      const error = { code: 'ERR_INVALID_ARG_VALUE', name: 'TypeError', message: /not supported/ };
      for (const make of [
        () => new USocket({ [option]: true }),
        () => USocket.pair({ [option]: true }),
        () => new UServer({ [option]: true }),
      ]) {
        assert.throws(make, error);
      }
      USocket.pair({ [option]: false }).forEach((end) => end.destroy());
    });
  }
});

test("host and port are net's: they are refused by what says so", onLinux({}), () => {
  const error = { code: 'ERR_INVALID_ARG_VALUE', message: /^Unix sockets only: give a path/ };
  for (const server of [new UServer(), new SeqpacketServer()]) {
    for (const where of [5, { port: 5 }, { host: 'localhost' }, { host: 'localhost', port: 5 }]) {
      assert.throws(() => server.listen(where), error);
    }
    assert.equal(server.listening, false);
  }
});

describe('the size of a buffer alone', onLinux(), () => {
  for (const Class of [afunix.DgramSocket, afunix.SeqpacketSocket, afunix.USocket]) {
    for (const name of ['receiveBufferSize', 'sendBufferSize']) {
      test(`${name} of ${Class.name}`, async (t) => {
        for (const socket of Class.pair({ [name]: 20_000 })) {
          t.after(() => socket.close());
          assert.equal(socket[name], 40_000);
        }
      });
    }
  }
});

describe('a connection', onLinux(), () => {
  for (const [name, Server, Socket] of [
    ['USocket', UServer, USocket],
    ['SeqpacketSocket', SeqpacketServer, SeqpacketSocket],
  ]) {
    test(`of a ${name} has the server's options, and its own state`, async (t) => {
      const server = new Server({
        allowHalfOpen: true,
        pauseOnConnect: true,
        writableHighWaterMark: 10,
        sendBufferSize: 20_000,
      }).listen(abstractName());
      t.after(() => server.close());
      const sockets = [];
      server.on('connection', (socket) => sockets.push(cleanUp(t, socket)));
      for (let count = 1; count <= 2; count++) {
        const client = cleanUp(t, new Socket()).connect(server.address());
        await nextEvent(server, 'connection');
        const socket = sockets.at(-1);
        assert.deepEqual(
          [socket.allowHalfOpen, socket.isPaused(), socket.writableHighWaterMark],
          [true, true, 10],
        );
        assert.equal(socket.sendBufferSize, 40_000);
        socket.setTimeout(50_000 + count);
        client.end();
        await nextEvent(socket.resume(), 'end');
        assert.equal(socket.writable, true);
        socket.end();
        await closing(client.resume());
      }
      assert.deepEqual(
        sockets.map(({ timeout }) => timeout),
        [50_001, 50_002],
      );
    });

    test(`of a ${name} has the options of a server that has adopted its descriptor`, async (t) => {
      const fd = open(t, 'unix', name === 'USocket' ? 'stream' : 'seqpacket');
      const path = abstractName();
      posix.bind(fd, path);
      posix.listen(fd, 5);
      const options = { credentials: true, receiveFds: false, sendBufferSize: 20_000 };
      const server = new Server(options).listen({ fd: dup(fd) });
      t.after(() => server.close());
      const events = [];
      server.on('connection', (socket) => {
        events.push(`buffer ${socket.sendBufferSize}`);
        cleanUp(t, socket).on('data', (data) => events.push(`data ${data.credentials?.pid}`));
        socket.on('fds', () => events.push('fds'));
        socket.on('end', () => events.push('end'));
      });
      const client = cleanUp(t, new Socket()).connect(path);
      client.write({ data: 'x', fds: [0] });
      client.end();
      await until(() => events.includes('end'), 'the end');
      assert.deepEqual(events, ['buffer 40000', `data ${process.pid}`, 'end']);
    });
  }
});

test('a server refuses what each of its connections would refuse', onLinux(), () => {
  for (const [Server, options, code] of [
    [UServer, { readableHighWaterMark: -1 }, 'ERR_INVALID_ARG_VALUE'],
    [UServer, { highWaterMark: '64k' }, 'ERR_INVALID_ARG_VALUE'],
    [UServer, { timeout: 'soon' }, 'ERR_INVALID_ARG_TYPE'],
    [UServer, { timeout: -1 }, 'ERR_OUT_OF_RANGE'],
    [SeqpacketServer, { readableHighWaterMark: 1.5 }, 'ERR_INVALID_ARG_VALUE'],
    [SeqpacketServer, { writableHighWaterMark: -1 }, 'ERR_OUT_OF_RANGE'],
  ]) {
    assert.throws(() => new Server(options), { code }, inspect(options));
  }
});

test("a mark of a server with net's shape is what it is in net", onLinux(), () => {
  for (const lib of [net, unix]) {
    for (const highWaterMark of ['64k', null]) {
      const code = 'ERR_INVALID_ARG_TYPE';
      assert.throws(() => new lib.Server({ highWaterMark }), { code }, String(highWaterMark));
    }
    // No mark at all.
    new lib.Server({ highWaterMark: -1 });
  }
});
