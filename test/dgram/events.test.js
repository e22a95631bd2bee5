'use strict';

// Owns events: their order, the async context they run in, exceptions in handlers, and what becomes
// of received Buffers.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { MessageChannel } = require('node:worker_threads');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startScript } = require('../helpers/node.js');
const { inbox, nextEvent, openPair, openSocket, send, turn } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

describe('order of events', () => {
  test("'listening' comes once, in a later tick", async (t) => {
    const socket = openSocket(t);
    let count = 0;
    socket.on('listening', () => count++);
    socket.bind(temporaryPath(t));
    assert.equal(count, 0);
    await once(socket, 'listening');
    await turn();
    assert.equal(count, 1);
  });

  test("'listening' does not come once the socket is closed", async (t) => {
    const socket = openSocket(t).bind(temporaryPath(t));
    const events = [];
    for (const event of ['listening', 'connect', 'close']) {
      socket.on(event, () => events.push(event));
    }
    const there = openSocket(t).bind(temporaryPath(t));
    socket.connect(there.address());
    await within(new Promise((done) => socket.close(done)), "'close'");
    assert.deepEqual(events, ['close']);
  });

  test("'close' comes once, in a later tick, and callbacks with it", async (t) => {
    const socket = openSocket(t).bind(temporaryPath(t));
    const events = [];
    socket.on('close', (...args) => events.push(['event', ...args]));
    assert.equal(
      socket.close((...args) => events.push(['first', ...args])),
      socket,
    );
    socket.close((...args) => events.push(['second', ...args])).close();
    assert.deepEqual(events, []);
    await until(() => events.length === 3, "'close'");
    assert.deepEqual(events, [['event'], ['first'], ['second']]);
    socket.close(() => events.push('late'));
    assert.equal(events.length, 3);
    await until(() => events.length === 4, 'the callback of a closed socket');
    await turn();
    assert.equal(events.length, 4);
  });

  test('callbacks of sends come before those of close', async (t) => {
    const [one] = openPair(t);
    const events = [];
    one.send('a', () => events.push('a'));
    one.send('b', () => {
      events.push('b');
      one.close(() => events.push('close'));
    });
    one.send('c', () => events.push('c'));
    await nextEvent(one, 'close');
    await turn();
    assert.deepEqual(events, ['a', 'b', 'c', 'close']);
  });

  test("no 'data' comes after close, also not from the same batch", async (t) => {
    const [one, two] = openPair(t);
    let count = 0;
    two.on('data', () => {
      count++;
      two.close();
      assert.equal(two.fd, -1);
    });
    for (let index = 0; index < 10; index++) one.send(`${index}`);
    await nextEvent(two, 'close');
    await turn();
    assert.equal(count, 1);
  });

  test('a handler may close, make and bind sockets while a batch is under way', async (t) => {
    const path = temporaryPath(t);
    const sender = openSocket(t);
    const received = [];
    const bind = (generation) => {
      const socket = openSocket(t).bind(path);
      socket.on('data', (data) => {
        received.push(`${generation}:${data}`);
        socket.close();
        if (generation < 20) bind(generation + 1);
        else received.push('done');
      });
    };
    bind(0);
    while (received.at(-1) !== 'done') {
      sender.sendTo('x', path, () => {});
      await turn();
    }
    assert.equal(received.length, 22);
    assert.equal(received[20], '20:x');
  });
});

describe('AsyncLocalStorage', () => {
  const storage = new AsyncLocalStorage();

  test("is in 'data' what it was where the socket was made", async (t) => {
    const path = temporaryPath(t);
    const stores = [];
    const sockets = ['a', 'b'].map((store) =>
      storage.run(store, () => openSocket(t).bind(`${path}${store}`)),
    );
    for (const socket of sockets) socket.on('data', () => stores.push(storage.getStore()));
    storage.run('sender', () => {
      const sender = openSocket(t);
      for (const socket of [...sockets, ...sockets]) sender.sendTo('x', socket.address());
    });
    await until(() => stores.length === 4, 'four messages');
    assert.deepEqual(stores.sort(), ['a', 'a', 'b', 'b']);
  });

  test('is in each callback of a send what it was at the call', async (t) => {
    const [one, two] = storage.run('elsewhere', () => openPair(t, { sendBufferSize: 1 }));
    const stores = [];
    // Some go at once, the others wait.
    for (let index = 0; index < 40; index++) {
      storage.run(index, () => one.send('x', () => stores.push(storage.getStore())));
    }
    assert.ok(one.writableLength > 0, 'none waits');
    two.on('data', () => {});
    await until(() => stores.length === 40, 'all callbacks');
    assert.deepEqual(
      stores,
      Array.from({ length: 40 }, (_, index) => index),
    );
  });

  test('is in callbacks and events of failures what it was at the call', async (t) => {
    const socket = openSocket(t);
    const path = temporaryPath(t, 'nobody');
    const stores = [];
    const note = (error) => stores.push([storage.getStore(), error.code]);
    socket.on('error', note);
    storage.run(1, () => socket.sendTo('x', path, note));
    storage.run(2, () => socket.sendTo('x', path));
    storage.run(3, () => socket.connect(path, note));
    await until(() => stores.length === 3, 'three failures');
    assert.deepEqual(stores, [
      [1, 'ENOENT'],
      [2, 'ENOENT'],
      [3, 'ENOENT'],
    ]);
  });

  test('is in the callbacks of connect and close what it was at the call', async (t) => {
    const peer = openSocket(t).bind(temporaryPath(t));
    const socket = openSocket(t);
    const stores = [];
    const note = () => stores.push(storage.getStore());
    storage.run('connect', () => socket.connect(peer.address(), note));
    await until(() => stores.length === 1, "'connect'");
    storage.run('close', () => socket.close(note));
    storage.run('again', () => socket.close(note));
    await until(() => stores.length === 3, "'close'");
    storage.run('late', () => socket.close(note));
    await until(() => stores.length === 4, 'the callback of a closed socket');
    assert.deepEqual([stores[0], stores[3]], ['connect', 'late']);
    assert.equal(stores[1], 'close');
  });
});

describe('an exception', () => {
  test("in a 'data' handler is uncaught and loses no other message", async (t) => {
    const result = await runScript(t, ({ DgramSocket: Socket }) => {
      const [one, two] = Socket.pair();
      const uncaught = [];
      const seen = [];
      process.on('uncaughtException', (error) => uncaught.push(error.message));
      two.on('data', (data) => {
        seen.push(Number(data));
        if (seen.length === 100) one.close(() => two.close());
        if (data % 3 === 0) throw new Error(`${data}`);
      });
      two.on('close', () => console.log(JSON.stringify({ uncaught, seen })));
      for (let index = 0; index < 100; index++) one.send(`${index}`);
    });
    const all = Array.from({ length: 100 }, (_, index) => index);
    assert.deepEqual(result.seen, all);
    assert.deepEqual(result.uncaught, all.filter((index) => index % 3 === 0).map(String));
  });

  test('in a callback is uncaught and loses no other callback', async (t) => {
    const result = await runScript(t, ({ DgramSocket: Socket }) => {
      const [one, two] = Socket.pair({ sendBufferSize: 1 });
      const uncaught = [];
      const seen = [];
      process.on('uncaughtException', (error) => uncaught.push(error.message));
      two.on('data', () => {});
      // Some are sent at once, some wait, some are cancelled.
      for (let index = 0; index < 100; index++) {
        one.send('x', (error) => {
          seen.push([index, error?.code]);
          if (index === 50) one.close(() => two.close());
          if (index % 3 === 0) throw new Error(`${index}`);
        });
      }
      two.on('close', () => console.log(JSON.stringify({ uncaught, seen })));
    });
    const all = Array.from({ length: 100 }, (_, index) => index);
    assert.deepEqual(
      result.seen.map(([index]) => index),
      all,
    );
    const cancelled = result.seen.findIndex(([, code]) => code === 'ECANCELED');
    assert.ok(cancelled > 50, `the first cancelled is ${cancelled}`);
    assert.ok(result.seen.slice(cancelled).every(([, code]) => code === 'ECANCELED'));
    assert.deepEqual(result.uncaught, all.filter((index) => index % 3 === 0).map(String));
  });

  test('in callbacks keeps their order, also with messages that waited', async (t) => {
    const seen = await runScript(
      t,
      async ({ DgramSocket }) => {
        const numbers = [];
        process.on('uncaughtException', (error) => numbers.push(Number(error.message)));
        const receiver = new DgramSocket().bind();
        const sender = new DgramSocket().connect(receiver.address());
        receiver.on('data', () => {});
        for (let number = 0; number < 40; number++) {
          sender.send('x', () => {
            throw new Error(number);
          });
        }
        while (numbers.length < 40) await new Promise((resolve) => setTimeout(resolve, 5));
        sender.close();
        receiver.close();
        console.log(JSON.stringify(numbers));
      },
      [],
    );
    assert.deepEqual(
      seen,
      seen.map((_, number) => number),
    );
  });

  test("in an 'error' handler, or for want of one, loses no other failure", async (t) => {
    for (const listens of [true, false]) {
      const result = await runScript(
        t,
        ({ DgramSocket: Socket }, path, listen) => {
          const socket = new Socket();
          const uncaught = [];
          process.on('uncaughtException', (error) => uncaught.push(error.message));
          if (listen) {
            socket.on('error', (error) => {
              throw new Error(`handled ${error.message}`);
            });
          }
          for (let index = 0; index < 5; index++) socket.sendTo('x', `${path}${index}`);
          socket.sendTo('x', path, () => console.log(JSON.stringify(uncaught)));
        },
        [temporaryPath(t), listens],
      );
      assert.equal(result.length, 5);
      for (const [index, message] of result.entries()) {
        assert.match(message, /ENOENT: no such file or directory, sendmsg/);
        assert.equal(message.startsWith('handled'), listens);
        assert.ok(message.endsWith(`a.sock${index}`), message);
      }
    }
  });

  test('of a failed send that nobody handles ends the process', async (t) => {
    const program = startScript(
      t,
      ({ DgramSocket: Socket }, path) => {
        new Socket().sendTo('x', path);
        setTimeout(() => console.log('still here'), 20_000);
      },
      [temporaryPath(t)],
    );
    const { code, stdout, stderr } = await program.ended();
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /Error: ENOENT: no such file or directory, sendmsg/);
  });
});

describe('received Buffers', () => {
  const SIZES = [0, 1, 5, 64, 100, 1000, 4096, 9000, 40_000];

  test('never change when later messages arrive', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    const sent = Array.from({ length: 1500 }, (_, index) => randomBytes(SIZES[index % 9]));
    for (const data of sent) one.send(data);
    const kept = await messages.take(sent.length);
    for (let index = 0; index < 5000; index++) one.send(randomBytes(SIZES[(index * 7) % 8]));
    await messages.take(5000);
    for (const [index, { data }] of kept.entries()) {
      assert.ok(data.equals(sent[index]), `message ${index} changed`);
    }
  });

  test('can be written to: no other message is touched', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    const sent = Array.from({ length: 200 }, (_, index) => randomBytes((index * 13) % 97));
    for (const data of sent) one.send(data);
    const kept = await messages.take(sent.length);
    for (let index = 0; index < kept.length; index += 2) kept[index].data.fill(0xff);
    for (let index = 1; index < kept.length; index += 2) {
      assert.ok(kept[index].data.equals(sent[index]), `message ${index} changed`);
    }
  });

  test('hold back little memory each', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    for (const size of [1, 64, 1000, 8000]) {
      await send(one, Buffer.alloc(size));
      const { data } = await messages.next();
      assert.ok(Buffer.isBuffer(data) && data.length === size);
      assert.ok(data.buffer.byteLength <= 65_536, `${size} of ${data.buffer.byteLength} bytes`);
    }
    await send(one, Buffer.alloc(100_000));
    assert.equal((await messages.next()).data.buffer.byteLength, 100_000);
  });

  for (const [way, transfer] of [
    ['structuredClone', (data) => structuredClone(data, { transfer: [data.buffer] })],
    [
      'postMessage',
      (data) => {
        const { port1, port2 } = new MessageChannel();
        port1.postMessage(data, [data.buffer]);
        port1.close();
        port2.close();
      },
    ],
  ]) {
    test(`that are given away by ${way} take no other message with them`, async (t) => {
      const [one, two] = openPair(t);
      const sent = Array.from({ length: 500 }, (_, index) => randomBytes(SIZES[index % 9]));
      const received = [];
      two.on('data', (data) => {
        received.push(Buffer.from(data));
        try {
          transfer(data);
        } catch (error) {
          // Newer versions of Node refuse what may not be transferred, older ones copy it.
          assert.equal(error.name, 'DataCloneError');
        }
      });
      for (const data of sent) one.send(data);
      await until(() => received.length === sent.length, 'all messages');
      for (const [index, data] of received.entries()) {
        assert.ok(data.equals(sent[index]), `message ${index} changed`);
      }
    });
  }

  test('that are given away leave the others of their batch, however much memory it took', async (t) => {
    const [one, two] = openPair(t);
    // Ten of these need three pieces of memory, and fit into a queue of the default length.
    const sent = Array.from({ length: 10 }, (_, index) => Buffer.alloc(8000, index));
    let batch = [];
    two.on('data', (data) => batch.push(data));
    // The first few times they arrive one by one, until the socket has seen that they come together.
    for (let round = 0; round < 40; round++) {
      batch = [];
      for (const data of sent) one.send(data);
      await until(() => batch.length === sent.length, 'ten messages');
      for (const [index, data] of batch.entries()) {
        assert.ok(data.equals(sent[index]), `message ${index} of round ${round} changed`);
        try {
          structuredClone(data, { transfer: [data.buffer] });
        } catch (error) {
          assert.equal(error.name, 'DataCloneError');
        }
      }
    }
  });
});
