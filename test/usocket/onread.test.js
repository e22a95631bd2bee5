'use strict';

// Owns the option `onread` of USocket: bytes are received into memory of the user's.

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, test } = require('node:test');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { delay, until } = require('../helpers/wait.js');
const { collect, makeBulk, makeSocket, startServer } = require('../helpers/usocket.js');

assertNoLeaks();

describe('onread', onLinux(), () => {
  test('receives in place: nothing is buffered, and descriptors come separately', async (t) => {
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

  test('a function that throws is the end of the socket that has just connected', async (t) => {
    const server = startServer(t);
    const failure = new Error('no memory');
    const buffer = () => {
      throw failure;
    };
    const client = makeSocket(t, { onread: { buffer, callback: () => true } });
    const events = eventsOf(client);
    const seen = [];
    client.on('error', (error) => seen.push(error)).connect(server.address());
    await nextEvent(client, 'close');
    assert.deepEqual(seen, [failure]);
    assert.deepEqual(
      events.filter((event) => event === 'connect'),
      [],
    );
  });

  test('a function is asked for each next buffer', async (t) => {
    const buffers = [];
    const got = [];
    const server = startServer(t, {
      onread: {
        buffer() {
          buffers.push(Buffer.alloc(4));
          return buffers.at(-1);
        },
        callback: (length, given) => void got.push([buffers.indexOf(given), length]),
      },
    });
    const client = makeSocket(t, server.address());
    await nextEvent(server, 'connection');
    client.write('abcdefghij');
    await until(() => got.length === 3, 'all bytes');
    assert.deepEqual(got, [
      [0, 4],
      [1, 4],
      [2, 2],
    ]);
    assert.equal(buffers.map(String).join('').replaceAll('\0', ''), 'abcdefghij');
  });

  test('pause() holds back the end, too, in a socket that is made of a descriptor', async (t) => {
    const [one, two] = USocket.pair();
    const onread = { buffer: Buffer.alloc(10), callback: () => true };
    const socket = cleanUp(t, new USocket({ fd: one.detach().fd, onread }));
    const events = eventsOf(socket, ['end']);
    // It reads before anybody asks it to.
    socket.resume().pause();
    cleanUp(t, two).end();
    await delay(20);
    assert.deepEqual(events, []);
    socket.resume();
    await nextEvent(socket, 'close');
    assert.deepEqual(events, ['end']);
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

  for (const when of ['before there is a connection', 'in the callback of connect()']) {
    test(`pause() ${when} holds, also against a read that waits`, async (t) => {
      let got = '';
      const client = makeSocket(t, {
        onread: {
          buffer: Buffer.alloc(10),
          callback(length, buffer) {
            got += buffer.latin1Slice(0, length);
            return true;
          },
        },
      });
      const server = startServer(t);
      const inCallback = when.startsWith('in');
      client.connect(server.address(), () => inCallback && client.pause());
      client.read(0);
      if (!inCallback) client.pause();
      const [connection] = await nextEvent(server, 'connection');
      await new Promise((resolve) => connection.write('abcdefghijklmno', resolve));
      await delay(0);
      assert.equal(got, '');
      client.resume();
      await until(() => got.length === 15, 'all bytes');
      assert.equal(got, 'abcdefghijklmno');
    });
  }

  const MOMENTS = ['before connect()', 'before connect(), and read(0) asks for more'];
  for (const when of [...MOMENTS, 'while connecting', "in 'connect'", "in 'ready'"]) {
    test(`with what unshift() put back ${when}, bytes are received all the same, as in net`, async (t) => {
      const server = startServer(t, {}, temporaryPath(t, 'server'));
      server.on('connection', (connection) => connection.write('received'));
      for (const Socket of [net.Socket, USocket]) {
        let got = '';
        const callback = (length, buffer) => {
          got += buffer.latin1Slice(0, length);
          return true;
        };
        const onread = { buffer: Buffer.alloc(10), callback };
        const socket = cleanUp(t, new Socket({ highWaterMark: 1, onread }));
        const putBack = () => socket.unshift('put back');
        if (when.startsWith('in')) socket.once(when.slice(4, -1), putBack);
        if (when.startsWith('before')) putBack();
        if (when.endsWith('more')) socket.read(0);
        socket.connect(server.address());
        if (when === 'while connecting') putBack();
        await until(() => got === 'received', `what ${Socket.name} receives`);
        assert.equal(String(socket.read()), 'put back');
      }
    });
  }

  test('the callback may destroy the socket', async (t) => {
    let calls = 0;
    let asked = 0;
    const server = startServer(t, {
      onread: {
        buffer() {
          asked++;
          return Buffer.alloc(2);
        },
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
    // Nor is more memory asked for.
    assert.deepEqual([calls, asked], [1, 1]);
  });

  test('memory that was transferred away is an error, not the end', async (t) => {
    const buffer = Buffer.alloc(1000);
    const events = [];
    const server = startServer(t, {
      onread: {
        buffer,
        callback() {
          structuredClone(buffer.buffer, { transfer: [buffer.buffer] });
        },
      },
    });
    const client = makeSocket(t, server.address());
    client.on('error', () => {});
    const [connection] = await nextEvent(server, 'connection');
    connection.on('end', () => events.push('end'));
    connection.on('error', ({ code }) => events.push(code));
    client.write('abc');
    await until(() => buffer.length === 0, 'the first bytes');
    client.write('def');
    await closing(connection);
    assert.deepEqual(events, ['EFAULT']);
  });
});
