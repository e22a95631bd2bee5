'use strict';

// Owns connections: connect, send, disconnect, pairs, and adopting descriptors.

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { DgramSocket, closeFd } = require('../../lib');
const posix = require('../../lib/posix');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { skipUnlessPython, startPeer } = require('../helpers/python.js');
const {
  Outcomes,
  closed,
  inbox,
  leaveDeadFile,
  nextEvent,
  openPair,
  openSocket,
  send,
  sendTo,
  turn,
} = require('../helpers/sockets.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const text = async (messages) => String((await messages.next()).data);

describe('connect', () => {
  test('sets the peer: send goes there, remoteAddress names it', async (t) => {
    const here = temporaryPath(t);
    const there = temporaryPath(t);
    const peer = openSocket(t).bind(there);
    const socket = openSocket(t).bind(here);
    const [asked, answered] = [inbox(peer), inbox(socket)];
    assert.equal(socket.remoteAddress, undefined);
    assert.equal(socket.connect(there), socket);
    assert.equal(socket.remoteAddress, there);
    await send(socket, 'question');
    const { data, path } = await asked.next();
    assert.deepEqual([String(data), path], ['question', here]);
    await sendTo(peer, 'answer', here);
    assert.equal(await text(answered), 'answer');
  });

  test('takes a Buffer, a URL and an abstract name', onLinux({}), async (t) => {
    const there = temporaryPath(t);
    const name = abstractName();
    const peers = [inbox(openSocket(t).bind(there)), inbox(openSocket(t).bind(name))];
    const socket = openSocket(t);
    for (const [form, peer] of [
      [Buffer.from(there), 0],
      [name, 1],
      [pathToFileURL(there), 0],
      [Buffer.from(name), 1],
    ]) {
      socket.connect(form);
      assert.equal(socket.remoteAddress, [there, name][peer]);
      await send(socket, `to ${form}`);
      assert.equal(await text(peers[peer]), `to ${form}`);
    }
  });

  test('takes an abstract name on Linux alone', (t) => {
    const platform = Object.getOwnPropertyDescriptor(process, 'platform');
    t.after(() => Object.defineProperty(process, 'platform', platform));
    Object.defineProperty(process, 'platform', { ...platform, value: 'darwin' });
    const code = 'ERR_INVALID_ARG_VALUE';
    assert.throws(() => openSocket(t).connect(abstractName()), { code, message: /only Linux/ });
  });

  test("emits 'connect' in a later tick, with the callback before other listeners", async (t) => {
    const there = temporaryPath(t);
    openSocket(t).bind(there);
    const socket = openSocket(t);
    const events = [];
    socket.connect(there, (...args) => events.push(['callback', ...args]));
    socket.on('connect', (...args) => events.push(['event', ...args]));
    assert.deepEqual(events, []);
    await turn();
    assert.deepEqual(events, [['callback'], ['event']]);
  });

  test('throws where nobody is there, or reports to the callback alone', async (t) => {
    const folder = temporaryFolder(t);
    await leaveDeadFile(`${folder}/dead`);
    const stream = net.createServer().listen(`${folder}/stream`);
    t.after(() => stream.close());
    await once(stream, 'listening');
    const socket = openSocket(t);
    socket.on('error', (error) => assert.fail(error));
    for (const [name, code] of [
      ['nobody', 'ENOENT'],
      ['dead', 'ECONNREFUSED'],
      ['stream', 'EPROTOTYPE'],
      ['x'.repeat(108), 'ENAMETOOLONG'],
    ]) {
      const path = `${folder}/${name}`;
      const properties = { name: 'Error', code, syscall: 'connect', path };
      assert.throws(() => socket.connect(path), properties);
      const connected = new Promise((resolve, reject) => {
        socket.connect(path, (error) => (error ? reject(error) : resolve()));
      });
      await assert.rejects(connected, properties);
      assert.equal(socket.remoteAddress, undefined);
    }
  });

  test('that fails keeps the peer that was', async (t) => {
    const there = temporaryPath(t);
    const messages = inbox(openSocket(t).bind(there));
    const socket = openSocket(t).connect(there);
    assert.throws(() => socket.connect(`${there}-nobody`), { code: 'ENOENT' });
    assert.equal(socket.remoteAddress, there);
    await send(socket, 'still here');
    assert.equal(await text(messages), 'still here');
  });

  test('stays with the peer after a message too large, whoever has its name', async (t) => {
    const there = temporaryPath(t);
    const peer = inbox(openSocket(t).bind(there));
    const socket = openSocket(t);
    socket.connect(there);
    fs.unlinkSync(there);
    const other = openSocket(t).bind(there);
    other.on('data', () => assert.fail('it has gone to another'));
    await assert.rejects(send(socket, Buffer.alloc(10_000_000)), { code: 'EMSGSIZE' });
    await send(socket, 'still here');
    assert.equal(await text(peer), 'still here');
  });

  test('can be repeated: messages go to the newest peer', async (t) => {
    const paths = [temporaryPath(t), temporaryPath(t)];
    const inboxes = paths.map((path) => inbox(openSocket(t).bind(path)));
    const socket = openSocket(t);
    for (const peer of [0, 1, 1, 0]) {
      socket.connect(paths[peer]);
      await send(socket, `to ${peer}`);
      assert.equal(await text(inboxes[peer]), `to ${peer}`);
    }
  });

  test('refuses other senders, until disconnect', async (t) => {
    const [here, there] = [temporaryPath(t), temporaryPath(t)];
    openSocket(t).bind(there);
    const socket = openSocket(t).bind(here).connect(there);
    const messages = inbox(socket);
    const stranger = openSocket(t);
    await assert.rejects(sendTo(stranger, 'x', here), { code: 'EPERM' });
    assert.throws(() => stranger.connect(here), { code: 'EPERM' });
    assert.equal(socket.disconnect(), socket);
    assert.equal(socket.remoteAddress, undefined);
    await sendTo(stranger, 'now', here);
    assert.equal(await text(messages), 'now');
  });

  test('still allows sendTo, to the peer and to others', async (t) => {
    const paths = [temporaryPath(t), temporaryPath(t)];
    const inboxes = paths.map((path) => inbox(openSocket(t).bind(path)));
    const socket = openSocket(t).connect(paths[0]);
    await sendTo(socket, 'to the peer', paths[0]);
    await sendTo(socket, 'to another', paths[1]);
    assert.equal(await text(inboxes[0]), 'to the peer');
    assert.equal(await text(inboxes[1]), 'to another');
  });

  test('lets an unbound socket receive nothing, but a bound peer may answer a bound one', async (t) => {
    const [here, there] = [temporaryPath(t), temporaryPath(t)];
    const one = openSocket(t).bind(here);
    const two = openSocket(t).bind(there).connect(here);
    one.connect(there);
    const inboxes = [inbox(one), inbox(two)];
    await Promise.all([send(one, 'from one'), send(two, 'from two')]);
    assert.equal(await text(inboxes[0]), 'from two');
    assert.equal(await text(inboxes[1]), 'from one');
  });
});

describe('send', () => {
  test('without a peer is ENOTCONN, to the callback or as an event', async (t) => {
    const socket = openSocket(t);
    await assert.rejects(send(socket, 'x'), { code: 'ENOTCONN', syscall: 'sendmsg' });
    socket.send('x');
    const [error] = await nextEvent(socket, 'error');
    assert.equal(error.code, 'ENOTCONN');
  });

  test('without a peer is ENOTCONN also where the send buffer is full', onLinux({}), async (t) => {
    const path = temporaryPath(t);
    // Which reads nothing.
    const receiver = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM, 0);
    t.after(() => closeFd(receiver));
    posix.bind(receiver, { sun_family: posix.AF_UNIX, sun_path: path });
    const socket = openSocket(t);
    const data = Buffer.alloc(100_000);
    while (socket.writableLength === 0) socket.sendTo(data, path, () => {});
    await assert.rejects(send(socket, data), { code: 'ENOTCONN' });
    assert.equal(socket.writableLength, data.length);
  });

  test('after disconnect is ENOTCONN too', async (t) => {
    const there = temporaryPath(t);
    openSocket(t).bind(there);
    const socket = openSocket(t).connect(there);
    socket.disconnect();
    await assert.rejects(send(socket, 'x'), { code: 'ENOTCONN' });
    assert.throws(() => socket.disconnect(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
  });

  test('to a peer that closed is ECONNREFUSED, and a new peer can be set', async (t) => {
    const there = temporaryPath(t);
    const peer = openSocket(t).bind(there);
    const socket = openSocket(t).connect(there);
    await send(socket, 'x');
    await closed(peer);
    await assert.rejects(send(socket, 'x'), { code: 'ECONNREFUSED' });
    const messages = inbox(openSocket(t).bind(there));
    socket.connect(there);
    await send(socket, 'to the successor');
    assert.equal(await text(messages), 'to the successor');
  });

  test('takes strings, views and { data }, whole and in order', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    const bytes = Buffer.from('inside').subarray(2, 4);
    const forms = ['text', bytes, new DataView(bytes.buffer, bytes.byteOffset, 1), { data: 'd' }];
    forms.push({ data: bytes }, { data: '' }, { data: 'x', fds: [] });
    const outcomes = new Outcomes();
    for (const form of forms) assert.equal(one.send(form, outcomes.callback()), true);
    assert.deepEqual(await outcomes.settled(), Outcomes.all(forms.length));
    const received = await messages.take(forms.length);
    assert.deepEqual(
      received.map(({ data }) => String(data)),
      ['text', 'si', 's', 'd', 'si', '', 'x'],
    );
  });
});

describe('pair', () => {
  test('is two connected sockets', async (t) => {
    const [one, two] = openPair(t);
    assert.ok(one instanceof DgramSocket && two instanceof DgramSocket);
    const inboxes = [inbox(one), inbox(two)];
    await Promise.all([send(one, 'to two'), send(two, 'to one')]);
    const [first, second] = [await inboxes[0].next(), await inboxes[1].next()];
    assert.deepEqual([String(first.data), first.path], ['to one', '']);
    assert.deepEqual([String(second.data), second.path], ['to two', '']);
    assert.equal(one.remoteAddress, '');
    assert.equal(one.address(), '');
    const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };
    assert.deepEqual(one.peerCredentials, me);
  });

  test('gives its options to both', async (t) => {
    const pair = openPair(t, { sendBufferSize: 30_000, credentials: true, fd: 'ignored' });
    for (const [one, two] of [pair, [...pair].reverse()]) {
      assert.equal(one.getSendBufferSize(), 60_000);
      const messages = inbox(two);
      await send(one, 'x');
      assert.equal((await messages.next()).credentials.pid, process.pid);
    }
  });

  test('fails when the other end is closed, with the true error', async (t) => {
    for (const withCallback of [true, false]) {
      const [one, two] = openPair(t);
      await closed(two);
      if (withCallback) {
        await assert.rejects(send(one, 'x'), { code: 'ECONNREFUSED' });
      } else {
        one.send('x');
        assert.equal((await nextEvent(one, 'error'))[0].code, 'ECONNREFUSED');
      }
    }
  });

  test('reports that the other end dropped messages when it disconnected: ECONNRESET', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(one);
    await send(two, 'arrives');
    assert.equal(await text(messages), 'arrives');
    two.send('is dropped');
    one.disconnect();
    const [error] = await nextEvent(two, 'error');
    assert.equal(error.code, 'ECONNRESET');
    // The kernel's error is taken and the socket goes on.
    const path = temporaryPath(t);
    two.disconnect();
    const after = inbox(two.bind(path));
    await sendTo(one, 'still here', path);
    assert.equal(await text(after), 'still here');
    assert.equal(messages.length, 0);
  });
});

describe('adopting a descriptor', () => {
  const isOpen = (fd) => fs.existsSync(`/proc/self/fd/${fd}`);

  /** Descriptors received from somebody else, as adopting is meant for. */
  async function receiveFds(t, holders) {
    const [one, two] = openPair(t, { receiveFds: true });
    const messages = inbox(two);
    await send(one, { data: 'x', fds: holders });
    const { fds } = await messages.next();
    return fds;
  }

  test('goes on where the other owner left, bound', async (t) => {
    const path = temporaryPath(t);
    const original = openSocket(t).bind(path);
    const [fd] = await receiveFds(t, [original]);
    const adopted = openSocket(t, { fd });
    assert.equal(adopted.fd, fd);
    assert.equal(adopted.address(), path);
    assert.throws(() => adopted.bind(`${path}2`), { code: 'ERR_SOCKET_ALREADY_BOUND' });
    // The name is the other one's to remove, and the socket lives while one of the two does.
    fs.linkSync(path, `${path}2`);
    await closed(original);
    const messages = inbox(adopted);
    await sendTo(openSocket(t), 'to the heir', `${path}2`);
    assert.equal(await text(messages), 'to the heir');
    await closed(adopted);
    assert.equal(isOpen(fd), false);
    assert.ok(fs.existsSync(`${path}2`));
  });

  test('goes on where the other owner left, connected', async (t) => {
    const [one, two] = openPair(t);
    const [fd] = await receiveFds(t, [two]);
    await closed(two);
    const adopted = openSocket(t, { fd });
    const [here, there] = [inbox(one), inbox(adopted)];
    assert.equal(adopted.remoteAddress, '');
    await Promise.all([send(one, 'forth'), send(adopted, 'back')]);
    assert.equal(await text(there), 'forth');
    assert.equal(await text(here), 'back');
  });

  test('takes one that is unbound, which can then bind', async (t) => {
    const [fd] = await receiveFds(t, [openSocket(t)]);
    const path = temporaryPath(t);
    const adopted = openSocket(t, { fd }).bind(path);
    const messages = inbox(adopted);
    await sendTo(openSocket(t), 'x', path);
    assert.equal(await text(messages), 'x');
    await closed(adopted);
    assert.equal(fs.existsSync(path), false);
  });

  test('makes a blocking one nonblocking', onLinux(skipUnlessPython()), async (t) => {
    const path = temporaryPath(t);
    const peer = await startPeer(t);
    const messages = inbox(openSocket(t, { receiveFds: true }).bind(path));
    await peer.call('send_socket', { to: path });
    const [fd] = (await messages.next()).fds;
    const isNonblocking = () => {
      const info = fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
      return (parseInt(/^flags:\s*(\d+)$/m.exec(info)[1], 8) & fs.constants.O_NONBLOCK) !== 0;
    };
    assert.equal(isNonblocking(), false);
    openSocket(t, { fd });
    assert.equal(isNonblocking(), true);
  });

  test('refuses what does not fit, which stays open and its owner can use', async (t) => {
    const path = temporaryPath(t);
    const server = net.createServer((connection) => connection.end('served')).listen(path);
    t.after(() => server.close());
    await once(server, 'listening');
    const udp = dgram.createSocket('udp4');
    t.after(() => udp.close());
    udp.bind(0, '127.0.0.1');
    await once(udp, 'listening');
    const file = fs.openSync(__filename);
    t.after(() => fs.closeSync(file));
    const watched = openSocket(t).bind(`${path}-watched`);
    const messages = inbox(watched);
    const gone = fs.openSync(__filename);
    fs.closeSync(gone);

    for (const [holder, code] of [
      [server, 'EPROTOTYPE'],
      [udp, 'EAFNOSUPPORT'],
      [file, 'ENOTSOCK'],
      [gone, 'EBADF'],
      [1_000_000, 'EBADF'],
      [watched, 'EEXIST'],
      [watched.fd, 'EEXIST'],
    ]) {
      const properties = { code, syscall: 'adopt' };
      assert.throws(() => new DgramSocket({ fd: holder }), properties, code);
    }
    assert.ok(isOpen(file));
    const connection = net.connect(path);
    assert.equal(String((await nextEvent(connection, 'data'))[0]), 'served');
    udp.send('x', udp.address().port, '127.0.0.1');
    assert.equal(String((await nextEvent(udp, 'message'))[0]), 'x');
    await sendTo(openSocket(t), 'x', `${path}-watched`);
    assert.equal(await text(messages), 'x');
  });

  test('refuses one that a DgramSocket owns without watching it', async (t) => {
    const owner = openSocket(t);
    assert.throws(() => new DgramSocket({ fd: owner }), { code: 'EEXIST' });
    assert.ok(isOpen(owner.fd));
    const there = temporaryPath(t);
    const messages = inbox(openSocket(t).bind(there));
    await sendTo(owner, 'x', there);
    assert.equal(await text(messages), 'x');
  });
});
