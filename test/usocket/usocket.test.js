'use strict';

// Owns USocket as usocket documents it: its example, connecting, 'connected', the forms of write() and
// end(). Descriptors are in usocket-fds*.test.js, what net does too in usocket-net*.test.js.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB } = require('../helpers/node.js');
const { onLinux, startProgram } = require('../helpers/programs.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');
const { collect, makePair, makeServer, makeSocket, startServer } = require('../helpers/usocket.js');

assertNoLeaks();

describe('what usocket documents', onLinux(), () => {
  test('its example runs unchanged but for the name', async (t) => {
    const folder = temporaryFolder(t);
    const file = path.join(folder, 'example.js');
    fs.writeFileSync(
      file,
      `var fs = require('fs');
var usocket = require(${JSON.stringify(LIB)});
var server = new usocket.UServer();
var client = new usocket.USocket();
server.listen(__dirname + "/socket", function() {
  client.connect(__dirname + "/socket");
});
server.on('connection', function(connection) {
  var msg = new Buffer("message");
  var fd = fs.openSync(__filename, "r");
  setTimeout(function() {
    connection.end({ data: msg, fds: [fd], callback: function() { fs.close(fd); } });
  }, 500);
});
client.on('connected', function() { client.read(0); });
client.on('readable', function() {
  var msg = client.read(7, 1);
  if (!msg) return;
  console.log(msg.data.toString(), fs.readFileSync(msg.fds[0], 'utf8') === fs.readFileSync(__filename, 'utf8'));
  fs.close(msg.fds[0]);
  server.close();
  client.end();
});
`,
    );
    const program = startProgram(t, process.execPath, ['--no-deprecation', file]);
    const result = await program.ended();
    assert.deepEqual(result, { code: 0, signal: null, stdout: 'message true\n', stderr: '' });
    assert.deepEqual(fs.readdirSync(folder), ['example.js']);
  });

  test('new USocket({ path: null }) connects to nobody', (t) => {
    for (const path of [null, undefined]) {
      const { pending, connecting } = makeSocket(t, { path });
      assert.deepEqual([pending, connecting], [true, false]);
    }
  });

  test('new USocket(path, callback) connects: in usocket it aborted the process', async (t) => {
    const server = startServer(t);
    for (const options of [server.address(), { path: server.address() }]) {
      const order = [];
      const client = makeSocket(t, options, function () {
        assert.equal(this, client);
        order.push('callback');
      });
      for (const event of ['connect', 'ready']) client.on(event, () => order.push(event));
      await nextEvent(client, 'ready');
      assert.deepEqual(order, ['callback', 'connect', 'ready']);
      assert.equal(client.remoteAddress, server.address());
      client.destroy();
    }
  });

  test("'connected' and then 'connect'; alone where supportsUnixFd was assigned", async (t) => {
    const server = startServer(t);
    for (const listened of [['connect'], ['connected'], ['connected', 'connect'], []]) {
      for (const isAssigned of [false, true]) {
        const client = makeSocket(t);
        if (isAssigned) client.supportsUnixFd = true;
        const order = [];
        for (const event of listened) client.on(event, (...args) => order.push([event, ...args]));
        client.connect(server.address(), () => order.push(['callback']));
        await nextEvent(client, 'ready');
        await quiet();
        const heard = isAssigned && listened.includes('connected') ? ['connected'] : listened;
        assert.deepEqual(order, [['callback'], ...heard.map((event) => [event])]);
      }
    }
  });

  test('connect({ fd }) takes over a connected descriptor', async (t) => {
    const server = startServer(t);
    const [socket, raw] = await connectRaw(t, server);
    const client = makeSocket(t);
    assert.equal(
      client.connect({ fd: raw.fd }, () => client.write('adopted')),
      client,
    );
    const data = await once(socket, 'data');
    assert.equal(String(data[0]), 'adopted');
    assert.equal(client.fd, raw.fd);
    // It has one already.
    const before = countFds();
    const fd = fs.openSync('/dev/null');
    assert.throws(() => client.connect({ fd }), { code: 'EISCONN' });
    fs.closeSync(fd);
    assert.equal(countFds(), before);
    client.end('still works');
    await nextEvent(socket, 'end');
  });

  for (const [code, open] of [
    ['EBADF', () => 987],
    ['ENOTSOCK', (t) => keep(t, fs.openSync('/dev/null'))],
    ['EAFNOSUPPORT', (t) => tcpDescriptor(t)],
    ['ERR_INVALID_ARG_TYPE', () => 'x'],
  ]) {
    test(`an unsuitable descriptor: ${code}, and it stays the caller's`, async (t) => {
      const fd = await open(t);
      for (const attempt of [
        () => new USocket({ fd }),
        ...(typeof fd === 'number' ? [() => new USocket(fd)] : []),
      ]) {
        assert.throws(attempt, { code });
      }
      const socket = makeSocket(t);
      if (typeof fd === 'number') {
        // As usocket: what the system refuses is an event.
        const events = eventsOf(socket);
        assert.equal(socket.connect({ fd }), socket);
        await closing(socket);
        assert.deepEqual(events, [`error ${code}`, 'close undefined']);
      } else {
        assert.throws(() => socket.connect({ fd }), { code });
      }
      if (typeof fd === 'number' && code !== 'EBADF') assert.doesNotThrow(() => fs.fstatSync(fd));
    });
  }

  test('faulty arguments throw', (t) => {
    const socket = makeSocket(t);
    for (const nothing of [[], [undefined], [null], [{}]]) {
      assert.throws(() => socket.connect(...nothing), { code: 'ERR_MISSING_ARGS' });
    }
    for (const port of [3, { port: 3 }, { host: 'localhost' }, { host: 'localhost', port: 3 }]) {
      const error = { code: 'ERR_INVALID_ARG_VALUE', message: /^Unix sockets only: give a path/ };
      assert.throws(() => socket.connect(port), error);
    }
    for (const attempt of [
      () => socket.connect(''),
      () => socket.connect('/a\0b'),
      () => socket.connect('/a', 1),
      () => new USocket(['a']),
      () => new USocket({ path: 3 }),
      () => new USocket({ allowHalfOpen: 1 }),
      () => new USocket({ signal: {} }),
      () => new USocket({ signal: { aborted: false } }),
      () => new USocket({ onread: 1 }),
      () => new USocket({ onread: { buffer: Buffer.alloc(1) } }),
      () => new USocket({ onread: { buffer: 1, callback() {} } }),
      () => new USocket({ maxPendingFds: -1 }),
    ]) {
      assert.throws(attempt, { code: /^ERR_(INVALID_ARG_(TYPE|VALUE)|OUT_OF_RANGE)$/ });
    }
  });

  test('write() takes bytes in every form', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const outcomes = new Outcomes();
    const bytes = new Uint8Array([0x61, 0x62, 0x63, 0x64]);
    one.write('t1 ', outcomes.callback());
    one.write('dDI=', 'base64', outcomes.callback());
    one.write(Buffer.from('-'), outcomes.callback());
    one.write(bytes.subarray(1, 3), undefined, outcomes.callback());
    one.write(new DataView(bytes.buffer, 3, 1), outcomes.callback());
    one.write(new Uint16Array(bytes.buffer, 0, 1), outcomes.callback());
    one.write({ data: 'ü', callback: outcomes.callback() }, 'latin1');
    one.write({ data: bytes });
    const both = outcomes.callback();
    one.write({ data: '.', callback: outcomes.callback() }, both);
    one.writeWithFds('w', []);
    one.end({ data: new DataView(bytes.buffer), callback: outcomes.callback() });
    await closing(two);
    await outcomes.settled();
    assert.equal(got.bytes().toString('latin1'), 't1 t2-bcdab\xfcabcd.wabcd');
    assert.deepEqual(
      outcomes.codes.map(([number]) => number).sort(),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.ok(outcomes.codes.every(([, code]) => code === undefined));
  });

  test("end() with each form, and its callback for 'finish'", async (t) => {
    for (const [args, expected] of [
      [[], ''],
      [['a'], 'a'],
      [['YQ==', 'base64'], 'a'],
      [[{ data: 'a', fds: [0] }], 'a'],
      [[null], ''],
      [[Buffer.from('a')], 'a'],
    ]) {
      const [one, two] = makePair(t);
      const events = eventsOf(one, ['finish']);
      const got = collect(t, two);
      const ended = new Promise((resolve) => one.end(...args, resolve));
      await within(ended, 'the callback of end');
      assert.deepEqual(events, ['finish']);
      await closing(two);
      assert.equal(String(got.bytes()), expected);
    }
  });

  test('a file that is no socket survives listen()', async (t) => {
    const folder = temporaryFolder(t);
    const file = path.join(folder, 'data');
    fs.writeFileSync(file, 'precious');
    const server = makeServer(t).listen(file);
    const [error] = await nextEvent(server, 'error');
    assert.equal(error.code, 'EADDRINUSE');
    assert.equal(fs.readFileSync(file, 'utf8'), 'precious');
  });

  test("emit() says whether anybody listens, also of 'drain'", (t) => {
    const socket = makeSocket(t);
    for (const name of ['drain', 'mine']) {
      assert.equal(socket.emit(name), false);
      assert.equal(socket.on(name, () => {}).emit(name), true);
    }
  });

  test('supportsUnixFd can be asked and set', (t) => {
    const socket = makeSocket(t);
    assert.equal(socket.supportsUnixFd, true);
    socket.supportsUnixFd = false;
    assert.equal(socket.supportsUnixFd, false);
    assert.equal(makeSocket(t).supportsUnixFd, true);
    assert.equal(socket.setNoDelay(true).setKeepAlive(true, 1), socket);
  });

  test("'buffer' is an encoding of bytes, as in Writable", async (t) => {
    const [one, two] = makePair(t);
    one.write(Buffer.from('abc'), 'buffer');
    assert.equal(String((await nextEvent(two, 'data'))[0]), 'abc');
  });

  test('nothing, in place of a message, is refused as net does it', (t) => {
    const refusal = (socket, nothing) => {
      t.after(() => socket.destroy());
      socket.on('error', () => {});
      try {
        return socket.write(nothing);
      } catch ({ name, code, message }) {
        return { name, code, message };
      }
    };
    const [one] = makePair(t);
    for (const nothing of [undefined, null]) {
      const expected = refusal(new net.Socket(), nothing);
      for (const socket of [makeSocket(t), one]) {
        assert.deepEqual(refusal(socket, nothing), expected);
      }
    }
  });

  test('bufferSize is what waits, and undefined without a connection', (t) => {
    const [one, two] = makePair(t);
    two.pause();
    assert.equal(makeSocket(t).bufferSize, undefined);
    assert.equal(one.bufferSize, 0);
    one.write(Buffer.alloc(1_000_000));
    assert.equal(one.bufferSize, 1_000_000);
    one.destroy();
    assert.equal(one.bufferSize, undefined);
  });

  test('a type of service is kept, if it is one', (t) => {
    const socket = makeSocket(t);
    assert.equal(socket.setTypeOfService(255).getTypeOfService(), 255);
    for (const bad of [256, -1, 1.5]) {
      assert.throws(() => socket.setTypeOfService(bad), { code: 'ERR_OUT_OF_RANGE' });
    }
    for (const bad of [NaN, '8', undefined]) {
      assert.throws(() => socket.setTypeOfService(bad), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    assert.equal(socket.getTypeOfService(), 255);
  });
});

/** Leaves a descriptor open until the end of the test. */
function keep(t, fd) {
  t.after(() => fs.closeSync(fd));
  return fd;
}

/** A descriptor of a listening TCP socket. */
async function tcpDescriptor(t) {
  const server = net.createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  return server._handle.fd;
}

/** The server's side of a connection, and a connected descriptor that no object owns. */
async function connectRaw(t, server) {
  const [socket, raw] = await Promise.all([
    nextEvent(server, 'connection').then(([connection]) => connection),
    duplicateOf(t, server.address()),
  ]);
  return [socket, raw];
}

/** A connected descriptor of our own: a duplicate that came through a socket. */
async function duplicateOf(t, name) {
  const client = makeSocket(t).connect(name);
  const [one, two] = makePair(t);
  one.write({ data: 'x', fds: [client] });
  const [[fd]] = await nextEvent(two, 'fds');
  await quiet();
  // Its end is not the connection's: there is a duplicate.
  client.destroy();
  return { fd };
}

test('an event has as many values as it is emitted with', onLinux(), (t) => {
  const [one] = makePair(t);
  for (const values of [[], [1], [1, 2], [1, 2, undefined], [undefined, 2, 3, 4]]) {
    one.once('mine', (...heard) => assert.deepEqual(heard, values));
    assert.equal(one.emit('mine', ...values), true);
    assert.equal(one.emit('mine', ...values), false);
  }
});
