'use strict';

// Owns what users of node:dgram are used to: 'message', send() with a path, callbacks of bind().

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket, closeFd } = require('../../lib');
const { assertNoLeak, countFds, nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closed, inbox, nextEvent, openPair, openSocket, turn } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { identity } = require('../helpers/usocket.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

describe("'message'", onLinux(), () => {
  test("has the sender and the size, and comes after 'data'", async (t) => {
    const receiver = openSocket(t).bind(temporaryPath(t));
    const sender = openSocket(t).bind(temporaryPath(t));
    const order = [];
    receiver.on('message', (message, info) => order.push([String(message), info]));
    receiver.on('data', (data, path) => order.push([String(data), path]));
    sender.sendTo('hello', receiver.address());
    await nextEvent(receiver, 'message');
    const address = sender.address();
    const info = { address, path: address, size: 5, fds: [], credentials: undefined };
    assert.deepEqual(order, [
      ['hello', address],
      ['hello', info],
    ]);
  });

  test('alone gets messages, their descriptors and credentials', async (t) => {
    const before = countFds();
    const [one, two] = openPair(t, { receiveFds: true, credentials: true });
    const [fd] = nulls(1);
    const coming = nextEvent(two, 'message');
    one.send({ data: 'x', fds: [fd] });
    const [message, { fds, credentials, size, path }] = await coming;
    // With credentials Linux gives each sender a name.
    assert.deepEqual([String(message), size, path], ['x', 1, one.address()]);
    assert.equal(identity(fds[0]), identity(fd));
    assert.equal(credentials.pid, process.pid);
    closeFd(fds[0]);
    closeFd(fd);
    await Promise.all([closed(one), closed(two)]);
    await assertNoLeak(before);
  });

  test('does not come once the socket is closed', async (t) => {
    const [one, two] = openPair(t);
    two.on('message', () => assert.fail('a message after close()'));
    two.on('data', () => two.close());
    one.send('x');
    await nextEvent(two, 'close');
    await turn();
  });

  test("gives names as Buffers with pathEncoding: 'buffer'", async (t) => {
    const receiver = openSocket(t, { pathEncoding: 'buffer' }).bind(abstractName());
    const name = abstractName();
    const sender = openSocket(t).bind(name);
    sender.sendTo('x', receiver.address());
    const [, { address, path }] = await nextEvent(receiver, 'message');
    assert.deepEqual([String(address), String(path)], [name, name]);
  });
});

describe('send(message, path)', onLinux(), () => {
  test('is sendTo(), connected or not', async (t) => {
    const receiver = openSocket(t).bind(temporaryPath(t));
    const messages = inbox(receiver);
    const other = openSocket(t).bind(temporaryPath(t));
    const others = inbox(other);
    const sender = openSocket(t);
    for (const round of [1, 2]) {
      const outcome = (send) => within(new Promise(send), 'the callback');
      assert.equal(
        await outcome((done) => sender.send(`to one ${round}`, receiver.address(), done)),
        undefined,
      );
      assert.equal(String((await messages.next()).data), `to one ${round}`);
      const failure = await outcome((done) => sender.send('x', '/nonexistent/a.sock', done));
      assert.deepEqual([failure.code, failure.path], ['ENOENT', '/nonexistent/a.sock']);
      if (round === 1) sender.connect(other.address());
    }
    assert.equal(sender.send('to the peer'), true);
    assert.equal(String((await others.next()).data), 'to the peer');
    sender.send('to the peer, too', undefined, () => {});
    assert.equal(String((await others.next()).data), 'to the peer, too');
  });

  test('takes descriptors within the message', async (t) => {
    const receiver = openSocket(t, { receiveFds: true }).bind(temporaryPath(t));
    const messages = inbox(receiver);
    const sender = openSocket(t);
    const [fd] = nulls(1);
    sender.send({ data: 'first', fds: [fd] }, receiver.address());
    sender.sendTo({ data: 'second', fds: [fd] }, receiver.address());
    closeFd(fd);
    for (const text of ['first', 'second']) {
      const { data, fds } = await messages.next();
      assert.deepEqual([String(data), fds.length], [text, 1]);
      fds.forEach(closeFd);
    }
  });
});

describe('bind()', onLinux(), () => {
  test("calls back on 'listening', in every form", async (t) => {
    for (const args of [
      [],
      [temporaryPath(t)],
      [temporaryPath(t), { mode: 0o600 }],
      [{ path: temporaryPath(t), mode: 0o600 }],
      [undefined],
    ]) {
      const socket = openSocket(t);
      let calls = 0;
      assert.equal(
        socket.bind(...args, () => calls++),
        socket,
      );
      assert.equal(calls, 0);
      await nextEvent(socket, 'listening');
      assert.equal(calls, 1);
    }
  });

  test('makes the file for whom uid and gid say', (t) => {
    const path = temporaryPath(t);
    const isRoot = process.getuid() === 0;
    const [uid, gid] = isRoot ? [12_345, 23_456] : [process.getuid(), process.getgid()];
    openSocket(t).bind(path, { uid, gid });
    const found = fs.statSync(path);
    assert.deepEqual([found.uid, found.gid], [uid, gid]);
  });

  test('leaves it with unlinkOnClose: false', async (t) => {
    const path = temporaryPath(t);
    await closed(new DgramSocket().bind({ path, unlinkOnClose: false }));
    assert.ok(fs.existsSync(path));
    await closed(new DgramSocket().bind(path));
    assert.equal(fs.existsSync(path), false);
  });
});
