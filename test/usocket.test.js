'use strict';

// Owns USocket as usocket documents it: its example, connecting, 'connected', the forms of write()
// and end(), callbacks, and what only shows from outside: system calls, memory, the process's life.
// Descriptors are in usocket-fds.test.js, what net does too in usocket-net.test.js.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { describe, test } = require('node:test');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { setTimeout: delay } = require('node:timers/promises');
const { USocket } = require('../lib');
const { assertNoLeak, countFds } = require('./helpers/descriptors.js');
const { LIB, runScript, startScript } = require('./helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('./helpers/programs.js');
const { closing, eventsOf, quiet, write } = require('./helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('./helpers/sockets.js');
const { abstractName, temporaryFolder } = require('./helpers/tmp.js');
const { until, within } = require('./helpers/wait.js');
const {
  allBytes,
  collect,
  connectedPair,
  digestOf,
  makeBulk,
  makePair,
  makeServer,
  makeSocket,
  startServer,
} = require('./helpers/usocket.js');

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

  test("'connected' if anybody listens to it, 'connect' otherwise, never both", async (t) => {
    const server = startServer(t);
    for (const listened of [['connect'], ['connected'], ['connect', 'connected'], []]) {
      const client = makeSocket(t);
      const order = [];
      for (const event of listened) client.on(event, (...args) => order.push([event, ...args]));
      client.connect(server.address(), () => order.push(['callback']));
      await nextEvent(client, 'ready');
      await quiet();
      const event = listened.at(-1);
      assert.deepEqual(order, event ? [['callback'], [event]] : [['callback']]);
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
    assert.throws(() => client.connect(server.address()), { code: 'EISCONN' });
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
        () => new USocket().connect({ fd }),
        ...(typeof fd === 'number' ? [() => new USocket(fd)] : []),
      ]) {
        assert.throws(attempt, { code });
      }
      if (typeof fd === 'number' && code !== 'EBADF') assert.doesNotThrow(() => fs.fstatSync(fd));
    });
  }

  test('faulty arguments throw', (t) => {
    const socket = makeSocket(t);
    for (const attempt of [
      () => socket.connect(),
      () => socket.connect(3),
      () => socket.connect({}),
      () => socket.connect(''),
      () => socket.connect('/a\0b'),
      () => socket.connect('/a', 1),
      () => new USocket(['a']),
      () => new USocket({ path: 3 }),
      () => new USocket({ allowHalfOpen: 1 }),
      () => new USocket({ signal: {} }),
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

  test('supportsUnixFd can be asked and set', (t) => {
    const socket = makeSocket(t);
    assert.equal(socket.supportsUnixFd, true);
    socket.supportsUnixFd = false;
    assert.equal(socket.supportsUnixFd, false);
    assert.equal(makeSocket(t).supportsUnixFd, true);
    assert.equal(socket.setNoDelay(true).setKeepAlive(true, 1), socket);
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

describe('life', onLinux(), () => {
  test('a socket connects once', async (t) => {
    const before = countFds();
    const server = startServer(t);
    const client = makeSocket(t).connect(server.address());
    assert.throws(() => client.connect(server.address()), { code: 'EISCONN' });
    await nextEvent(client, 'connect');
    assert.throws(() => client.connect(server.address()), { code: 'EISCONN' });
    client.destroy();
    await closing(client);
    server.close();
    await closing(server);
    await assertNoLeak(before);
  });

  test('connect() after destroy() leaves nothing behind', async (t) => {
    const server = startServer(t);
    const before = countFds();
    const socket = new USocket();
    socket.destroy();
    assert.throws(() => socket.connect(server.address()), { code: 'ERR_STREAM_DESTROYED' });
    const [one, two] = makePair(t);
    assert.throws(() => socket.connect({ fd: one.fd }), { code: 'ERR_STREAM_DESTROYED' });
    one.destroy();
    two.destroy();
    await quiet();
    await assertNoLeak(before);
  });

  test('options of the constructor', async (t) => {
    const [one, two] = makePair(t, {
      readableHighWaterMark: 10,
      writableHighWaterMark: 20,
      timeout: 15,
      allowHalfOpen: true,
    });
    assert.deepEqual([one.readableHighWaterMark, one.writableHighWaterMark], [10, 20]);
    await nextEvent(one, 'timeout');
    one.end();
    two.resume();
    await nextEvent(two, 'end');
    await quiet();
    assert.equal(two.destroyed, false);
    const [other] = makePair(t, { highWaterMark: 33 });
    assert.deepEqual([other.readableHighWaterMark, other.writableHighWaterMark], [33, 33]);
  });

  test('credentials of the peer, and of each chunk', async (t) => {
    const [one, two] = makePair(t, { credentials: true });
    const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
    one.write('x');
    const [chunk] = await nextEvent(two, 'data');
    assert.deepEqual(chunk.credentials, me);
    assert.deepEqual(two.peerCredentials, me);
  });

  test('close() calls back, is idempotent, and asyncDispose destroys', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one);
    await within(new Promise((done) => one.close(done)), 'the callback of close');
    await within(new Promise((done) => one.close(done)), 'the callback of close');
    assert.deepEqual(events, ['close false']);
    await two[Symbol.asyncDispose]();
    assert.equal(two.destroyed, true);
  });

  test('an open socket keeps the process alive, an unreferenced one does not', async (t) => {
    for (const unref of [false, true]) {
      const program = startScript(
        t,
        ({ UServer, USocket }, name, quietly) => {
          const server = new UServer().listen(name);
          const [one, two] = USocket.pair();
          const client = new USocket(name);
          const all = [server, one, two, client];
          server.on('connection', (socket) => (quietly ? socket.unref() : socket));
          if (quietly) for (const each of all) each.unref();
          console.log(all.map((each) => each.hasRef()).join());
        },
        [abstractName(), unref],
      );
      const line = await program.lines.next();
      assert.equal(line, Array(4).fill(!unref).join());
      if (unref) {
        assert.equal((await program.ended()).code, 0);
      } else {
        await delay(100);
        assert.equal(program.lines.length, 0);
        program.kill();
        assert.equal((await program.ended()).signal, 'SIGTERM');
      }
    }
  });

  test('thousands of sockets come and go without a trace', async (t) => {
    const server = startServer(t);
    server.on('connection', (socket) => socket.resume());
    const before = countFds();
    for (let round = 0; round < 20; round++) {
      const clients = Array.from({ length: 50 }, () => new USocket(server.address()));
      await Promise.all(
        clients.map((client, index) => {
          client.resume().on('connect', () => (index % 2 ? client.end('x') : client.destroy()));
          return nextEvent(client, 'close');
        }),
      );
    }
    await assertNoLeak(before);
  });

  test('what is dropped is collected', async () => {
    const { WeakRef } = globalThis;
    const refs = [];
    const before = countFds();
    (() => {
      for (let round = 0; round < 50; round++) {
        const [one, two] = USocket.pair({ pauseOnConnect: true });
        one.write('x');
        refs.push(new WeakRef(one), new WeakRef(two));
      }
    })();
    await until(() => {
      globalThis.gc();
      return countFds() <= before;
    }, 'the collector');
    assert.ok(refs.filter((ref) => ref.deref() !== undefined).length < 10);
  });
});

describe('traffic', onLinux(), () => {
  test('50 MB each way at once arrive whole', async (t) => {
    const { client, socket } = await connectedPair(t);
    const [up, down] = [makeBulk(50), makeBulk(50)];
    const results = await Promise.all([
      digestOf(socket),
      digestOf(client),
      pipeline(Readable.from(up.chunks), client, { end: true }),
      pipeline(Readable.from(down.chunks), socket, { end: true }),
    ]);
    assert.deepEqual(results.slice(0, 2), [up.digest, down.digest]);
    assert.equal(client.bytesRead, 50 << 20);
    assert.equal(client.bytesWritten, 50 << 20);
  });

  test('small writes of every size keep their order', async (t) => {
    const [one, two] = makePair(t);
    const sent = [];
    const reading = allBytes(two);
    for (let size = 0; size < 3000; size++) {
      const chunk = Buffer.alloc(size, size);
      sent.push(chunk);
      if (!one.write(chunk)) await nextEvent(one, 'drain');
    }
    one.end();
    assert.ok((await reading).equals(Buffer.concat(sent)));
  });

  test('a reader that does not read stops the writer at the marks', async (t) => {
    const [one, two] = makePair(t, { highWaterMark: 10_000 });
    two.pause();
    let more = true;
    while (more) {
      more = one.write(Buffer.alloc(5000));
      await quiet(1);
    }
    await delay(20);
    assert.ok(two.readableLength < 10_000 + 65_536, `${two.readableLength} bytes`);
    const waiting = one.writableLength;
    assert.ok(waiting >= 10_000 && waiting < 30_000, `${waiting} bytes`);
    two.resume();
    await nextEvent(one, 'drain');
    await until(() => two.bytesRead === one.bytesWritten, 'all bytes');
  });

  test('what is corked goes in one system call', skipUnless('strace'), async (t) => {
    const trace = path.join(temporaryFolder(t), 'trace');
    const script = ({ USocket }) => {
      const [one, two] = USocket.pair();
      two.resume();
      one.cork();
      for (let index = 0; index < 50; index++) one.write(`line ${index}\n`);
      one.uncork();
      one.end();
    };
    const source = `(${script})(require(${JSON.stringify(LIB)}))`;
    try {
      execFileSync('strace', [
        '-f',
        '-o',
        trace,
        '-e',
        'trace=sendmsg,sendto',
        process.execPath,
        '--eval',
        source,
      ]);
    } catch (error) {
      // Containers may forbid it.
      if (/ptrace|Operation not permitted/.test(error.stderr)) {
        t.skip('strace may not trace here');
        return;
      }
      throw error;
    }
    const calls = fs
      .readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes('line '));
    assert.equal(calls.length, 1, calls.join('\n'));
    assert.match(calls[0], /sendmsg\(.*msg_iovlen=50/);
  });

  test('more parts than one call takes (1024) arrive too', async (t) => {
    const [one, two] = makePair(t);
    const reading = allBytes(two);
    one.cork();
    const outcomes = new Outcomes();
    for (let index = 0; index < 5000; index++) one.write(`${index},`, outcomes.callback());
    one.uncork();
    one.end();
    const expected = Array.from({ length: 5000 }, (_, index) => `${index},`).join('');
    assert.equal(String(await reading), expected);
    assert.deepEqual(await outcomes.settled(), Outcomes.all(5000, undefined));
  });

  test('one Buffer may be written twice, corked too, with descriptors or without', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    const data = Buffer.from('x');
    one.cork();
    one.write({ data, fds: [0] });
    one.write(data);
    one.write({ data, fds: [0, 0] });
    one.uncork();
    one.end(data);
    await closing(two);
    assert.equal(String(got.bytes()), 'xxxx');
    assert.equal(got.fds.length, 3);
  });
});

describe('robustness', onLinux(), () => {
  test('a flood on one socket leaves timers and other sockets their turn', async (t) => {
    const server = startServer(t);
    const program = startScript(
      t,
      ({ USocket: Socket }, name) => {
        const socket = new Socket(name);
        const put = () => {
          while (socket.write(Buffer.alloc(60_000)));
        };
        socket.on('drain', put).on('connect', put);
        socket.on('error', () => {});
      },
      [server.address()],
    );
    const [flood] = await nextEvent(server, 'connection');
    flood.on('error', () => {}).resume();
    await until(() => flood.bytesRead > 1_000_000, 'the flood');
    const [one, two] = makePair(t);
    two.on('data', (data) => two.write(data));
    let rounds = 0;
    one.on('data', (data) => {
      rounds++;
      one.write(data);
    });
    one.write('ping');
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const before = flood.bytesRead;
    await until(() => rounds > 100 && ticks > 20, 'others to have their turn', 10_000);
    clearInterval(timer);
    assert.ok(flood.bytesRead > before);
    program.kill('SIGKILL');
    await closing(flood);
  });

  test('bytes whose memory is transferred away while they wait: EFAULT, and no others sent', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    await quiet();
    const outcomes = new Outcomes();
    const bytes = new Uint8Array(3_000_000);
    one.write(bytes, outcomes.callback());
    one.write('behind', outcomes.callback());
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    const failed = nextEvent(one, 'error');
    const reading = allBytes(two);
    assert.equal((await failed)[0].code, 'EFAULT');
    await closing(one);
    assert.deepEqual(outcomes.codes, Outcomes.all(2, 'EFAULT'));
    const got = await reading;
    assert.ok(got.length > 0 && got.every((byte) => byte === 0));
  });

  test('shared memory and views with offsets are sent as they are', async (t) => {
    const [one, two] = makePair(t);
    const shared = new Uint8Array(new SharedArrayBuffer(8));
    shared.set(Buffer.from('abcdefgh'));
    one.write(shared.subarray(2, 5));
    one.cork();
    one.write(Buffer.from(shared.buffer, 0, 1));
    one.write(new Uint8Array(shared.buffer, 7));
    one.uncork();
    one.end();
    assert.equal(String(await allBytes(two)), 'cdeah');
  });

  test('a socket may be sent through itself and through its peer', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    two.on('error', () => {});
    for (let round = 0; round < 10; round++) {
      one.write({ data: 'x', fds: [one, two] });
      two.write({ data: 'x', fds: [one, two] });
    }
    await until(() => one.bytesRead === 10 && two.bytesRead === 10, 'all bytes');
    one.destroy();
    two.destroy();
    await closing(two);
    await assertNoLeak(before);
  });
});

describe('callbacks of write()', onLinux(), () => {
  test('run once, in order, never inside the call, whichever way the bytes take', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    const outcomes = new Outcomes();
    let inside = false;
    const callback = () => {
      const note = outcomes.callback();
      return (error) => {
        assert.equal(inside, false);
        note(error);
      };
    };
    const put = (message, ...rest) => {
      inside = true;
      one.write(message, ...rest);
      inside = false;
    };
    put('fast', callback());
    put({ data: 'with', fds: [0], callback: callback() });
    put([0], callback());
    put('next', callback());
    put('', callback());
    put('fast', callback());
    put(Buffer.alloc(1_000_000), callback());
    put('queued', callback());
    put({ data: 'queued', fds: [0] }, callback());
    one.cork();
    put('corked', callback());
    put('', callback());
    one.uncork();
    collect(t, two);
    two.resume();
    await outcomes.settled();
    put('fast again', callback());
    assert.deepEqual(await outcomes.settled(), Outcomes.all(12, undefined));
    await quiet();
    assert.equal(outcomes.codes.length, 12);
  });

  test('run in order when the socket is destroyed: sent, under way, queued, corked, waiting', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    await quiet();
    const outcomes = new Outcomes();
    one.write('sent', outcomes.callback());
    one.write(Buffer.alloc(3_000_000), outcomes.callback());
    one.write('queued', outcomes.callback());
    one.write({ data: 'queued', fds: [0] }, outcomes.callback());
    one.cork();
    one.write('corked', outcomes.callback());
    one.write([0], outcomes.callback());
    const events = eventsOf(one, ['error', 'close']);
    const before = outcomes.codes.length;
    one.destroy();
    assert.equal(outcomes.codes.length, before);
    await closing(one);
    const failed = Outcomes.all(6, 'ERR_STREAM_DESTROYED').slice(1);
    assert.deepEqual(outcomes.codes, [[0, undefined], ...failed]);
    assert.deepEqual(events, ['close false']);
  });

  test('that throw harm no other', async (t) => {
    const result = await runScript(t, async ({ USocket }) => {
      const { once } = require('node:events');
      const errors = [];
      process.on('uncaughtException', ({ message }) => errors.push(message));
      const [one, two] = USocket.pair();
      two.on('fds', () => {});
      let length = 0;
      two.on('data', (data) => (length += data.length));
      const calls = [];
      let made = 0;
      const callback = () => {
        const number = made++;
        return () => {
          calls.push(number);
          throw new Error(`${number}`);
        };
      };
      one.write('fast', callback());
      one.write([0], callback());
      one.write([0], callback());
      one.write('next', callback());
      one.write({ data: 'x', callback: callback() }, callback());
      one.cork();
      for (let count = 0; count < 3; count++) one.write('corked', callback());
      one.uncork();
      one.write(Buffer.alloc(1_000_000), callback());
      one.write('queued', callback());
      one.write('queued', callback());
      await once(one, 'drain');
      one.end('last', callback());
      await once(two, 'close');
      console.log(JSON.stringify({ calls, errors, length, made }));
    });
    const all = Array.from({ length: result.made }, (_, number) => number);
    assert.deepEqual(result.calls, all);
    assert.deepEqual(result.errors.sort(), all.map(String).sort());
    assert.equal(result.length, 4 + 4 + 1 + 18 + 1_000_000 + 12 + 4);
  });

  test('have the AsyncLocalStorage of their call', async (t) => {
    const storage = new AsyncLocalStorage();
    const [one, two] = makePair(t);
    collect(t, two);
    const stores = [];
    const put = (name, ...args) => {
      storage.run(name, () => one.write(...args, () => stores.push([name, storage.getStore()])));
    };
    put('fast', 'x');
    put('alone', [0]);
    put('with', { data: 'x', fds: [0] });
    put('large', Buffer.alloc(1_000_000));
    put('queued', 'x');
    one.cork();
    put('corked', 'x');
    one.uncork();
    await until(() => stores.length === 6, 'all callbacks');
    for (const [name, store] of stores) assert.equal(store, name);
  });

  test('may destroy the socket, write or end', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    await write(one, 'a');
    one.write('b', () => one.write('c', () => one.end('d')));
    await closing(two);
    assert.equal(String(got.bytes()), 'abcd');
    const [other] = makePair(t);
    const outcomes = new Outcomes();
    other.write(Buffer.alloc(10), () => other.destroy());
    other.write('x', outcomes.callback());
    other.write(Buffer.alloc(3_000_000), outcomes.callback());
    await closing(other);
    assert.deepEqual(outcomes.codes, [
      [0, undefined],
      [1, 'ERR_STREAM_DESTROYED'],
    ]);
  });
});

describe('onread', onLinux(), () => {
  test('receives in place: nothing is buffered, and descriptors come beside', async (t) => {
    const buffer = Buffer.alloc(1000);
    const calls = [];
    const server = startServer(t, {
      onread: { buffer, callback: (length, given) => void calls.push([length, given === buffer]) },
    });
    const client = makeSocket(t, server.address());
    const [socket] = await nextEvent(server, 'connection');
    const got = collect(t, socket);
    client.write({ data: 'abc', fds: [0] });
    await until(() => calls.length === 1, 'the bytes');
    assert.deepEqual(calls, [[3, true]]);
    assert.equal(buffer.toString('latin1', 0, 3), 'abc');
    assert.equal(got.fds.length, 1);
    assert.equal(got.bytes().length, 0);
    assert.equal(socket.readableLength, 0);
    assert.equal(socket.bytesRead, 3);
  });

  test('5 MB through a small buffer, with pauses', async (t) => {
    const { chunks, digest } = makeBulk(5);
    const hash = require('node:crypto').createHash('sha256');
    let calls = 0;
    const two = makeSocket(t, {
      onread: {
        buffer: Buffer.alloc(5000),
        callback(length, buffer) {
          hash.update(buffer.subarray(0, length));
          if (++calls % 100 !== 0) return true;
          setImmediate(() => two.resume());
          return false;
        },
      },
    });
    const server = startServer(t);
    two.connect(server.address());
    const [one] = await nextEvent(server, 'connection');
    two.on('end', () => {});
    await Promise.all([pipeline(Readable.from(chunks), one), nextEvent(two, 'end')]);
    assert.equal(hash.digest('hex'), digest);
  });

  test('the callback may destroy the socket', async (t) => {
    let calls = 0;
    const server = startServer(t, {
      onread: {
        buffer: Buffer.alloc(2),
        callback() {
          calls++;
          connection.destroy();
        },
      },
    });
    const client = makeSocket(t, server.address());
    client.on('error', () => {});
    const [connection] = await nextEvent(server, 'connection');
    client.write('abcdef');
    await closing(connection);
    assert.equal(calls, 1);
  });
});
