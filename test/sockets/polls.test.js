'use strict';

// Owns what polls that are kept by descriptor number must not do: disturb whoever has the number next.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { describe, test } = require('node:test');
const { Worker } = require('node:worker_threads');
const { DgramSocket, UServer, USocket, fromFd, socketpair } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** Rounds in which net, a child's pipes and this package take each other's numbers. */
async function exchangeNumbers(folder) {
  const path = `${folder}.ours`;
  const server = new UServer((socket) => socket.end('ours')).listen(path);
  const other = net.createServer((socket) => socket.end('net')).listen(`${folder}.net`);
  await Promise.all([once(server, 'listening'), once(other, 'listening')]);
  const read = async (socket) => {
    let text = '';
    for await (const chunk of socket) text += chunk;
    return text;
  };
  const heard = new Set();
  for (let round = 0; round < 40; round++) {
    const ours = new USocket(round % 3 === 0 ? `${folder}.net` : path);
    const theirs = net.connect(round % 2 === 0 ? path : `${folder}.net`);
    const [left, right] = DgramSocket.pair();
    right.once('data', () => left.close());
    const closed = once(left, 'close');
    left.send('x', () => {});
    heard.add(await read(ours)).add(await read(theirs));
    await closed;
    right.close();
  }
  const closed = [once(server, 'close'), once(other, 'close')];
  server.close();
  other.close();
  await Promise.all(closed);
  return [...heard].sort();
}

describe('numbers of descriptors go round', onLinux({}), () => {
  test('between net, connections and datagram sockets', async (t) => {
    assert.deepEqual(await exchangeNumbers(temporaryPath(t)), ['net', 'ours']);
  });

  test('in a worker, which ends after it', async (t) => {
    const source = `
      const { parentPort, workerData } = require('worker_threads');
      const { once } = require('events');
      const net = require('net');
      const { DgramSocket, UServer, USocket } = require(workerData.lib);
      (${exchangeNumbers})(workerData.folder).then((heard) => parentPort.postMessage(heard));
    `;
    const workerData = { lib: require.resolve('../../lib'), folder: temporaryPath(t) };
    const worker = new Worker(source, { eval: true, workerData });
    // Both can come in one turn: a worker's last messages are emitted right before its 'exit'.
    const [[heard], [code]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    assert.deepEqual(heard, ['net', 'ours']);
    assert.equal(code, 0);
  });

  test('a number that a paused net.Socket has is EEXIST, and one that is free again is not', async () => {
    const [fd, peer] = socketpair(posix.SOCK_STREAM);
    const paused = new net.Socket({ fd, readable: false });
    assert.throws(() => new USocket({ fd }), { code: 'EEXIST' });
    paused.destroy();
    await once(paused, 'close');
    posix.close(peer);
    // The numbers are free, and polls of ours may be kept for them.
    for (let round = 0; round < 3; round++) {
      const pair = socketpair(posix.SOCK_STREAM);
      const [one, two] = pair.map((number) => new USocket({ fd: number }));
      two.on('data', () => two.destroy());
      one.resume().write('x');
      await Promise.all([once(one, 'close'), once(two, 'close')]);
    }
  });

  test('a socket that fromFd() makes of what another gave up', async () => {
    const [one, two] = USocket.pair();
    two.resume();
    await new Promise(setImmediate);
    const { fd } = one.detach();
    const again = fromFd(fd);
    const [data] = await Promise.all([once(again, 'data'), two.write('x')]);
    assert.equal(String(data), 'x');
    again.destroy();
    await once(two, 'close');
  });
});

/** Stopped polls of this process, which are ours: Node makes none. */
const keptPolls = () =>
  process.report.getReport().libuv.filter((one) => one.type === 'poll' && !one.is_active).length;

test('poll handles are kept, and taken again', onLinux({}), async () => {
  const open = async (count) => {
    const pairs = Array.from({ length: count }, () => USocket.pair());
    for (const end of pairs.flat()) end.on('error', () => {}).resume();
    await new Promise(setImmediate);
    return pairs.flat();
  };
  const close = (ends) =>
    Promise.all(ends.map((end) => new Promise((done) => end.destroy().once('close', done))));
  await close(await open(20));
  const kept = keptPolls();
  assert.ok(kept >= 40, `${kept} are kept`);
  const again = await open(20);
  assert.ok(keptPolls() <= kept - 40);
  await close(again);
  assert.equal(keptPolls(), kept);
});

describe('a new connection is read before its poll is armed', onLinux({}), () => {
  test("and still its bytes come after 'connection' with its ticks and microtasks", async (t) => {
    const path = temporaryPath(t);
    const order = [];
    const server = new UServer((socket) => {
      order.push('connection');
      process.nextTick(() => order.push('tick'));
      Promise.resolve().then(() => order.push('microtask'));
      socket.on('data', (data) => order.push(String(data)));
      socket.on('end', () => order.push('end'));
      socket.on('close', () => server.close());
    }).listen(path);
    const client = new USocket(path, () => client.end('data'));
    client.resume();
    await once(server, 'close');
    assert.deepEqual(order, ['connection', 'tick', 'microtask', 'data', 'end']);
  });

  test('and the loop need not turn for what is there already', async (t) => {
    const order = [];
    const server = new UServer().listen(temporaryPath(t)).pause();
    server.on('connection', (socket) => {
      setImmediate(() => order.push('turn'));
      socket.on('data', (data) => order.push(String(data)));
      socket.on('close', () => server.close());
    });
    const client = new USocket(server.address());
    client.end('data').resume();
    await once(client, 'finish');
    server.resume();
    await once(server, 'close');
    assert.deepEqual(order, ['data', 'turn']);
  });

  test('but not where it was paused', async (t) => {
    const path = temporaryPath(t);
    const accepted = [];
    const server = new UServer({ pauseOnConnect: true }, (socket) => accepted.push(socket));
    server.listen(path);
    const client = new USocket(path, () => client.end('data'));
    client.resume();
    await once(server, 'connection');
    await new Promise(setImmediate);
    assert.equal(accepted[0].bytesRead, 0);
    const [data] = await once(accepted[0].resume(), 'data');
    assert.equal(String(data), 'data');
    await once(client, 'close');
    server.close();
  });
});
