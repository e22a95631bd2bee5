'use strict';

// Owns exceptions of what users give: each look at an option, and each function of an option, may throw, at any
// place of any constructor and of listen(). The exception is the caller's, and so is the descriptor.

/* global gc -- node --expose-gc */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const {
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  fromFd,
} = require('../../lib');
const posix = require('../../lib/posix');
const net = require('../../lib/net');
const { closeQuietly, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { closed, nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

const { AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM } = posix;

/** An object whose `at`th look of any kind throws, and which counts the looks. */
function mined(target, at) {
  const looks = { count: 0, mine: new Error('mine') };
  const traps = {};
  for (const trap of ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor']) {
    traps[trap] = (...args) => {
      if (looks.count++ === at) throw looks.mine;
      return Reflect[trap](...args);
    };
  }
  return { object: new Proxy(target, traps), looks };
}

/**
 * Calls `make(object)` with the object mined at each look in turn, until one is not reached: `refused()` runs
 * after each exception. Returns what was made at last.
 */
function atEachLook(target, make, refused = () => {}) {
  for (let at = 0; ; at++) {
    const { object, looks } = mined(target, at);
    let made;
    try {
      made = make(object);
    } catch (error) {
      assert.equal(error, looks.mine);
      refused();
      continue;
    }
    assert.ok(looks.count <= at, 'an exception was swallowed');
    assert.ok(at > 0, 'nobody looked');
    return made;
  }
}

const end = (socket) => {
  socket.on('error', () => {});
  if (socket.destroy) socket.destroy();
  else socket.close();
};

const COMMON = {
  receiveFds: true,
  credentials: true,
  receiveBufferSize: 9000,
  sendBufferSize: 9000,
};
const CONNECTED = { ...COMMON, allowHalfOpen: true, readableHighWaterMark: 9, maxPendingFds: 9 };

const CLASSES = {
  DgramSocket: [DgramSocket, { ...COMMON, writableHighWaterMark: 9, whenFull: 'wait' }],
  SeqpacketSocket: [SeqpacketSocket, { ...CONNECTED, connectTimeout: 9 }],
  USocket: [USocket, { ...CONNECTED, connectTimeout: 9 }],
  'net.Socket': [net.Socket, CONNECTED],
  SeqpacketServer: [SeqpacketServer, { ...CONNECTED, pauseOnConnect: true, allow: () => true }],
  UServer: [UServer, { ...CONNECTED, pauseOnConnect: true, allow: () => true }],
  'net.Server': [net.Server, { ...CONNECTED, pauseOnConnect: true }],
};

describe('an exception at any look at the options', onLinux({}), () => {
  for (const [name, [Class, options]] of Object.entries(CLASSES)) {
    test(`of new ${name}() is the caller's, and leaves nothing open`, async () => {
      const before = countFds();
      const made = atEachLook(
        options,
        (object) => new Class(object),
        () => assert.equal(countFds(), before),
      );
      const over = made.destroy ? nextEvent(made, 'close') : closed(made);
      if (made.destroy) end(made);
      await over;
    });
  }

  for (const Class of [DgramSocket, SeqpacketSocket, USocket]) {
    test(`of ${Class.name}.pair() leaves nothing open`, () => {
      const before = countFds();
      const pair = atEachLook(
        CLASSES[Class.name][1],
        (object) => Class.pair(object),
        () => assert.equal(countFds(), before),
      );
      pair.forEach(end);
    });
  }

  for (const [Class, type] of [
    [DgramSocket, SOCK_DGRAM],
    [SeqpacketSocket, SOCK_SEQPACKET],
    [USocket, SOCK_STREAM],
  ]) {
    for (const [how, make] of [
      [`new ${Class.name}({ fd })`, (object) => new Class(object)],
      ['fromFd()', (object, fd) => fromFd(fd, object)],
    ]) {
      test(`of ${how} leaves a ${type} descriptor to the caller, open and whole`, async (t) => {
        const [left, right] = posix.socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0);
        t.after(() => closeQuietly(right));
        const options = { ...CLASSES[Class.name][1] };
        if (how !== 'fromFd()') options.fd = left;
        posix.send(right, Buffer.from('unread'));
        const made = atEachLook(
          options,
          (object) => make(object, left),
          () => {
            gc();
            // Nobody has read from it, watches it or has closed it.
            const bytes = Buffer.alloc(10);
            assert.equal(posix.recv(left, bytes, 10, posix.MSG_PEEK | posix.MSG_DONTWAIT), 6);
          },
        );
        assert.equal(made.fd, left);
        const [data] = await nextEvent(made, 'data');
        assert.equal(String(data), 'unread');
        end(made);
      });
    }
  }

  for (const Class of [SeqpacketServer, UServer]) {
    test(`of listen() of a ${Class.name} leaves it as it was`, async () => {
      const before = countFds();
      const server = new Class(() => {});
      const path = abstractName();
      atEachLook(
        { path, backlog: 5, unlinkOnClose: true },
        (object) => server.listen(object),
        () => {
          assert.equal(server.listening, false);
          assert.equal(countFds(), before);
        },
      );
      if (!server.listening) await nextEvent(server, 'listening');
      assert.equal(server.address(), path);
      await closed(server);
    });
  }

  test('of connect() and bind() leaves the socket as it was', async (t) => {
    const name = temporaryPath(t);
    const socket = new DgramSocket();
    atEachLook({ mode: 0o600, unlinkOnClose: true }, (object) => socket.bind(name, object));
    assert.equal(socket.address(), name);
    await closed(socket);
    const server = new UServer((connection) => cleanUp(t, connection).resume()).listen(name);
    await nextEvent(server, 'listening');
    for (const Class of [USocket, SeqpacketSocket]) {
      const client = cleanUp(t, new Class());
      atEachLook(
        { path: name },
        (object) => client.connect(object),
        () => assert.equal(client.connecting, false),
      );
      client.destroy();
    }
    await closed(server);
  });

  test('of a message or its descriptors sends nothing', async () => {
    for (const [Class, type] of [
      [DgramSocket, SOCK_DGRAM],
      [SeqpacketSocket, SOCK_SEQPACKET],
      [USocket, SOCK_STREAM],
    ]) {
      const [left, right] = posix.socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0);
      const socket = new Class({ fd: left });
      const send = (message) => {
        if (Class === DgramSocket) socket.send(message);
        else socket.write(message);
      };
      const isEmpty = () => {
        const look = () => posix.recv(right, Buffer.alloc(9), 9, posix.MSG_PEEK);
        assert.throws(look, { code: 'EAGAIN' });
      };
      atEachLook({ data: 'text', fds: [0] }, send, isEmpty);
      assert.equal(posix.recv(right, Buffer.alloc(9)), 4);
      atEachLook({ fd: 0 }, (holder) => send({ data: 'text', fds: [holder] }), isEmpty);
      assert.equal(posix.recv(right, Buffer.alloc(9)), 4);
      end(socket);
      posix.close(right);
    }
  });
});

describe('a function of the options that throws', onLinux({}), () => {
  const mine = new Error('mine');
  const thrower = () => {
    throw mine;
  };

  test("onread.buffer() in the constructor: the descriptor is the caller's, also after a collection", async () => {
    const [left, right] = posix.socketpair();
    const onread = { buffer: thrower, callback() {} };
    for (const make of [() => new USocket({ fd: left, onread }), () => fromFd(left, { onread })]) {
      assert.throws(make, mine);
    }
    posix.close(left);
    const file = fs.openSync(__filename);
    gc();
    await new Promise((resolve) => setImmediate(resolve));
    gc();
    assert.ok(fs.fstatSync(file).isFile());
    fs.closeSync(file);
    posix.close(right);
  });

  for (const [Class, type] of [
    [DgramSocket, SOCK_DGRAM],
    [SeqpacketSocket, SOCK_SEQPACKET],
    [USocket, SOCK_STREAM],
  ]) {
    test(`addEventListener() of a signal: no ${Class.name} receives any more`, () => {
      const [left, right] = posix.socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0);
      const signal = new AbortController().signal;
      Object.defineProperty(signal, 'addEventListener', { value: thrower });
      assert.throws(() => new Class({ fd: left, signal }), mine);
      posix.send(right, Buffer.from('for us'));
      assert.equal(posix.recv(left, Buffer.alloc(9)), 6);
      posix.close(left);
      posix.close(right);
    });
  }

  test("onread.buffer() and callback() later: uncaught, and the memory is the last one's", async (t) => {
    const [one, two] = USocket.pair();
    const fd = posix.socketpair();
    const memory = [Buffer.alloc(4), Buffer.alloc(4)];
    let calls = 0;
    const texts = [];
    const reader = new USocket({
      fd: fd[0],
      onread: {
        buffer: () => {
          calls++;
          if (calls === 2) throw mine;
          return memory[calls % 2];
        },
        callback: (length, buffer) => {
          texts.push(buffer.toString('latin1', 0, length));
          return true;
        },
      },
    });
    for (const socket of [one, two, reader]) cleanUp(t, socket);
    const uncaught = [];
    const note = (error) => uncaught.push(error);
    process.on('uncaughtException', note);
    t.after(() => process.off('uncaughtException', note));
    reader.on('error', (error) => uncaught.push(error));
    posix.send(fd[1], Buffer.from('one.two.end.'));
    const over = nextEvent(reader, 'close');
    posix.close(fd[1]);
    await over;
    // Whether it goes on after the exception or ends with it: once, and no byte is twice or in foreign memory.
    assert.deepEqual(uncaught, [mine]);
    assert.ok('one.two.end.'.startsWith(texts.join('')), texts.join('|'));
  });

  for (const Server of [UServer, SeqpacketServer]) {
    test(`allow(): ${Server.name} serves the next`, async (t) => {
      let calls = 0;
      const server = new Server({ allow: () => ++calls > 1 || thrower() });
      server.on('warning', () => {});
      server.on('connection', (socket) => cleanUp(t, socket).end('served'));
      server.listen(abstractName());
      if (!server.listening) await nextEvent(server, 'listening');
      const Socket = Server === UServer ? USocket : SeqpacketSocket;
      const ask = async () => {
        const client = cleanUp(t, new Socket());
        client.connect(server.address());
        let text = '';
        client.on('data', (data) => (text += data)).on('error', () => {});
        await within(new Promise((done) => client.once('close', done)), 'the end');
        return text;
      };
      assert.equal(await ask(), '');
      assert.equal(await ask(), 'served');
      await closed(server);
    });
  }
});
