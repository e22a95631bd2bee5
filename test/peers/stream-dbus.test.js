'use strict';

// Owns USocket as the transport of D-Bus libraries against a real dbus-daemon: dbus-next, with this
// package in usocket's place, and dbus-native, which takes a stream.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { startBus } = require('../helpers/dbus.js');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { usePackages } = require('../helpers/npm.js');
const { onLinux, skipUnless } = require('../helpers/programs.js');
const { nextEvent } = require('../helpers/sockets.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const needs = skipUnless('dbus-daemon');
const skipped = (packages) => onLinux(needs.skip ? needs : packages.options);

const next = needs.skip ? {} : usePackages('dbus-next@0.10.2');
const native = needs.skip ? {} : usePackages('dbus-native@0.13.0');

const NAME = 'org.example.Afunix';
const OBJECT = '/org/example/Afunix';
const INTERFACE = 'org.example.Afunix.Files';
const TARGET = { destination: NAME, path: OBJECT, interface: INTERFACE };

/** A client of dbus-next, disconnected when the test ends. */
async function joinBus(t, busAddress, negotiateUnixFd = true) {
  const dbus = next.require('dbus-next');
  const bus = dbus.sessionBus({ busAddress, negotiateUnixFd });
  t.after(() => bus._connection.stream.destroy());
  await nextEvent(bus, 'connect');
  assert.ok(bus._connection.stream instanceof USocket);
  return bus;
}

/** Files that have a line each; opened anew for each use. */
const openAll = (paths) => paths.map((file) => fs.openSync(file));
const closeAll = (fds) => fds.forEach((fd) => fs.closeSync(fd));

/**
 * A service with low-level methods: Read reads files behind descriptors and closes them, Open gives
 * descriptors of files, Swap does both.
 */
async function startService(t, address) {
  const { Message, MessageType } = next.require('dbus-next');
  const bus = await joinBus(t, address);
  await bus.requestName(NAME);
  // dbus-next does not copy: a reply's descriptors may be closed when write() has returned.
  const replyWith = (message, signature, body, fds = []) => {
    bus.send(Message.newMethodReturn(message, signature, body));
    closeAll(fds);
  };
  bus.addMethodHandler((message) => {
    if (message.type !== MessageType.METHOD_CALL || message.interface !== INTERFACE) return false;
    const [first, second] = message.body;
    if (message.member === 'Read') {
      replyWith(message, 'as', [readAndClose(first)]);
    } else if (message.member === 'Open') {
      const fds = openAll(first);
      replyWith(message, 'ah', [fds], fds);
    } else if (message.member === 'Swap') {
      const [text] = readAndClose([first]);
      const fd = fs.openSync(second);
      replyWith(message, 'sh', [text, fd], [fd]);
    } else {
      return false;
    }
    return true;
  });
  return bus;
}

describe('dbus-next with afunix in the place of usocket', skipped(next), () => {
  const call = (bus, member, signature = '', body = []) => {
    const { Message } = next.require('dbus-next');
    return within(
      bus.call(new Message({ ...TARGET, member, signature, body })),
      `the answer to ${member}`,
    );
  };

  for (const kind of ['path', 'abstract']) {
    for (const negotiate of [true, false]) {
      test(`connects to unix:${kind}=, descriptors ${negotiate ? 'agreed' : 'not asked for'}`, async (t) => {
        const bus = await joinBus(t, await startBus(t, kind), negotiate);
        assert.match(bus.name, /^:1\.\d+$/);
        assert.equal(bus._connection.stream.supportsUnixFd, negotiate);
        const object = await bus.getProxyObject('org.freedesktop.DBus', '/org/freedesktop/DBus');
        const daemon = object.getInterface('org.freedesktop.DBus');
        assert.ok((await daemon.ListNames()).includes(bus.name));
        assert.equal(await daemon.GetConnectionUnixProcessID(bus.name), process.pid);
        assert.ok(object.interfaces['org.freedesktop.DBus.Introspectable']);
      });
    }
  }

  test('shakes hands once', async (t) => {
    const address = await startBus(t);
    const lines = [];
    const { write } = USocket.prototype;
    t.mock.method(USocket.prototype, 'write', function (data, ...rest) {
      if (typeof data === 'string') lines.push(data.split(' ')[0].trim());
      return write.call(this, data, ...rest);
    });
    await joinBus(t, address);
    assert.deepEqual(lines, ['\0', 'AUTH', 'NEGOTIATE_UNIX_FD', 'BEGIN']);
  });

  test('methods, properties, signals and introspection, both ways', async (t) => {
    const address = await startBus(t);
    const dbus = next.require('dbus-next');
    class Files extends dbus.interface.Interface {
      level = 1;
      Join(a, b) {
        this.Joined(`${a}${b}`);
        return `${a}${b}`;
      }
      Joined(text) {
        return text;
      }
      Contents(fd) {
        return readAndClose([fd])[0];
      }
    }
    Files.configureMembers({
      properties: { level: { signature: 'u' } },
      methods: {
        Join: { inSignature: 'ss', outSignature: 's' },
        Contents: { inSignature: 'h', outSignature: 's' },
      },
      signals: { Joined: { signature: 's' } },
    });
    const service = await joinBus(t, address);
    service.export(OBJECT, new Files(INTERFACE));
    await service.requestName(NAME);
    const client = await joinBus(t, address);
    const object = await client.getProxyObject(NAME, OBJECT);
    const files = object.getInterface(INTERFACE);
    const signals = [];
    files.on('Joined', (text) => signals.push(text));
    assert.equal(await files.Join('a', 'b'), 'ab');
    const long = 'x'.repeat(3_000_000);
    assert.equal(await files.Join(long, 'y'), `${long}y`);
    await until(() => signals.length === 2, 'two signals');
    assert.deepEqual(signals, ['ab', `${long}y`]);
    const properties = object.getInterface('org.freedesktop.DBus.Properties');
    await properties.Set(INTERFACE, 'level', new dbus.Variant('u', 7));
    assert.equal((await properties.Get(INTERFACE, 'level')).value, 7);
    const { paths, texts } = makeFiles(t, 1);
    const [fd] = openAll(paths);
    assert.equal(await files.Contents(fd), texts[0]);
    fs.closeSync(fd);
    await assert.rejects(call(client, 'Nonsense'), /UnknownMethod|does not exist/);
  });

  for (const count of [1, 3, 16]) {
    test(`${count} descriptors in a message, both ways, none leaked`, async (t) => {
      const address = await startBus(t);
      const { paths, texts } = makeFiles(t, count);
      await startService(t, address);
      const client = await joinBus(t, address);
      const before = countFds();
      for (let round = 0; round < 5; round++) {
        const fds = openAll(paths);
        const reading = call(client, 'Read', 'ah', [fds]);
        closeAll(fds);
        assert.deepEqual((await reading).body, [texts]);
        const { body } = await call(client, 'Open', 'as', [paths]);
        assert.deepEqual(readAndClose(body[0]), texts);
      }
      await assertNoLeak(before);
    });
  }

  test('many calls in flight: each gets its own descriptors', async (t) => {
    const COUNT = 300;
    const address = await startBus(t);
    const { paths, texts } = makeFiles(t, COUNT);
    await startService(t, address);
    const client = await joinBus(t, address);
    const before = countFds();
    // At first some without, so that neighbours differ.
    for (const each of [1, 2, 5]) {
      const calls = paths.slice(0, COUNT / each).map((_file, at) => {
        const mine = Array.from({ length: each }, (_, index) => (at * each + index) % COUNT);
        if (at % 3 === 0) {
          return call(client, 'Open', 'as', [mine.map((index) => paths[index])]).then((reply) => {
            assert.deepEqual(
              readAndClose(reply.body[0]),
              mine.map((index) => texts[index]),
            );
          });
        }
        if (at % 3 === 1) {
          const fds = openAll(mine.map((index) => paths[index]));
          const reading = call(client, 'Read', 'ah', [fds]);
          closeAll(fds);
          return reading.then((reply) => {
            assert.deepEqual(
              reply.body[0],
              mine.map((index) => texts[index]),
            );
          });
        }
        const [fd] = openAll([paths[mine[0]]]);
        const swapping = call(client, 'Swap', 'hs', [fd, paths[mine.at(-1)]]);
        fs.closeSync(fd);
        return swapping.then(({ body: [text, theirs] }) => {
          assert.equal(text, texts[mine[0]]);
          assert.deepEqual(readAndClose([theirs]), [texts[mine.at(-1)]]);
        });
      });
      await Promise.all(calls);
    }
    await assertNoLeak(before);
  });

  test('messages with descriptors among long ones without', async (t) => {
    const address = await startBus(t);
    const { paths, texts } = makeFiles(t, 20);
    await startService(t, address);
    const client = await joinBus(t, address);
    const before = countFds();
    const bodies = paths.map((file, at) => [...Array(1 + at * 500).fill(path.dirname(file)), file]);
    const replies = await Promise.all(
      bodies.map((body, at) => {
        const fds = openAll([paths[at]]);
        const reading = call(client, 'Read', 'ahas', [fds, body]);
        closeAll(fds);
        return reading;
      }),
    );
    assert.deepEqual(
      replies.map(({ body }) => body[0][0]),
      texts,
    );
    await assertNoLeak(before);
  });

  test('signals carry descriptors', async (t) => {
    const { Message } = next.require('dbus-next');
    const address = await startBus(t);
    const { paths, texts } = makeFiles(t, 50);
    const sender = await joinBus(t, address);
    const receiver = await joinBus(t, address);
    const got = [];
    receiver.on('message', (message) => {
      if (message.member === 'Changed') got.push(readAndClose([message.body[1]])[0]);
    });
    await receiver._addMatch(`type='signal',member='Changed',interface='${INTERFACE}'`);
    for (const [at, file] of paths.entries()) {
      const fd = fs.openSync(file);
      sender.send(Message.newSignal(OBJECT, INTERFACE, 'Changed', 'uh', [at, fd]));
      fs.closeSync(fd);
    }
    await until(() => got.length === paths.length, 'all signals');
    assert.deepEqual(got, texts);
  });

  test('disconnects, and sees the bus go away', async (t) => {
    const address = await startBus(t);
    const bus = await joinBus(t, address);
    const { stream } = bus._connection;
    bus.disconnect();
    await until(() => stream.closed, 'the connection to close');
    assert.equal(stream.errored, null);

    const other = await joinBus(t, address);
    const ended = nextEvent(other._connection, 'end');
    const object = await other.getProxyObject('org.freedesktop.DBus', '/org/freedesktop/DBus');
    const daemon = object.getInterface('org.freedesktop.DBus');
    const pid = await daemon.GetConnectionUnixProcessID('org.freedesktop.DBus');
    process.kill(pid);
    await ended;
    await until(() => other._connection.stream.closed, 'the connection to close');
  });

  test('reports a bus that is not there', async (t) => {
    const dbus = next.require('dbus-next');
    const bus = dbus.sessionBus({ busAddress: `unix:path=${path.join(os.tmpdir(), 'no-bus')}` });
    t.after(() => bus._connection.stream.destroy());
    const [error] = await nextEvent(bus, 'error');
    assert.equal(error.code, 'ENOENT');
  });
});

describe('dbus-native on a USocket', skipped(native), () => {
  /** A client over a USocket, and the names on its bus: `{ client, stream, names }`. */
  async function join(t, address) {
    const [, file] = /^unix:path=([^,]+)/.exec(address);
    const stream = new USocket({ path: file });
    t.after(() => stream.destroy());
    const client = native.require('dbus-native').createClient({ stream });
    await nextEvent(client.connection, 'connect');
    // Until the bus has answered it may still read as in the handshake, which loses descriptors.
    const names = await listNames(client);
    return { client, stream, names };
  }

  const listNames = (client) =>
    new Promise((resolve, reject) => {
      client.listNames((error, names) => (error ? reject(error) : resolve(names)));
    });

  test('agrees on descriptors, and calls', async (t) => {
    const { client, stream, names } = await join(t, await startBus(t));
    assert.equal(client.connection.unixFdsAgreed, true);
    assert.equal(client.connection.canPassFds, true);
    assert.ok(names.includes('org.freedesktop.DBus'));
    stream.end();
    await until(() => stream.closed, 'the connection to close');
  });

  test('many messages with descriptors in flight, none mixed', async (t) => {
    const COUNT = 100;
    const address = await startBus(t);
    const { paths, texts } = makeFiles(t, COUNT);
    const service = (await join(t, address)).client;
    await new Promise((resolve, reject) => {
      service.requestName(NAME, 0, (error) => (error ? reject(error) : resolve()));
    });
    // Swaps each descriptor for one of the file that is named with it.
    service.connection.on('message', (message) => {
      if (message.member !== 'Swap') return;
      const [, name] = message.body;
      const [text] = readAndClose(message.fds);
      const fd = fs.openSync(name);
      service.connection.message({
        type: 2,
        serial: service.serial++,
        destination: message.sender,
        replySerial: message.serial,
        signature: 'sh',
        body: [text, 0],
        fds: [fd],
      });
      fs.closeSync(fd);
    });
    const { client } = await join(t, address);
    const replies = new Map();
    client.connection.on('message', (message) => {
      if (message.replySerial) replies.set(message.replySerial, message);
    });
    const before = countFds();
    const serials = paths.map((file, at) => {
      const fd = fs.openSync(file);
      const serial = 1000 + at;
      client.connection.message({
        ...TARGET,
        type: 1,
        serial,
        member: 'Swap',
        signature: 'hs',
        body: [0, paths[(at + 1) % COUNT]],
        fds: [fd],
      });
      fs.closeSync(fd);
      return serial;
    });
    await until(() => serials.every((serial) => replies.has(serial)), 'all replies');
    const found = serials.map((serial) => replies.get(serial));
    assert.deepEqual(
      found.map(({ body }) => body[0]),
      texts,
    );
    assert.deepEqual(
      found.flatMap(({ fds }) => readAndClose(fds)),
      [...texts.slice(1), texts[0]],
    );
    await assertNoLeak(before);
  });
});
