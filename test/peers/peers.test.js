'use strict';

// Owns DgramSocket against Python's socket module, both ways: the far end is helpers/peer.py. For
// other programs see peers-programs.test.js.

const assert = require('node:assert/strict');
const { createHash, randomBytes } = require('node:crypto');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { skipUnlessPython, startPeer } = require('../helpers/python.js');
const { closed, inbox, openSocket, sendTo } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { delay, until, within } = require('../helpers/wait.js');

assertNoLeaks();

const SIZES = [0, 1, 1000, 65536, 200_000];
const FD_COUNTS = [1, 2, 64, 253];
const NOBODY = 65534;

/** Milliseconds in which a stalled receiver's cost is measured. */
const STALL = 500;

const digest = (data) => createHash('sha256').update(data).digest('hex');

describe('Python', onLinux(skipUnlessPython()), () => {
  for (const [kind, makeName] of [
    ['a path', (t) => temporaryPath(t)],
    ['an abstract name', () => abstractName()],
  ]) {
    test(`sends us messages of every size, to ${kind}`, async (t) => {
      const here = makeName(t);
      const there = makeName(t);
      const messages = inbox(openSocket(t).bind(here));
      const peer = await startPeer(t, there);
      peer.post('send', { to: here, sizes: SIZES });
      const received = await messages.take(SIZES.length, 'a message from Python');
      assert.deepEqual(
        received.map(({ data }) => data.length),
        SIZES,
      );
      assert.deepEqual(
        received.map(({ data }) => digest(data)),
        await peer.answer('send'),
      );
      for (const { path: from, fds, credentials } of received) {
        assert.equal(from, there);
        assert.deepEqual(fds, []);
        assert.equal(credentials, undefined);
      }
    });

    test(`receives messages of every size from us, at ${kind}`, async (t) => {
      const here = makeName(t);
      const there = makeName(t);
      const peer = await startPeer(t, there);
      const socket = openSocket(t).bind(here);
      const sent = SIZES.map((size) => randomBytes(size));
      const callbacks = sent.map((data) => sendTo(socket, data, there));
      const received = await peer.call('receive', { count: SIZES.length });
      await Promise.all(callbacks);
      assert.deepEqual(
        received.map(({ size, digest: got }) => [size, got]),
        sent.map((data) => [data.length, digest(data)]),
      );
      for (const { from, truncated } of received) {
        assert.equal(from, here);
        assert.equal(truncated, false);
      }
    });
  }

  test('receives the bytes that offset and length name', async (t) => {
    const there = temporaryPath(t);
    const peer = await startPeer(t, there);
    openSocket(t).sendTo(Buffer.from('a datagram of ours'), 2, 8, there);
    const [{ text }] = await peer.call('receive', { count: 1 });
    assert.equal(text, 'datagram');
  });

  test('gets what we send() over a connection', async (t) => {
    const here = temporaryPath(t);
    const there = temporaryPath(t);
    const peer = await startPeer(t, there);
    const socket = openSocket(t).bind(here);
    const messages = inbox(socket);
    socket.connect(there);
    assert.equal(socket.remoteAddress, there);
    socket.send('a question');
    const [{ text, from }] = await peer.call('receive', { count: 1 });
    assert.deepEqual([text, from], ['a question', here]);
    await peer.call('send_text', { to: from, text: 'an answer' });
    const { data, path: sender } = await messages.next('the answer');
    assert.deepEqual([String(data), sender], ['an answer', there]);
  });

  test('has no name before it binds: the path is empty', async (t) => {
    const here = temporaryPath(t);
    const named = temporaryPath(t);
    const messages = inbox(openSocket(t).bind(here));
    const peer = await startPeer(t);
    await peer.call('send_text', { to: here, text: 'from nobody' });
    assert.equal((await messages.next()).path, '');
    await peer.call('bind', { path: named });
    await peer.call('send_text', { to: here, text: 'from somebody' });
    assert.equal((await messages.next()).path, named);
    // And again without: a name must not stick to the next sender.
    const other = await startPeer(t);
    await other.call('send_text', { to: here, text: 'from nobody' });
    assert.equal((await messages.next()).path, '');
  });

  test('sees no name of ours before we bind', async (t) => {
    const there = temporaryPath(t);
    const peer = await startPeer(t, there);
    const socket = openSocket(t);
    socket.sendTo('from nobody', there);
    assert.equal((await peer.call('receive', { count: 1 }))[0].from, '');
  });

  test('autobinds, and we answer to that name', async (t) => {
    const here = temporaryPath(t);
    const socket = openSocket(t).bind(here);
    const messages = inbox(socket);
    const peer = await startPeer(t);
    const there = await peer.call('bind', { path: '' });
    assert.match(there, /^\0[0-9a-f]{5}$/);
    await peer.call('send_text', { to: here, text: 'where am I?' });
    const { path: from } = await messages.next();
    assert.equal(from, there);
    socket.sendTo(`at ${from.slice(1)}`, from);
    const [{ text }] = await peer.call('receive', { count: 1 });
    assert.equal(text, `at ${there.slice(1)}`);
  });

  test('answers to the name that we autobound', async (t) => {
    const there = temporaryPath(t);
    const peer = await startPeer(t, there);
    const socket = openSocket(t).bind();
    const messages = inbox(socket);
    assert.match(socket.address(), /^\0[0-9a-f]{5}$/);
    socket.sendTo('where am I?', there);
    const [{ from }] = await peer.call('receive', { count: 1 });
    assert.equal(from, socket.address());
    await peer.call('send_text', { to: from, text: 'here' });
    assert.equal(String((await messages.next()).data), 'here');
  });

  for (const count of FD_COUNTS) {
    test(`sends us ${count} descriptors in one datagram`, async (t) => {
      const here = temporaryPath(t);
      const { paths, texts } = makeFiles(t, count);
      const peer = await startPeer(t);
      const before = [countFds(), countFds(peer.pid)];
      const socket = openSocket(t, { receiveFds: true }).bind(here);
      const messages = inbox(socket);
      await peer.call('send_files', { to: here, paths, text: 'files' });
      const { data, fds } = await messages.next();
      assert.equal(String(data), 'files');
      assert.deepEqual(readAndClose(fds), texts);
      await closed(socket);
      await assertNoLeak(before[0]);
      await assertNoLeak(before[1], peer.pid);
    });

    test(`receives ${count} descriptors from us in one datagram`, async (t) => {
      const there = temporaryPath(t);
      const { paths, texts } = makeFiles(t, count);
      const peer = await startPeer(t, there);
      const before = [countFds(), countFds(peer.pid)];
      const socket = openSocket(t);
      const fds = paths.map((file) => fs.openSync(file));
      const sent = sendTo(socket, 'files', there, { fds });
      // Ours to close as soon as the call returns.
      fds.forEach((fd) => fs.closeSync(fd));
      await sent;
      const [{ text, files, truncated }] = await peer.call('receive', { count: 1 });
      assert.deepEqual([text, truncated], ['files', false]);
      assert.deepEqual(files, texts);
      await closed(socket);
      await assertNoLeak(before[0]);
      await assertNoLeak(before[1], peer.pid);
    });
  }

  test('exchanges empty datagrams that carry one descriptor', async (t) => {
    const here = temporaryPath(t);
    const there = temporaryPath(t);
    const { paths, texts } = makeFiles(t, 1);
    const peer = await startPeer(t, there);
    const before = countFds();
    const socket = openSocket(t, { receiveFds: true }).bind(here);
    const messages = inbox(socket);
    await peer.call('send_files', { to: here, paths });
    const { data, fds } = await messages.next();
    assert.equal(data.length, 0);
    assert.deepEqual(readAndClose(fds), texts);

    const fd = fs.openSync(paths[0]);
    const sent = sendTo(socket, Buffer.alloc(0), there, { fds: [fd] });
    fs.closeSync(fd);
    await sent;
    const [{ size, files }] = await peer.call('receive', { count: 1 });
    assert.equal(size, 0);
    assert.deepEqual(files, texts);
    await closed(socket);
    await assertNoLeak(before);
  });

  test('gets descriptors that had to wait although we closed them at once', async (t) => {
    const there = temporaryPath(t);
    const { paths, texts } = makeFiles(t, 100);
    const peer = await startPeer(t, there);
    const before = countFds();
    const socket = openSocket(t);
    // Many more messages than a queue of net.unix.max_dgram_qlen holds.
    const sent = paths.map((file, index) => {
      const fd = fs.openSync(file);
      const done = sendTo(socket, `message ${index}`, there, { fds: [fd] });
      fs.closeSync(fd);
      return done;
    });
    const received = await peer.call('receive', { count: paths.length });
    await Promise.all(sent);
    assert.deepEqual(
      received.map(({ text, files }) => [text, files]),
      texts.map((text, index) => [`message ${index}`, [text]]),
    );
    await closed(socket);
    await assertNoLeak(before);
  });

  test('is spared 254 descriptors: that is an error at once', async (t) => {
    const there = temporaryPath(t);
    const peer = await startPeer(t, there);
    const socket = openSocket(t);
    const fds = Array.from({ length: 254 }, () => 0);
    const refusal = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
    assert.throws(() => socket.sendTo('too many', there, { fds }), refusal);
    socket.connect(there);
    assert.throws(() => socket.send({ data: 'too many', fds }), refusal);
    // Nothing of it was sent, and the socket goes on.
    socket.send('none');
    const [{ text, files }] = await peer.call('receive', { count: 1 });
    assert.deepEqual([text, files], ['none', []]);
  });

  test('finds its descriptor closed as soon as we read, when we want none', async (t) => {
    const here = temporaryPath(t);
    const peer = await startPeer(t);
    const before = countFds();
    const socket = openSocket(t).bind(here);
    const messages = inbox(socket);
    // Returns when the last writing end is closed: ours, since Python closes its own.
    assert.equal(await peer.call('send_pipe', { to: here }), '');
    const { data, fds } = await messages.next();
    assert.equal(String(data), 'pipe');
    assert.deepEqual(fds, []);
    await closed(socket);
    await assertNoLeak(before);
  });

  test('finds its descriptor closed when we close it', async (t) => {
    const here = temporaryPath(t);
    const peer = await startPeer(t);
    const messages = inbox(openSocket(t, { receiveFds: true }).bind(here));
    peer.post('send_pipe', { to: here });
    const { fds } = await messages.next();
    assert.equal(fds.length, 1);
    fs.writeSync(fds[0], 'through the pipe');
    fs.closeSync(fds[0]);
    assert.equal(await peer.answer('send_pipe'), 'through the pipe');
  });

  test('finds its descriptor closed when nobody listens', async (t) => {
    const here = temporaryPath(t);
    const peer = await startPeer(t);
    openSocket(t, { receiveFds: true }).bind(here);
    assert.equal(await peer.call('send_pipe', { to: here }), '');
  });

  test('is known to us by its pid, uid and gid', async (t) => {
    const here = temporaryPath(t);
    const messages = inbox(openSocket(t, { credentials: true }).bind(here));
    const peers = [await startPeer(t), await startPeer(t)];
    for (const peer of [...peers, ...peers]) {
      await peer.call('send_text', { to: here, text: 'who am I?' });
      const { credentials } = await messages.next();
      assert.deepEqual(credentials, await peer.call('identity'));
      assert.equal(credentials.pid, peer.pid);
    }
  });

  const unlessRoot = { skip: process.getuid() !== 0 && 'only root can change its user' };
  test('is known to us by another uid and gid than ours', unlessRoot, async (t) => {
    const here = abstractName();
    const messages = inbox(openSocket(t, { credentials: true, receiveFds: true }).bind(here));
    const { paths, texts } = makeFiles(t, 1);
    const peer = await startPeer(t);
    await peer.call('send_files', { to: here, paths, text: 'as root' });
    await peer.call('become', { uid: NOBODY, gid: NOBODY });
    await peer.call('send_text', { to: here, text: 'as nobody' });
    const [first, second] = await messages.take(2);
    assert.deepEqual(first.credentials, { pid: peer.pid, uid: 0, gid: process.getgid() });
    assert.deepEqual(readAndClose(first.fds), texts);
    assert.deepEqual(second.credentials, { pid: peer.pid, uid: NOBODY, gid: NOBODY });
    assert.deepEqual(second.fds, []);
  });

  test('hands us one end of its socket pair, which we adopt', async (t) => {
    const here = temporaryPath(t);
    const peer = await startPeer(t);
    const messages = inbox(openSocket(t, { receiveFds: true }).bind(here));
    await peer.call('send_socket', { to: here });
    const { fds } = await messages.next();
    const adopted = openSocket(t, { fd: fds[0] });
    const answers = inbox(adopted);
    assert.deepEqual(adopted.peerCredentials, await peer.call('identity'));
    adopted.send('over the pair');
    assert.equal((await peer.call('receive', { count: 1 }))[0].text, 'over the pair');
    await peer.call('send_on_pair', { text: 'and back' });
    const { data, path: from } = await answers.next();
    assert.deepEqual([String(data), from], ['and back', '']);
  });

  for (const connected of [false, true]) {
    const way = connected ? 'connected' : 'unconnected';
    test(`is killed while messages wait for it (${way})`, async (t) => {
      const there = temporaryPath(t);
      const peer = await startPeer(t, there);
      const before = countFds();
      const socket = openSocket(t);
      socket.on('error', (error) => assert.fail(error));
      if (connected) socket.connect(there);

      const COUNT = 200;
      const outcomes = [];
      const all = new Promise((resolve) => {
        for (let index = 0; index < COUNT; index++) {
          const callback = (error) => {
            outcomes.push([index, error]);
            if (outcomes.length >= COUNT) resolve();
          };
          if (connected) socket.send(`message ${index}`, callback);
          else socket.sendTo(`message ${index}`, there, callback);
        }
      });
      assert.equal(outcomes.length, 0, 'a callback ran inside the call');
      await until(() => outcomes.length > 0, 'the first messages to be sent');
      const taken = await peer.call('receive', { count: 5 });
      assert.equal(taken.at(-1).text, 'message 4');
      peer.program.kill('SIGKILL');
      assert.equal((await peer.program.ended()).signal, 'SIGKILL');
      await within(all, 'all callbacks');

      const order = outcomes.map(([index]) => index);
      assert.deepEqual(
        order,
        Array.from({ length: COUNT }, (_, index) => index),
      );
      const sent = outcomes.findIndex(([, error]) => error);
      assert.ok(sent >= 5 && sent < COUNT - 100, `${sent} messages were sent to a full queue`);
      for (const [, error] of outcomes.slice(sent)) {
        assert.equal(error?.code, 'ECONNREFUSED');
        assert.equal(error.syscall, 'sendmsg');
        assert.ok(error.errno < 0);
        if (!connected) assert.equal(error.path, there);
      }
      await closed(socket);
      assert.equal(outcomes.length, COUNT, 'a callback ran twice');
      await assertNoLeak(before - 3); // Without the three pipes to Python.
    });
  }

  test('is killed, and neither other receivers nor a successor suffer', async (t) => {
    const [dead, alive] = [temporaryPath(t), temporaryPath(t)];
    const victim = await startPeer(t, dead);
    const other = await startPeer(t, alive);
    const socket = openSocket(t);
    const refused = Array.from({ length: 100 }, (_, index) =>
      sendTo(socket, `${index}`, dead).then(
        () => 'sent',
        (error) => error.code,
      ),
    );
    const served = Array.from({ length: 100 }, (_, index) => sendTo(socket, `${index}`, alive));
    victim.program.kill('SIGKILL');
    const received = await other.call('receive', { count: 100 });
    assert.deepEqual(
      received.map(({ text }) => text),
      Array.from({ length: 100 }, (_, index) => `${index}`),
    );
    await Promise.all(served);
    assert.equal((await Promise.all(refused)).at(-1), 'ECONNREFUSED');
    // The file that it left behind is replaced, and the same sender reaches the new socket.
    const messages = inbox(openSocket(t).bind(dead));
    await sendTo(socket, 'to the successor', dead);
    assert.equal(String((await messages.next()).data), 'to the successor');
  });

  test('is killed, and a successor that stalls costs us nothing', async (t) => {
    const there = temporaryPath(t);
    const victim = await startPeer(t, there);
    const socket = openSocket(t);
    const send = () => Array.from({ length: 100 }, (_, index) => sendTo(socket, `${index}`, there));
    const refused = Promise.allSettled(send());
    victim.program.kill('SIGKILL');
    assert.equal((await refused).at(-1).reason.code, 'ECONNREFUSED');

    fs.unlinkSync(there);
    const successor = await startPeer(t, there);
    const sent = send();
    await sent[0];
    const before = process.cpuUsage();
    await delay(STALL);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < STALL * 200, `${user + system} µs of CPU in ${STALL} ms of waiting`);
    const received = await successor.call('receive', { count: 100 });
    assert.deepEqual(
      received.map(({ text }) => text),
      Array.from({ length: 100 }, (_, index) => `${index}`),
    );
    await Promise.all(sent);
  });
});
