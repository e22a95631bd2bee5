'use strict';

// Owns createReuseportFd(): sockets bound to a shared port, TCP and UDP, IPv4 and IPv6, in one
// process, in several and in workers; what goes wrong. Leaving a port is in reuseport-drain.test.js.

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const { closeFd, createReuseportFd, fdType } = require('../../lib');
const { describeFd } = require('../../lib/descriptors/describe.js');
const { O_CLOEXEC, assertNoLeak, countFds, flagsOf } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript, startScript, startWorker } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');
const { sinceNode } = require('../helpers/versions.js');

assertNoLeaks();

/** A server on a shared port; its number is what it answers. */
async function listen(t, port, host, options, id) {
  const fd = createReuseportFd(port, host, options);
  const server = net.createServer((socket) => socket.end(String(id)));
  server.listen({ fd });
  t.after(() => server.close());
  await within(once(server, 'listening'), "'listening'");
  return server;
}

/** What whoever accepts a connection answers. */
function ask(port, host) {
  const answer = new Promise((resolve, reject) => {
    let text = '';
    const socket = net.connect(port, host);
    socket.on('data', (data) => (text += data));
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
  return within(answer, 'an answer');
}

/** Asks until each of the given answers has come. */
async function askAll(port, host, expected) {
  const answers = new Set();
  for (let i = 0; i < 1000 && answers.size < expected.length; i++) {
    answers.add(await ask(port, host));
  }
  assert.deepEqual([...answers].sort(), expected);
}

describe('the descriptor', onLinux({}), () => {
  test('is nonblocking, close-on-exec, and bound but not listening', async (t) => {
    const fd = createReuseportFd();
    t.after(() => closeFd(fd));
    assert.equal(fdType(fd), 'tcp');
    assert.ok(flagsOf(fd) & O_CLOEXEC, 'inherited');
    assert.ok(flagsOf(fd) & fs.constants.O_NONBLOCK, 'blocking');
    assert.equal(describeFd(fd).listening, false);
  });
});

describe('TCP', onLinux({}), () => {
  for (const [host, address, family] of [
    [undefined, '0.0.0.0', 'IPv4'],
    ['127.0.0.1', '127.0.0.1', 'IPv4'],
    ['::1', '::1', 'IPv6'],
    ['::', '::', 'IPv6'],
  ]) {
    test(`servers of one process share a port of ${host ?? 'the default host'}`, async (t) => {
      const before = countFds();
      const first = await listen(t, undefined, host, undefined, 1);
      assert.deepEqual({ ...first.address(), port: 0 }, { address, family, port: 0 });
      const { port } = first.address();
      const second = await listen(t, String(port), host, undefined, 2);
      assert.equal(second.address().port, port);
      await askAll(port, family === 'IPv6' ? '::1' : '127.0.0.1', ['1', '2']);
      first.close();
      second.close();
      await assertNoLeak(before);
    });
  }

  test("'::' takes IPv4 as well, as in net, unless ipv6Only", async (t) => {
    const both = await listen(t, 0, '::', undefined, 'both');
    assert.equal(await ask(both.address().port, '127.0.0.1'), 'both');
    const only = await listen(t, 0, '::', { ipv6Only: true }, 'only');
    assert.equal(await ask(only.address().port, '::1'), 'only');
    await assert.rejects(ask(only.address().port, '127.0.0.1'), { code: 'ECONNREFUSED' });
  });

  test('an address may have a zone', async (t) => {
    const server = await listen(t, 0, '::1%lo', undefined, 'zone');
    assert.equal(await ask(server.address().port, '::1'), 'zone');
  });

  test('processes share a port', async (t) => {
    const first = await listen(t, 0, '127.0.0.1', undefined, 'parent');
    const { port } = first.address();
    const children = ['x', 'y'].map((id) =>
      startScript(
        t,
        ({ createReuseportFd: create }, to, answer) => {
          const server = require('node:net').createServer((socket) => socket.end(answer));
          server.listen({ fd: create(to, '127.0.0.1') }, () => console.log('listening'));
        },
        [port, id],
      ),
    );
    for (const child of children) assert.equal(await child.lines.next(), 'listening');
    await askAll(port, '127.0.0.1', ['parent', 'x', 'y']);
  });

  test('worker threads share a port', async (t) => {
    const first = await listen(t, 0, '127.0.0.1', undefined, 'main');
    const { port } = first.address();
    const worker = startWorker(
      t,
      ({ createReuseportFd: create }, to, parent) => {
        const server = require('node:net').createServer((socket) => socket.end('worker'));
        server.listen({ fd: create(to, '127.0.0.1') }, () => parent.postMessage('listening'));
      },
      port,
    );
    assert.equal(await worker.messages.next(), 'listening');
    await askAll(port, '127.0.0.1', ['main', 'worker']);
    await worker.worker.terminate();
    assert.equal(await ask(port, '127.0.0.1'), 'main');
  });

  test('a restarted server has its port at once', async (t) => {
    const first = await listen(t, 0, '127.0.0.1', undefined, 1);
    const { port } = first.address();
    // The side that closes first keeps its address for a minute.
    await ask(port, '127.0.0.1');
    first.close();
    const second = await listen(t, port, '127.0.0.1', undefined, 2);
    assert.equal(await ask(port, '127.0.0.1'), '2');
    second.close();
  });
});

describe('UDP', onLinux({}), () => {
  for (const host of ['127.0.0.1', '::1']) {
    test(`sockets share a port of ${host}`, async (t) => {
      const type = net.isIPv6(host) ? 'udp6' : 'udp4';
      const counts = [0, 0];
      let port = 0;
      for (const index of counts.keys()) {
        const socket = dgram.createSocket(type);
        t.after(() => socket.close());
        socket.on('message', () => counts[index]++);
        const fd = createReuseportFd(port, host, { type: 'udp' });
        assert.equal(fdType(fd), 'udp');
        socket.bind({ fd });
        ({ port } = socket.address());
      }
      // The kernel chooses by the sender's address too: each sender has one of them.
      const senders = Array.from({ length: 40 }, () => dgram.createSocket(type));
      for (const sender of senders) {
        t.after(() => sender.close());
        sender.send('x', port, host);
      }
      await until(() => counts[0] + counts[1] === senders.length, 'every datagram');
      assert.ok(counts[0] > 0 && counts[1] > 0, `${counts}`);
    });
  }
});

/** A cluster's primary: starts two workers of `file` and asks the port until both have answered. */
async function askWorkers(afunix, file) {
  const { once: happened } = require('node:events');
  const { connect, createServer } = require('node:net');
  const workers = require('node:cluster');
  // Holds the port until the workers have it, and answers nobody.
  const keeper = createServer().listen({ fd: afunix.createReuseportFd(0, '127.0.0.1') });
  await happened(keeper, 'listening');
  const { port } = keeper.address();
  workers.setupPrimary({ exec: file, execArgv: [] });
  const both = [1, 2].map(() => workers.fork({ SHARED_PORT: port }));
  await Promise.all(both.map((worker) => happened(worker, 'message')));
  keeper.close();
  const pids = new Set();
  for (let i = 0; i < 500 && pids.size < 2; i++) {
    const socket = connect(port, '127.0.0.1');
    const [data] = await happened(socket, 'data');
    pids.add(Number(data));
    socket.destroy();
  }
  console.log(JSON.stringify(both.map((worker) => pids.has(worker.process.pid))));
  for (const worker of both) worker.process.kill();
}

// docs/reuseport.md says why not before.
const since = onLinux(sinceNode('20.13'));
test('under cluster each worker listens by itself', since, async (t) => {
  const file = temporaryPath(t, 'worker.js');
  fs.writeFileSync(
    file,
    `const { createReuseportFd } = require(${JSON.stringify(LIB)});
    const net = require('node:net');
    const server = net.createServer((socket) => socket.end(String(process.pid)));
    const fd = createReuseportFd(process.env.SHARED_PORT, '127.0.0.1');
    // As docs/reuseport.md says: { fd } would mean the primary's descriptor.
    const holder = new net.Socket({ fd, readable: false, writable: false });
    server.listen(holder, () => process.send('listening'));`,
  );
  assert.deepEqual(await runScript(t, askWorkers, [file]), [true, true]);
});

describe('bad input', () => {
  test('is refused at once and opens nothing', () => {
    const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
    const PORT = { name: 'RangeError', code: 'ERR_SOCKET_BAD_PORT' };
    const ADDRESS = { name: 'TypeError', code: 'ERR_INVALID_IP_ADDRESS' };
    const before = countFds();
    const noPorts = [-1, 65536, 1.5, NaN, Infinity, '', ' ', 'x', '65536', null, true, {}, [], 1n];
    for (const port of [...noPorts, Symbol('x'), () => {}]) {
      assert.throws(() => createReuseportFd(port), PORT);
    }
    for (const host of [null, 0, true, {}, [], Buffer.from('::')]) {
      assert.throws(() => createReuseportFd(0, host), TYPE);
    }
    for (const host of ['', 'localhost', '1.2.3', '1.2.3.4.5', '[::1]', '::1 ', '127.0.0.1%lo']) {
      assert.throws(() => createReuseportFd(0, host), ADDRESS);
    }
    for (const options of [null, 0, 'udp', [], () => {}]) {
      assert.throws(() => createReuseportFd(0, '::', options), TYPE);
    }
    for (const type of [null, 0, 'TCP', 'unix', {}]) {
      assert.throws(() => createReuseportFd(0, '::', { type }), VALUE);
    }
    for (const ipv6Only of [null, 0, 'x']) {
      assert.throws(() => createReuseportFd(0, '::', { ipv6Only }), TYPE);
    }
    assert.equal(countFds(), before);
  });

  test('errors of the system name call, address and port', onLinux({}), async (t) => {
    const before = countFds();
    const alone = net.createServer().listen(0, '127.0.0.1');
    t.after(() => alone.close());
    await once(alone, 'listening');
    const { port } = alone.address();
    const used = { code: 'EADDRINUSE', syscall: 'bind', address: '127.0.0.1', port };
    assert.throws(() => createReuseportFd(port, '127.0.0.1'), used);
    const none = { code: 'EADDRNOTAVAIL', syscall: 'bind', address: '203.0.113.1', port: 0 };
    assert.throws(() => createReuseportFd(0, '203.0.113.1'), none);
    const zone = { code: 'EINVAL', syscall: 'bind', address: 'fe80::1%nothing' };
    assert.throws(() => createReuseportFd(0, 'fe80::1%nothing'), zone);
    alone.close();
    await assertNoLeak(before);
  });

  test('EMFILE where there is no room', async (t) => {
    const result = await runScript(
      t,
      (afunix) => {
        const open = [];
        try {
          for (;;) open.push(afunix.createReuseportFd(0, '127.0.0.1'));
        } catch ({ code, syscall }) {
          console.log(JSON.stringify({ code, syscall, some: open.length > 5 }));
        }
      },
      [],
      { openFiles: 64 },
    );
    assert.deepEqual(result, { code: 'EMFILE', syscall: 'socket', some: true });
  });
});
