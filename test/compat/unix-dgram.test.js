'use strict';

// Owns createSocket('unix_dgram'): the interface of unix-dgram. When there is no room for a message
// is in unix-dgram-room.test.js.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const dgram = require('node:dgram');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const afunix = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript, startWorker } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { inbox, leaveDeadFile, nextEvent, openSocket, turn } = require('../helpers/sockets.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { Queue } = require('../helpers/wait.js');

assertNoLeaks();

const { createSocket } = afunix;

/** A socket that is closed when the test ends. */
function open(t, listener) {
  const socket = createSocket('unix_dgram', listener);
  t.after(() => socket.close());
  return socket;
}

/** A bound socket with a queue of what it receives: `[text, path]`. */
function openServer(t, name = temporaryPath(t)) {
  const messages = new Queue();
  const server = open(t, (data, { path }) => messages.put([String(data), path]));
  server.on('error', (error) => messages.fail(error));
  server.bind(name);
  return { server, messages, name };
}

/** What a call emitted and called back before it returned. */
function during(socket, call) {
  const seen = [];
  const note = (event) => socket.on(event, (...args) => seen.push([event, ...args]));
  for (const event of ['listening', 'connect', 'congestion', 'writable', 'error']) note(event);
  call((...args) => seen.push(['callback', ...args]));
  socket.removeAllListeners();
  return seen;
}

/** The call's one error, whichever way it was reported. */
function failureOf(socket, call) {
  const [[how, error], ...more] = during(socket, call);
  assert.deepEqual(more, []);
  return [how, error.code, error.errno, error.syscall, error.path];
}

describe('createSocket', () => {
  test('makes sockets with the properties that package has', (t) => {
    const socket = open(t);
    assert.equal(socket.type, 'unix_dgram');
    assert.equal(socket.connected, false);
    assert.ok(socket.fd > 2);
    assert.equal(socket.constructor.name, 'Socket');
    assert.equal(socket.listenerCount('message'), 0);
    assert.equal(open(t, () => {}).listenerCount('message'), 1);
  });

  test('bind() without a name, or with null, has one of the kernel', onLinux(), async (t) => {
    const { messages, name } = openServer(t);
    for (const args of [[], [null]]) {
      const client = open(t);
      client.bind(...args);
      client.send(Buffer.from('x'), 0, 1, name);
      assert.match((await messages.next())[1], /^\0[0-9a-f]{5}$/);
    }
  });

  test('passes Internet sockets on to node:dgram', (t) => {
    for (const type of ['udp4', 'udp6']) {
      const socket = createSocket(type, () => {});
      t.after(() => socket.close());
      assert.ok(socket instanceof dgram.Socket);
      assert.equal(socket.type, type);
      assert.equal(socket.listenerCount('message'), 1);
    }
  });

  test('refuses other types', () => {
    for (const type of ['unix_stream', undefined, { type: 'unix_dgram' }]) {
      assert.throws(() => createSocket(type), {
        name: 'TypeError',
        code: 'ERR_SOCKET_BAD_TYPE',
        message: `Unsupported socket type: ${type}`,
      });
    }
  });

  test('throws where no descriptor is left', onLinux({}), async (t) => {
    const result = await runScript(
      t,
      ({ createSocket }) => {
        const sockets = [];
        try {
          for (;;) sockets.push(createSocket('unix_dgram'));
        } catch ({ code, errno, syscall }) {
          for (const socket of sockets) socket.close();
          createSocket('unix_dgram').close();
          console.log(JSON.stringify([code, errno, syscall]));
        }
      },
      [],
      { openFiles: 60 },
    );
    assert.deepEqual(result, [-24, -24, 'socket']);
  });
});

describe('a message', () => {
  test('comes with its size and its sender', async (t) => {
    const { server, name } = openServer(t);
    const client = open(t);
    const received = nextEvent(server, 'message');
    client.send(Buffer.from('hello'), 0, 5, name);
    assert.deepEqual(await received, [Buffer.from('hello'), { size: 5, address: {}, path: null }]);
    const address = temporaryPath(t);
    client.bind(address);
    const second = nextEvent(server, 'message');
    client.send(Buffer.alloc(0), 0, 0, name);
    assert.deepEqual(await second, [Buffer.alloc(0), { size: 0, address: {}, path: address }]);
  });

  test('can be answered', async (t) => {
    const { server, name } = openServer(t);
    server.on('message', (data, { path }) => server.send(data, 0, data.length, path));
    const client = openServer(t);
    client.server.send(Buffer.from('ping'), 0, 4, name);
    assert.deepEqual(await client.messages.next(), ['ping', name]);
  });

  test('may be large, and is whole', async (t) => {
    const { server, name } = openServer(t);
    const client = open(t);
    const data = Buffer.from(Array.from({ length: 150_000 }, (_, index) => index % 251));
    const received = nextEvent(server, 'message');
    client.send(data, 0, data.length, name);
    const [message, { size }] = await received;
    assert.equal(size, 150_000);
    assert.ok(message.equals(data));
  });

  test('may be a part, a view or a string', async (t) => {
    const { messages, name } = openServer(t);
    const client = open(t);
    client.send(Buffer.from('foobarbaz'), 3, 4, name);
    client.sendto(new DataView(new TextEncoder().encode('_view').buffer, 1), 0, 4, name);
    client.send('täxt', 0, 5, name);
    client.connect(name);
    client.send('peer');
    for (const expected of ['barb', 'view', 'täxt', 'peer']) {
      assert.deepEqual(await messages.next(), [expected, null]);
    }
  });

  test('comes with the path of its sender, and with null after it from one without', async (t) => {
    const { messages, name } = openServer(t);
    const [named, unnamed] = [openServer(t), open(t)];
    for (const [socket, path] of [
      [named.server, named.name],
      [unnamed, null],
      [named.server, named.name],
    ]) {
      socket.send(Buffer.from('x'), 0, 1, name);
      assert.deepEqual(await messages.next(), ['x', path]);
    }
  });

  test('to a path goes there, also from a connected socket', async (t) => {
    const [peer, other] = [openServer(t), openServer(t)];
    const client = open(t);
    client.connect(peer.name);
    client.send(Buffer.from('abc'), 1, 1, other.name);
    client.send(Buffer.from('abc'));
    assert.deepEqual(await other.messages.next(), ['b', null]);
    assert.deepEqual(await peer.messages.next(), ['abc', null]);
  });

  test('has the store of where the socket was made', async (t) => {
    const storage = new AsyncLocalStorage();
    const { server, name } = storage.run('made', () => openServer(t));
    const store = new Promise((done) => server.on('message', () => done(storage.getStore())));
    open(t).send('x', 0, 1, name);
    assert.equal(await store, 'made');
  });

  test('of an abstract name is recognized', onLinux({}), async (t) => {
    const [one, two] = [openServer(t, abstractName()), openServer(t, abstractName())];
    two.server.send('x', 0, 1, one.name);
    assert.deepEqual(await one.messages.next(), ['x', two.name]);
  });

  test('is exchanged with DgramSocket, also in a worker', async (t) => {
    const socket = openSocket(t).bind(temporaryPath(t));
    const messages = inbox(socket);
    const { messages: reported } = startWorker(
      t,
      ({ createSocket }, { folder, to }, port) => {
        const client = createSocket('unix_dgram', (data) => {
          port.postMessage(String(data));
          client.close();
        });
        client.bind(`${folder}/client`);
        client.send(Buffer.from('hello'), 0, 5, to);
      },
      { folder: temporaryFolder(t), to: socket.address() },
    );
    const { data, path: from } = await messages.next();
    assert.equal(String(data), 'hello');
    socket.sendTo('answer', from);
    assert.equal(await reported.next(), 'answer');
  });
});

describe('what a call does is reported before it returns', () => {
  test('binding, connecting, sending', (t) => {
    const { name } = openServer(t);
    const client = open(t);
    const address = temporaryPath(t);
    assert.deepEqual(
      during(client, () => client.bind(address)),
      [['listening']],
    );
    assert.equal(client.address(), address);
    const sent = during(client, (callback) => client.send('x', 0, 1, name, callback));
    assert.deepEqual(sent, [['callback', undefined]]);
    assert.deepEqual(
      during(client, () => client.connect(name)),
      [['connect']],
    );
    assert.equal(client.connected, true);
    const next = during(client, (callback) => client.send('x', callback));
    assert.deepEqual(next, [['callback', undefined]]);
    assert.deepEqual(
      during(client, () => client.send('x', null)),
      [],
    );
  });

  test('failures, with the error number as the code', (t) => {
    const name = temporaryPath(t);
    const { name: taken } = openServer(t);
    const client = open(t);
    const failure = (call) => failureOf(client, call);
    const { EADDRINUSE, ENOENT, ENOTCONN, EINVAL } = require('node:os').constants.errno;
    assert.deepEqual(
      failure(() => client.bind(taken)),
      ['error', -EADDRINUSE, -EADDRINUSE, 'bind', taken],
    );
    assert.deepEqual(
      failure(() => client.connect(name)),
      ['error', -ENOENT, -ENOENT, 'connect', name],
    );
    assert.deepEqual(
      failure(() => client.send('x', 0, 1, name)),
      ['error', -ENOENT, -ENOENT, 'send', name],
    );
    assert.deepEqual(
      failure((callback) => client.send('x', 0, 1, name, callback)),
      ['callback', -ENOENT, -ENOENT, 'send', name],
    );
    assert.deepEqual(
      failure(() => client.send('x')),
      ['error', -ENOTCONN, -ENOTCONN, 'send', undefined],
    );
    client.bind(name);
    assert.deepEqual(
      failure(() => client.bind(`${name}2`)),
      ['error', -EINVAL, -EINVAL, 'bind', `${name}2`],
    );
  });

  test('failures that nobody listens to: the call throws', (t) => {
    const name = temporaryPath(t);
    const client = open(t);
    const message = `ENOENT: no such file or directory, connect ${name}`;
    assert.throws(() => client.connect(name), { message, code: -2 });
    assert.throws(() => client.send('x', 0, 1, name), { syscall: 'send' });
    assert.throws(() => client.bind(`${name}/b`), { syscall: 'bind' });
    const failure = new Error('of a callback');
    const throwing = () => {
      throw failure;
    };
    assert.throws(() => client.send('x', 0, 1, name, throwing), failure);
    client.bind(name);
    assert.throws(() => client.send('x', 0, 1, name, throwing), failure);
  });

  test('names that are too long are not cut', (t) => {
    const name = path.join(temporaryFolder(t), 'x'.repeat(120));
    const client = open(t);
    const { ENAMETOOLONG } = require('node:os').constants.errno;
    for (const call of [
      () => client.bind(name),
      () => client.connect(name),
      () => client.send('x', 0, 1, name),
    ]) {
      assert.equal(failureOf(client, call)[1], -ENAMETOOLONG);
    }
  });
});

describe('faulty arguments', () => {
  test('throw, and nothing happens', (t) => {
    const { name } = openServer(t);
    const client = open(t);
    const refused = (call, code) => {
      assert.throws(call, (error) => {
        assert.equal(error.code, code);
        return error instanceof TypeError || error instanceof RangeError;
      });
    };
    client.on('error', assert.fail);
    for (const buffer of [undefined, null, 5, {}, ['x']]) {
      refused(() => client.send(buffer, 0, 1, name), 'ERR_INVALID_ARG_TYPE');
      refused(() => client.send(buffer), 'ERR_INVALID_ARG_TYPE');
    }
    const data = Buffer.from('abc');
    refused(() => client.send(data, 1, 3, name), 'ERR_BUFFER_OUT_OF_BOUNDS');
    refused(() => client.send(data, 4, 0, name), 'ERR_BUFFER_OUT_OF_BOUNDS');
    refused(() => client.send(data, -1, 1, name), 'ERR_OUT_OF_RANGE');
    refused(() => client.send(data, 0, '3', name), 'ERR_INVALID_ARG_TYPE');
    refused(() => client.send(data, 0, 3), 'ERR_INVALID_ARG_TYPE');
    refused(() => client.send(data, 0, 3, ''), 'ERR_INVALID_ARG_VALUE');
    refused(() => client.send(data, 0, 3, 'a\0b'), 'ERR_INVALID_ARG_VALUE');
    refused(() => client.send(data, 0, 3, name, 'callback'), 'ERR_INVALID_ARG_TYPE');
    refused(() => client.send(data, name), 'ERR_INVALID_ARG_TYPE');
    for (const method of ['bind', 'connect']) {
      refused(() => client[method](5), 'ERR_INVALID_ARG_TYPE');
      refused(() => client[method](''), 'ERR_INVALID_ARG_VALUE');
    }
    refused(() => client.connect(), 'ERR_INVALID_ARG_TYPE');
  });

  test('methods of Internet sockets throw as there', (t) => {
    const client = open(t);
    for (const name of [
      'setTTL',
      'setBroadcast',
      'setMulticastTTL',
      'setMulticastLoopback',
      'addMembership',
      'dropMembership',
    ]) {
      assert.throws(() => client[name](1), {
        code: 'ERR_METHOD_NOT_IMPLEMENTED',
        message: `${name} is not implemented`,
      });
    }
  });
});

describe('close', () => {
  test('may come at any time, emits nothing, and removes our own file only', async (t) => {
    const { server, name } = openServer(t);
    server.on('close', () => assert.fail('emitted'));
    server.close();
    assert.equal(server.fd, -1);
    assert.equal(fs.existsSync(name), false);
    server.close();
    await server[Symbol.asyncDispose]();
    await turn();
    const other = openServer(t);
    fs.unlinkSync(other.name);
    fs.writeFileSync(other.name, 'a file');
    other.server.close();
    assert.equal(fs.readFileSync(other.name, 'utf8'), 'a file');
  });

  test('may come in every handler', async (t) => {
    const name = temporaryPath(t);
    const closing = open(t);
    closing.on('listening', () => closing.close());
    closing.bind(name);
    assert.equal(closing.fd, -1);

    const { server, messages, name: to } = openServer(t);
    const connecting = open(t);
    connecting.on('connect', () => connecting.close());
    connecting.connect(to);
    assert.equal(connecting.fd, -1);

    const failing = open(t);
    failing.on('error', () => failing.close());
    failing.connect(name);
    assert.equal(failing.fd, -1);

    const client = open(t);
    client.send('sent', 0, 4, to, () => client.close());
    assert.equal(client.fd, -1);
    assert.deepEqual(await messages.next(), ['sent', null]);

    const sender = open(t);
    server.on('message', () => server.close());
    for (let count = 0; count < 3; count++) sender.send('x', 0, 1, to);
    await messages.next();
    await turn();
    assert.equal(messages.length, 0);
  });

  test('makes everything else fail with EBADF', (t) => {
    const client = open(t);
    client.close();
    const { EBADF } = require('node:os').constants.errno;
    for (const [how, call] of [
      ['error', () => client.bind(temporaryPath(t))],
      ['error', () => client.connect(temporaryPath(t))],
      ['error', () => client.send('x', 0, 1, temporaryPath(t))],
      ['callback', (callback) => client.send('x', 0, 1, temporaryPath(t), callback)],
      ['callback', (callback) => client.send('x', callback)],
    ]) {
      assert.deepEqual(failureOf(client, call).slice(0, 3), [how, -EBADF, -EBADF]);
    }
    assert.throws(() => client.address(), { code: -EBADF });
    client.ref().unref();
  });
});

test('a dead socket file is replaced, a living one is not', async (t) => {
  const name = temporaryPath(t);
  await leaveDeadFile(name);
  const { messages } = openServer(t, name);
  const second = open(t);
  assert.equal(failureOf(second, () => second.bind(name))[3], 'bind');
  open(t).send('x', 0, 1, name);
  assert.deepEqual(await messages.next(), ['x', null]);
});

test('ref() takes unref() back', async (t) => {
  const result = await runScript(
    t,
    ({ createSocket }, name) => {
      const server = createSocket('unix_dgram');
      server.bind(name);
      server.unref().ref();
      // It does not keep the process by itself.
      const timer = setTimeout(() => {
        console.log('"alive"');
        server.close();
      }, 50);
      timer.unref();
    },
    [temporaryPath(t)],
  );
  assert.equal(result, 'alive');
});

test('a process ends while a socket is unbound, or open and unreferenced', async (t) => {
  const result = await runScript(
    t,
    ({ createSocket }, name) => {
      createSocket('unix_dgram')
        .on('error', () => {})
        .send('x', 0, 1, name);
      const server = createSocket('unix_dgram').unref();
      server.bind(name);
      console.log(JSON.stringify(server.fd > 2));
    },
    [temporaryPath(t)],
  );
  assert.equal(result, true);
});

test('the documents name every member and event', () => {
  const text = fs.readFileSync(path.join(LIB, '..', 'docs', 'unix-dgram.md'), 'utf8');
  const types = fs.readFileSync(path.join(LIB, 'compat', 'unix-dgram.d.ts'), 'utf8');
  const socket = createSocket('unix_dgram');
  const prototype = Object.getPrototypeOf(socket);
  const members = [...Object.getOwnPropertyNames(prototype), 'type', 'connected'];
  socket.close();
  const [, declared] = /^export interface UnixDgramSocket\b.*?\{$(.*?)^\}$/ms.exec(types);
  for (const name of members.filter((name) => name !== 'constructor')) {
    assert.match(text, new RegExp(`\\b${name}\\b`), `docs/unix-dgram.md lacks ${name}`);
    assert.match(declared, new RegExp(`\\b${name}\\b`), `the types lack ${name}`);
  }
  const source = fs.readFileSync(path.join(LIB, 'compat', 'unix-dgram.js'), 'utf8');
  for (const [, event] of source.matchAll(/\.emit\('(\w+)'/g)) {
    assert.ok(text.includes(`\`'${event}'`), `docs/unix-dgram.md lacks '${event}'`);
  }
});
