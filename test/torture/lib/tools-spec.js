'use strict';

// What a user's test file does with the package, for Jest, Vitest and node:test alike: each gets a copy
// of this file, as a test of its own. With `AFUNIX_FAKE_TIMERS`, their options or `default`, Jest and
// Vitest have fake timers, which must not stop sockets: net's go on, too.

const assert = require('assert');
const { once } = require('events');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { Worker } = require('worker_threads');
const afunix = require('afunix');
const posix = require('afunix/posix');

/* global jest, vi */
const tool = typeof jest === 'object' ? jest : typeof vi === 'object' ? vi : null;
const test = globalThis.test || require('node:test').test;
const FAKE_TIMERS = process.env.AFUNIX_FAKE_TIMERS;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-spec-'));
let names = 0;

/** A test, in which timers are fake if that is asked for. */
function check(name, body) {
  test(name, async () => {
    if (FAKE_TIMERS) {
      tool.useFakeTimers(FAKE_TIMERS === 'default' ? undefined : JSON.parse(FAKE_TIMERS));
    }
    try {
      await body();
    } finally {
      if (FAKE_TIMERS) tool.useRealTimers();
    }
  });
}

async function tryDatagrams({ DgramSocket, closeFd }) {
  const [left, right] = DgramSocket.pair({ receiveFds: true });
  const fd = fs.openSync(__filename, 'r');
  const arrival = once(right, 'data');
  await new Promise((resolve) => left.send({ data: 'hello', fds: [fd] }, resolve));
  fs.closeSync(fd);
  const [data, , { fds }] = await arrival;
  assert.strictEqual(String(data), 'hello');
  assert.ok(fs.readFileSync(fds[0], 'utf8').startsWith("'use strict'"));
  closeFd(fds[0]);
  const ends = [once(left, 'close'), once(right, 'close')];
  left.close();
  right.close();
  await Promise.all(ends);
}

async function tryConnection(Server, Client) {
  const name = path.join(folder, `${++names}`);
  const server = new Server((socket) => {
    socket.on('data', (data) => socket.end(`${data}!`));
  });
  server.listen(name);
  await once(server, 'listening');
  const client = new Client();
  client.connect(name);
  client.write('hello');
  // Now: it may come in the turn of the data.
  const over = once(client, 'close');
  const [data] = await once(client, 'data');
  assert.strictEqual(String(data), 'hello!');
  client.end();
  await over;
  const closed = once(server, 'close');
  server.close();
  await closed;
}

check('datagrams', () => tryDatagrams(afunix));
check('streams', () => tryConnection(afunix.UServer, afunix.USocket));
check('seqpackets', () => tryConnection(afunix.SeqpacketServer, afunix.SeqpacketSocket));

check('errors', async () => {
  const client = new afunix.SeqpacketSocket();
  client.connect(path.join(folder, 'missing'));
  const [error] = await once(client, 'error');
  assert.strictEqual(error.code, 'ENOENT');
  assert.throws(() => new afunix.DgramSocket().bind([]), TypeError);
});

check('iteration', async () => {
  const [left, right] = afunix.DgramSocket.pair();
  left.send('one');
  for await (const { data } of right) {
    assert.strictEqual(String(data), 'one');
    break;
  }
  left.close();
  right.close();
});

check('synchronous calls', () => {
  const [left, right] = posix.socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0);
  posix.send(left, new Uint8Array([1, 2]));
  assert.strictEqual(posix.recv(right, new Uint8Array(4)), 2);
  posix.close(left);
  posix.close(right);
});

check('a worker', async () => {
  const worker = new Worker(path.join(__dirname, 'worker.js'));
  const exit = once(worker, 'exit');
  const [text] = await once(worker, 'message');
  assert.strictEqual(text, 'from a worker');
  const [code] = await exit;
  assert.strictEqual(code, 0);
});

// Vitest and node:test load installed packages once, as Node does.
if (typeof jest === 'object') {
  check('reloaded modules', async () => {
    const [left, right] = afunix.DgramSocket.pair();
    tool.resetModules();
    const again = require('afunix');
    assert.notStrictEqual(again, afunix);
    await tryDatagrams(again);
    await tryConnection(again.UServer, again.USocket);
    const arrival = once(right, 'data');
    left.send('still here');
    await arrival;
    left.close();
    right.close();
    await tryConnection(afunix.UServer, afunix.USocket);
  });
}

process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
