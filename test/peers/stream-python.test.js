'use strict';

// Owns UServer and USocket against Python's socket module: the far end is helpers/peer-stream.py. For
// other programs see peers-stream-programs.test.js.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { skipUnlessPython, startPython } = require('../helpers/python.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { MB, connect, digestOf, openServer, traffic } = require('../helpers/streams.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const FD_COUNTS = [1, 64, 253, 1000];
const MOST_FDS = 253;

/** A Python process with a stream socket that follows commands. */
class Peer {
  constructor(t) {
    this.program = startPython(t, path.join(__dirname, '..', 'helpers', 'peer-stream.py'));
  }

  /** Starts a command without waiting; the answers come in the order of the commands. */
  post(command, args = {}) {
    this.program.write(`${JSON.stringify({ command, ...args })}\n`);
  }

  async answer(command) {
    const answer = JSON.parse(await this.program.lines.next(`Python's answer to ${command}`));
    if (answer.error !== undefined) throw new Error(`Python failed to ${command}: ${answer.error}`);
    return answer.result;
  }

  /** Runs one of the commands there; waits for the answer. */
  call(command, args) {
    this.post(command, args);
    return this.answer(command);
  }
}

/** Connects Python to us, or us to Python: `{ peer, pid, socket }`. */
async function meet(t, weServe, options = {}) {
  const peer = new Peer(t);
  if (weServe) {
    const { server, path: name } = await openServer(t, options);
    const accepting = nextEvent(server, 'connection');
    const pid = await peer.call('connect', { path: name });
    return { peer, pid, socket: (await accepting)[0] };
  }
  const name = temporaryPath(t);
  const pid = await peer.call('listen', { path: name });
  const socket = connect(t, name, options);
  await Promise.all([peer.call('accept'), nextEvent(socket, 'connect')]);
  return { peer, pid, socket };
}

/** Takes so many bytes and descriptors as they come: `{ text, fds }`. */
async function take(socket, size, count) {
  let text = '';
  const fds = [];
  socket.on('readable', () => {
    for (let part; (part = socket.read(null, null)) !== null;) {
      text += part.data;
      fds.push(...part.fds);
    }
  });
  await until(() => text.length >= size && fds.length >= count, `${size} bytes, ${count} fds`);
  await quiet();
  socket.removeAllListeners('readable');
  return { text, fds };
}

describe('Python', onLinux(skipUnlessPython()), () => {
  for (const [role, weServe] of [
    ['client', true],
    ['server', false],
  ]) {
    test(`as ${role}: 20 MB each way, and the end`, async (t) => {
      const { peer, pid, socket } = await meet(t, weServe, { allowHalfOpen: true });
      assert.equal(socket.peerCredentials.pid, pid);
      const size = 20 * MB;
      peer.post('send', { size, piece: 100_003 });
      peer.post('shut_down', { how: 'write' });
      const received = await digestOf(socket);
      assert.deepEqual(received, { hash: await peer.answer('send'), length: size });
      await peer.answer('shut_down');
      const ours = traffic(size);
      peer.post('receive', { size, piece: 70_001 });
      ours.stream.pipe(socket);
      assert.deepEqual(await peer.answer('receive'), [ours.hash, size]);
      assert.equal(await peer.call('at_end'), true);
      await closing(socket);
    });

    for (const count of FD_COUNTS) {
      test(`as ${role}: ${count} descriptors each way, none leaked`, async (t) => {
        const { peer, pid, socket } = await meet(t, weServe);
        const before = [countFds(), countFds(pid)];
        const { paths, texts } = makeFiles(t, count);
        for (const text of ['some text', 'and again']) {
          const sending = peer.call('send_files', { paths, text });
          const got = await take(socket, text.length, count);
          await sending;
          assert.equal(got.text, text);
          assert.deepEqual(readAndClose(got.fds), texts);
        }
        for (const text of ['ours', 'once more']) {
          const fds = paths.map((file) => fs.openSync(file));
          socket.write({ data: text, fds });
          for (const fd of fds) fs.closeSync(fd);
          const {
            text: found,
            calls,
            lost,
          } = await peer.call('receive_files', {
            size: text.length,
          });
          assert.equal(found, text);
          assert.equal(lost, false);
          assert.deepEqual(calls.flat(), texts);
          assert.equal(calls.length, Math.ceil(count / MOST_FDS));
        }
        await assertNoLeak(before[0]);
        await assertNoLeak(before[1], pid);
      });
    }
  }

  test('connects to an abstract name', async (t) => {
    const peer = new Peer(t);
    const name = abstractName();
    await peer.call('listen', { path: name });
    const socket = connect(t, name);
    await peer.call('accept');
    peer.post('echo', { size: 5 });
    socket.write('hello');
    assert.equal(String((await nextEvent(socket, 'data'))[0]), 'hello');
    assert.equal(socket.remoteAddress, name);
  });

  test('reads a byte at a time what we sent at once', async (t) => {
    const { peer, socket } = await meet(t, true);
    const { paths, texts } = makeFiles(t, 3);
    const fds = paths.map((file) => fs.openSync(file));
    socket.write('12');
    socket.write({ data: '34', fds });
    socket.write('56');
    for (const fd of fds) fs.closeSync(fd);
    const { text, calls } = await peer.call('receive_files', { size: 6, piece: 1 });
    assert.equal(text, '123456');
    assert.deepEqual(calls, [[], [], texts, [], [], []]);
  });

  test('sends descriptors in the middle; we read by size', async (t) => {
    const { peer, socket } = await meet(t, true);
    const { paths, texts } = makeFiles(t, 2);
    socket.on('readable', () => {});
    await peer.call('send_text', { text: 'before' });
    await peer.call('send_files', { paths, text: 'with' });
    await peer.call('send_text', { text: 'behind' });
    await until(() => socket.readableLength === 16, 'all bytes');
    const parts = [6, 4, 6].map((size) => socket.read(size, null));
    assert.deepEqual(
      parts.map(({ data, fds }) => [String(data), readAndClose(fds)]),
      [
        ['before', []],
        ['with', texts],
        ['behind', []],
      ],
    );
  });

  test("gives 'fds' before the bytes that they came with", async (t) => {
    const { peer, socket } = await meet(t, true);
    const { paths, texts } = makeFiles(t, 4);
    const events = [];
    socket.on('fds', (fds) => events.push(readAndClose(fds)));
    socket.on('data', (data) => events.push(String(data)));
    await peer.call('send_files', { paths, text: 'first' });
    await until(() => events.length === 2, 'the first message');
    await peer.call('send_files', { paths: paths.slice(2), text: 'second' });
    await until(() => events.length === 4, 'the second message');
    assert.deepEqual(events, [texts, 'first', texts.slice(2), 'second']);
  });

  test('sends more than may wait: that is an error, and nothing leaks', async (t) => {
    const { peer, pid, socket } = await meet(t, true, { maxPendingFds: 10 });
    const events = eventsOf(socket, ['error', 'close']);
    const { paths } = makeFiles(t, 11);
    const theirs = countFds(pid);
    // The socket may be gone before Python has sent all of the text.
    await peer.call('send_files', { paths, text: 'too many' }).catch((error) => {
      assert.match(error.message, /BrokenPipeError/);
    });
    await closing(socket);
    assert.deepEqual(events, ['error ERR_AFUNIX_TOO_MANY_FDS', 'close true']);
    await assertNoLeak(theirs, pid);
  });

  test('sends descriptors that nobody takes: they close with the socket', async (t) => {
    const { peer, socket } = await meet(t, true);
    const before = countFds();
    const { paths } = makeFiles(t, 100);
    await peer.call('send_files', { paths, text: 'for nobody' });
    await nextEvent(socket, 'readable');
    assert.equal(countFds(), before + 100);
    socket.destroy();
    await closing(socket);
    // And the socket's own.
    await assertNoLeak(before - 1);
  });

  test('with receiveFds false the kernel discards them', async (t) => {
    const { peer, socket } = await meet(t, true, { receiveFds: false });
    const before = countFds();
    const { paths } = makeFiles(t, 100);
    peer.post('send_files', { paths, text: 'for nobody' });
    assert.equal(String((await nextEvent(socket, 'data'))[0]), 'for nobody');
    await peer.answer('send_files');
    await assertNoLeak(before);
  });

  test('gets many descriptors through a small buffer that is full', async (t) => {
    const { peer, socket } = await meet(t, true, { sendBufferSize: 4096 });
    const { paths, texts } = makeFiles(t, 20);
    const before = countFds();
    const outcomes = [];
    for (const [at, file] of paths.entries()) {
      const fd = fs.openSync(file);
      socket.write({ data: Buffer.alloc(10_000, at + 65), fds: [fd] }, (error) =>
        outcomes.push(error ?? at),
      );
      fs.closeSync(fd);
    }
    assert.ok(socket.writableLength > 0);
    const { text, calls } = await peer.call('receive_files', { size: 200_000, piece: 3000 });
    assert.equal(text, texts.map((_, at) => String.fromCharCode(at + 65).repeat(10_000)).join(''));
    assert.deepEqual(calls.flat(), texts);
    await until(() => outcomes.length === 20, 'the callbacks');
    assert.deepEqual(
      outcomes,
      texts.map((_, at) => at),
    );
    await assertNoLeak(before);
  });

  test('closes early: what it sent is read, then comes the end', async (t) => {
    const { peer, socket } = await meet(t, true);
    const events = eventsOf(socket, ['end', 'error', 'close']);
    const { paths, texts } = makeFiles(t, 5);
    await peer.call('send_files', { paths, text: 'last words' });
    await peer.call('close');
    const { text, fds } = await take(socket, 10, 5);
    assert.equal(text, 'last words');
    assert.deepEqual(readAndClose(fds), texts);
    socket.resume();
    await closing(socket);
    assert.deepEqual(events, ['end', 'close false']);
  });

  test('closes early, with ours unread: a reset', async (t) => {
    const { peer, socket } = await meet(t, true);
    const events = eventsOf(socket, ['end', 'error', 'close']);
    socket.resume();
    socket.write('never read');
    await peer.call('close');
    await closing(socket);
    assert.deepEqual(events, ['error ECONNRESET', 'close true']);
  });

  test('is killed in the middle: what waits is reported to its callbacks', async (t) => {
    const { peer, socket } = await meet(t, false);
    const before = countFds();
    const [fd] = [fs.openSync(__filename)];
    const codes = [];
    socket.resume();
    socket.on('error', ({ code }) => codes.push(code));
    for (let round = 0; round < 5; round++) {
      socket.write({ data: Buffer.alloc(MB), fds: [fd] }, (error) => codes.push(error?.code));
    }
    fs.closeSync(fd);
    peer.program.kill('SIGKILL');
    await closing(socket);
    assert.equal(codes.length, 6);
    for (const code of codes) assert.match(code, /^(EPIPE|ECONNRESET)$/);
    await peer.program.ended();
    // The socket's own, and the three pipes to Python.
    await assertNoLeak(before - 4);
  });

  test('sees our end, and a reset where we did not read', async (t) => {
    const first = await meet(t, true);
    first.socket.end();
    assert.equal(await first.peer.call('at_end'), true);
    const second = await meet(t, true, { pauseOnConnect: true });
    await second.peer.call('send_text', { text: 'unread' });
    second.socket.destroy();
    assert.equal(await second.peer.call('at_end'), 'reset');
  });

  test('stops reading: writes fail with EPIPE', async (t) => {
    const { peer, socket } = await meet(t, true);
    await peer.call('shut_down', { how: 'read' });
    const events = eventsOf(socket, ['error', 'close']);
    const reported = new Promise((resolve) => socket.write('to nobody', resolve));
    assert.equal((await reported).code, 'EPIPE');
    await closing(socket);
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });

  test("credentials: ours there, its and its child's here", async (t) => {
    const { peer, pid, socket } = await meet(t, true, { credentials: true });
    const identity = { uid: process.getuid(), gid: process.getgid() };
    assert.deepEqual(socket.peerCredentials, { pid, ...identity });
    const chunks = [];
    socket.on('data', (data) => chunks.push([String(data), data.credentials]));
    await peer.call('send_text', { text: 'parent' });
    const child = await peer.call('fork_and_send', { text: 'child' });
    await peer.call('send_text', { text: 'parent' });
    await until(() => chunks.length === 3, 'three chunks');
    assert.deepEqual(chunks, [
      ['parent', { pid, ...identity }],
      ['child', { pid: child, ...identity }],
      ['parent', { pid, ...identity }],
    ]);
    // What is sent before it asks has no sender.
    await peer.call('pass_credentials');
    socket.write('ours');
    const { text, senders } = await peer.call('receive_credentials', { size: 4 });
    assert.equal(text, 'ours');
    assert.deepEqual(senders, [[process.pid, process.getuid(), process.getgid()]]);
  });

  test('credentials and descriptors of one message', async (t) => {
    const { peer, pid, socket } = await meet(t, true, { credentials: true });
    const { paths, texts } = makeFiles(t, 253);
    socket.on('readable', () => {});
    await peer.call('send_files', { paths, text: 'both' });
    await until(() => socket.readableLength === 4, 'the message');
    const { data, fds } = socket.read(4, 253);
    assert.equal(data.credentials.pid, pid);
    assert.deepEqual(readAndClose(fds), texts);
  });

  test('sends a connected socket, over which we go on', async (t) => {
    const { peer, socket } = await meet(t, true);
    peer.post('send_socket', { text: 'here' });
    const { fds } = await take(socket, 4, 1);
    await peer.answer('send_socket');
    const other = new USocket(fds[0]);
    t.after(() => other.destroy());
    peer.post('echo', { size: 9 });
    other.write('over here');
    assert.equal(String((await nextEvent(other, 'data'))[0]), 'over here');
    await peer.answer('echo');
  });

  test('a hash of many small writes is that of their bytes', async (t) => {
    const { peer, socket } = await meet(t, true);
    const hash = createHash('sha256');
    let size = 0;
    for (let at = 0; at < 20_000; at++) {
      const text = `message ${at} ${'x'.repeat(at % 50)}\n`;
      hash.update(text);
      size += text.length;
      socket.write(text);
    }
    assert.deepEqual(await peer.call('receive', { size, piece: 777 }), [hash.digest('hex'), size]);
  });
});
