'use strict';

// Owns messages of a SeqpacketSocket that are too large, what bounds their size, and names of connecting sockets.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const {
  closing,
  eventsOf,
  makePair,
  makeSocket,
  messagesOf,
  quiet,
  startServer,
  write,
} = require('../helpers/seqpacket.js');
const { nextEvent, openPair } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

describe('a message that is too large', onLinux(), () => {
  test('fails alone: the error says how large it is, and what the limit is', async (t) => {
    const [one, two] = makePair(t);
    const messages = messagesOf(two);
    const limit = one.maxMessageSize;
    assert.equal(limit, one.sendBufferSize - 32);
    await assert.rejects(write(one, Buffer.alloc(limit + 1)), (error) => {
      assert.deepEqual([error.code, error.syscall], ['EMSGSIZE', 'sendmsg']);
      for (const number of [limit + 1, one.sendBufferSize, limit]) {
        assert.match(error.message, new RegExp(`\\b${number}\\b`));
      }
      assert.match(error.message, /set sendBufferSize to more/);
      return true;
    });
    await write(one, Buffer.alloc(limit));
    assert.equal((await messages.next()).length, limit);
    assert.equal(one.destroyed, false);
  });

  test("without a callback it is an 'error', and the socket goes on", async (t) => {
    const [one, two] = makePair(t);
    const messages = messagesOf(two);
    const failing = nextEvent(one, 'error');
    one.write(Buffer.alloc(one.maxMessageSize + 1));
    assert.equal((await failing)[0].code, 'EMSGSIZE');
    one.write('small');
    assert.equal(String(await messages.next()), 'small');
  });

  test('with neither callback nor listener it is a warning of the process', async (t) => {
    const result = await runScript(t, ({ SeqpacketSocket: Socket }) => {
      const [one, two] = Socket.pair();
      const warnings = [];
      process.on('warning', ({ name, code, message }) => warnings.push({ name, code, message }));
      one.write(Buffer.alloc(one.maxMessageSize + 1));
      one.end('after it');
      two.on('data', (data) => warnings.push(String(data)));
      two.on('close', () => console.log(JSON.stringify(warnings)));
    });
    const [text] = result.filter((entry) => typeof entry === 'string');
    const [warning, ...others] = result.filter((entry) => typeof entry !== 'string');
    assert.deepEqual([text, others], ['after it', []]);
    assert.equal(warning.code, 'EMSGSIZE');
    assert.match(warning.message, /set sendBufferSize to more/);
  });

  test('of a DgramSocket says the same', async (t) => {
    const [one, two] = openPair(t);
    const limit = one.maxMessageSize;
    const error = await new Promise((done) => one.send(Buffer.alloc(limit + 1), done));
    assert.equal(error.code, 'EMSGSIZE');
    assert.match(error.message, new RegExp(`\\b${limit + 1}\\b.*\\b${limit}\\b`));
    const received = nextEvent(two, 'data');
    one.send(Buffer.alloc(limit));
    assert.equal((await received)[0].length, limit);
  });
});

describe('sizes of buffers', onLinux(), () => {
  test('that node-unix-socket reads into are kept, and cut no message', async (t) => {
    const [one, two] = makePair(t);
    const before = two.getInternalReadBufferSize();
    assert.ok(Number.isInteger(before) && before > 0, `${before}`);
    assert.equal(two.setInternalReadBufferSize(10), undefined);
    assert.equal(two.getInternalReadBufferSize(), 10);
    for (const size of [0, -1, 1.5, 2 ** 31]) {
      assert.throws(() => two.setInternalReadBufferSize(size), { code: 'ERR_OUT_OF_RANGE' });
    }
    assert.throws(() => two.setInternalReadBufferSize('1'), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.equal(two.getInternalReadBufferSize(), 10);
    assert.equal(one.getInternalReadBufferSize(), before);
    const received = nextEvent(two, 'data');
    one.write(Buffer.alloc(1000));
    assert.equal((await received)[0].length, 1000);
  });

  test('are set by options and methods, and known while the socket is open', async (t) => {
    const [one] = makePair(t, { sendBufferSize: 20_000, recvBufferSize: 30_000 });
    assert.deepEqual([one.sendBufferSize, one.receiveBufferSize], [40_000, 60_000]);
    assert.equal(one.maxMessageSize, 40_000 - 32);
    assert.equal(one.setSendBufferSize(10_000), undefined);
    assert.equal(one.setRecvBufferSize(10_000), undefined);
    assert.deepEqual([one.sendBufferSize, one.receiveBufferSize], [20_000, 20_000]);
    for (const method of ['setSendBufferSize', 'setRecvBufferSize']) {
      for (const size of [0, -1, 1.5]) {
        assert.throws(() => one[method](size), { code: 'ERR_OUT_OF_RANGE' });
      }
      assert.throws(() => one[method]('1'), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    one.destroy();
    assert.deepEqual(
      [one.sendBufferSize, one.receiveBufferSize, one.maxMessageSize],
      [undefined, undefined, undefined],
    );
    assert.throws(() => one.setSendBufferSize(10_000), { code: 'EBADF' });
    const dgram = new DgramSocket({ recvBufferSize: 10_000, sendBufferSize: 10_000 });
    assert.deepEqual([dgram.receiveBufferSize, dgram.sendBufferSize], [20_000, 20_000]);
    assert.deepEqual([dgram.getRecvBufferSize(), dgram.getSendBufferSize()], [20_000, 20_000]);
    dgram.close();
    await closing(one);
  });

  test('may be given to a socket that connects', async (t) => {
    const server = startServer(t);
    const client = makeSocket(t, { sendBufferSize: 20_000 }).connect(server.address());
    await nextEvent(client, 'connect');
    assert.equal(client.sendBufferSize, 40_000);
  });
});

describe('localPath', onLinux(), () => {
  test('is the name the server sees, and its file goes with the socket', async (t) => {
    const server = startServer(t);
    const localPath = temporaryPath(t);
    const client = makeSocket(t, { localPath });
    const connecting = nextEvent(server, 'connection');
    client.connect(server.address());
    const [socket] = await connecting;
    assert.equal(socket.remoteAddress, localPath);
    assert.equal(client.address(), localPath);
    assert.ok(fs.existsSync(localPath));
    client.destroy();
    await closing(client);
    assert.equal(fs.existsSync(localPath), false);
  });

  test("that is taken is an 'error'; a faulty one throws", async (t) => {
    const server = startServer(t);
    const name = abstractName();
    startServer(t, undefined, name);
    const client = makeSocket(t, { localPath: name });
    const events = eventsOf(client);
    client.connect(server.address());
    await closing(client);
    assert.deepEqual(events, ['error EADDRINUSE', 'close true']);
    for (const localPath of ['', 5, 'a\0b']) {
      assert.throws(() => new SeqpacketSocket({ localPath }), { code: /^ERR_INVALID_ARG_/ });
    }
    await quiet();
  });
});
