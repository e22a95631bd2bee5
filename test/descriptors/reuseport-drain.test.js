'use strict';

// Owns drainServer(): a server leaves a shared port and nobody's connection is reset; the same
// without it, where many are.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const { describe, test } = require('node:test');
const { createReuseportFd, drainServer } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, startScript } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { inbox, nextEvent, openPair } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** Keeps 16 connections in the making, each answered by a byte or not; prints how they ended. */
function connectOnAndOn(_afunix, port) {
  const { connect } = require('node:net');
  const outcomes = {};
  let going = true;
  let open = 0;
  process.stdin.once('data', () => (going = false));
  function one() {
    if (!going) {
      if (--open === 0) process.stdin.destroy();
      if (open === 0) console.log(JSON.stringify(outcomes));
      return;
    }
    let outcome = 'nothing';
    const socket = connect(port, '127.0.0.1', () => socket.write('x'));
    socket.on('data', () => (outcome = 'answer'));
    socket.on('error', (error) => (outcome = error.code));
    socket.on('close', () => {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (outcomes.answer === 20) console.log('busy');
      one();
    });
  }
  for (; open < 16; open++) one();
}

const answer = (socket) => socket.on('error', () => {}).once('data', () => socket.end('y'));

/** A server on the port, 0 for a new one. */
async function listen(t, port) {
  const server = net.createServer(answer);
  server.listen({ fd: createReuseportFd(port, '127.0.0.1') });
  t.after(() => server.close());
  await nextEvent(server, 'listening');
  return server;
}

/** Keeps the processor: the queues of this process's servers fill meanwhile. */
function block(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/**
 * How connections end while servers come to a port and leave it, `leave(server)`, which another
 * server of another process stays at.
 */
async function outcomesOf(t, leave) {
  const stays = startScript(t, ({ createReuseportFd: create }) => {
    const server = require('node:net').createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.end('y'));
    });
    server.listen({ fd: create(0, '127.0.0.1') }, () => console.log(server.address().port));
  });
  const port = Number(await stays.lines.next());
  const clients = startScript(t, connectOnAndOn, [port]);
  assert.equal(await clients.lines.next(), 'busy');
  for (let i = 0; i < 4; i++) {
    const server = await listen(t, port);
    await nextEvent(server, 'connection');
    block(30);
    await leave(server);
  }
  clients.write('stop');
  return JSON.parse(await clients.lines.next('the outcomes'));
}

/** Whether this system's kernel already does what drainServer() is for. */
const kernelMigrates = () => {
  const setting = '/proc/sys/net/ipv4/tcp_migrate_req';
  return fs.existsSync(setting) && fs.readFileSync(setting, 'latin1').trim() === '1';
};

describe('leaving a shared port', onLinux({}), () => {
  const skip = kernelMigrates() && 'net.ipv4.tcp_migrate_req is set: the kernel resets nothing';

  test('by close() resets connections that wait in the queue', { skip }, async (t) => {
    const { answer: answered, ECONNRESET: reset = 0 } = await outcomesOf(t, (server) => {
      server.close();
    });
    assert.ok(answered > 20);
    assert.ok(reset > 0, 'the others of these tests show nothing');
  });

  test('by drainServer() resets none, and nobody is refused', async (t) => {
    const outcomes = await outcomesOf(t, (server) => drainServer(server));
    assert.deepEqual(Object.keys(outcomes), ['answer']);
  });

  test('answers all that wait when it begins, and refuses later ones where it is alone', async (t) => {
    const server = await listen(t, 0);
    const { port } = server.address();
    const clients = Array.from({ length: 40 }, () => net.connect(port, '127.0.0.1'));
    const texts = clients.map(async (client) => {
      client.write('x');
      return String((await nextEvent(client, 'data'))[0]);
    });
    // They connect in the next tick; the kernel answers before net accepts.
    await new Promise(process.nextTick);
    const drained = drainServer(server, { grace: 100 });
    assert.deepEqual([...new Set(await Promise.all(texts))], ['y']);
    await within(drained, 'the end');
    assert.equal(server.listening, false);
    const late = net.connect(port, '127.0.0.1');
    assert.equal((await nextEvent(late, 'error'))[0].code, 'ECONNREFUSED');
  });

  test('leaves open connections alone; close follows their end', async (t) => {
    const server = await listen(t, 0);
    const client = net.connect(server.address().port, '127.0.0.1');
    await nextEvent(client, 'connect');
    await drainServer(server, { grace: 0 });
    let closed = false;
    server.on('close', () => (closed = true));
    client.write('x');
    assert.equal(String((await nextEvent(client, 'data'))[0]), 'y');
    client.end();
    await until(() => closed, "'close'");
  });

  test('works for HTTP, and twice at once', async (t) => {
    const server = http.createServer();
    server.listen({ fd: createReuseportFd(0, '127.0.0.1') });
    t.after(() => server.close());
    await nextEvent(server, 'listening');
    const { port } = server.address();
    const page = fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
    // Node 26 closes connections that have not sent a request.
    const [, response] = await nextEvent(server, 'request');
    await Promise.all([drainServer(server, { grace: 50 }), drainServer(server, { grace: 20 })]);
    response.end('page');
    assert.equal(await page, 'page');
    assert.equal(server.listening, false);
  });

  test('ends when somebody else closes the server first, and lets it listen again', async (t) => {
    const server = await listen(t, 0);
    const drained = drainServer(server, { grace: 60_000 });
    server.close();
    server.listen(0, '127.0.0.1');
    await within(drained, 'the end', 30_000);
    const client = net.connect(server.address().port, '127.0.0.1', () => client.write('x'));
    assert.equal(String((await nextEvent(client, 'data'))[0]), 'y');
  });
});

/** Two servers, one of which leaves while the other is there; prints how 40 connections ended. */
async function leaveQuickly({ createReuseportFd: create, drainServer: drain }) {
  const { once } = require('node:events');
  const { connect, createServer } = require('node:net');
  const { text } = require('node:stream/consumers');
  const servers = [];
  for (const port of [0, () => servers[0].address().port]) {
    const server = createServer((socket) => socket.end('y'));
    server.listen({ fd: create(typeof port === 'function' ? port() : port, '127.0.0.1') });
    await once(server, 'listening');
    servers.push(server);
  }
  const { port } = servers[0].address();
  const clients = Array.from({ length: 40 }, () => text(connect(port, '127.0.0.1')));
  await new Promise(process.nextTick);
  const begin = performance.now();
  await drain(servers[0], { grace: 60_000 });
  const seconds = (performance.now() - begin) / 1e3;
  const answers = await Promise.all(clients);
  servers[1].close();
  console.log(JSON.stringify({ seconds, answers: [...new Set(answers)] }));
}

/** A network of its own needs rights that not everybody has. */
function ownNetwork() {
  const { skip } = skipUnless('unshare', 'ip');
  if (skip) return { skip };
  const { status } = spawnSync('unshare', ['-n', 'sh', '-c', `${SET_UP} && ${MIGRATE}`]);
  return { skip: status !== 0 && 'needs a network namespace of its own, and tcp_migrate_req' };
}

const SET_UP = 'ip link set lo up';
const MIGRATE = 'echo 1 > /proc/sys/net/ipv4/tcp_migrate_req';

test('where the kernel migrates connections, leaving takes no time', ownNetwork(), async (t) => {
  const source = `(${leaveQuickly})(require(${JSON.stringify(LIB)}))`;
  const command = `${SET_UP} && ${MIGRATE} && exec "$0" --eval "$1"`;
  const program = startProgram(t, 'unshare', ['-n', 'sh', '-c', command, process.execPath, source]);
  const { seconds, answers } = JSON.parse(await program.lines.next());
  assert.deepEqual(answers, ['y']);
  assert.ok(seconds < 30, `${seconds} s`);
});

test('a listener that is passed on loses nothing, and nobody waits for long', async (t) => {
  const first = await listen(t, 0);
  const { port } = first.address();
  const [left, right] = openPair(t, { receiveFds: true });
  const messages = inbox(right);
  left.send({ data: 'my listener', fds: [first] });
  first.close();
  const clients = Array.from({ length: 10 }, () => net.connect(port, '127.0.0.1'));
  await Promise.all(clients.map((client) => nextEvent(client, 'connect')));
  const { fds } = await messages.next();
  const second = net.createServer(answer).listen({ fd: fds[0] });
  t.after(() => second.close());
  for (const client of clients) {
    client.write('x');
    assert.equal(String((await nextEvent(client, 'data'))[0]), 'y');
  }
});

describe('bad input', onLinux({}), () => {
  const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };

  test('is refused at once', async (t) => {
    for (const server of [undefined, null, 3, {}, new net.Socket(), { fd: 3 }]) {
      assert.throws(() => drainServer(server), TYPE);
    }
    assert.throws(() => drainServer(net.createServer()), TYPE);
    const server = await listen(t, 0);
    for (const options of [null, 0, 'x', []]) {
      assert.throws(() => drainServer(server, options), TYPE);
    }
    for (const grace of [null, '1', {}]) assert.throws(() => drainServer(server, { grace }), TYPE);
    for (const grace of [-1, 0.5, 60_001, NaN]) {
      assert.throws(() => drainServer(server, { grace }), RANGE);
    }
    assert.equal(server.listening, true);
  });

  test('a server of Unix sockets is refused and goes on', async (t) => {
    const path = temporaryPath(t);
    const server = net.createServer(answer).listen(path);
    t.after(() => server.close());
    await nextEvent(server, 'listening');
    await assert.rejects(drainServer(server), { syscall: 'getsockopt', code: 'ENOTSUP' });
    const client = net.connect(path, () => client.write('x'));
    assert.equal(String((await nextEvent(client, 'data'))[0]), 'y');
  });
});
