'use strict';

// Owns the callbacks of USocket.write(): each runs once, in order, never inside the call.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const net = require('node:net');
const { describe, test } = require('node:test');
const { UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet, write } = require('../helpers/seqpacket.js');
const { Outcomes, tick } = require('../helpers/sockets.js');
const { listen } = require('../helpers/streams.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');
const { collect, makePair, makeSocket, startServer } = require('../helpers/usocket.js');

assertNoLeaks();

describe('callbacks of write()', onLinux(), () => {
  test('run once, in order, never inside the call, whichever way the bytes take', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    const outcomes = new Outcomes();
    let inside = false;
    const callback = () => {
      const note = outcomes.callback();
      return (error) => {
        assert.equal(inside, false);
        note(error);
      };
    };
    const put = (message, ...rest) => {
      inside = true;
      one.write(message, ...rest);
      inside = false;
    };
    put('fast', callback());
    put({ data: 'with', fds: [0], callback: callback() });
    put([0], callback());
    put('next', callback());
    put('', callback());
    put('fast', callback());
    put(Buffer.alloc(1_000_000), callback());
    put('queued', callback());
    put({ data: 'queued', fds: [0] }, callback());
    one.cork();
    put('corked', callback());
    put('', callback());
    one.uncork();
    collect(t, two);
    two.resume();
    await outcomes.settled();
    put('fast again', callback());
    assert.deepEqual(await outcomes.settled(), Outcomes.all(12, undefined));
    await quiet();
    assert.equal(outcomes.codes.length, 12);
  });

  test('of short strings wait for those, of which no endless number is taken', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    const outcomes = new Outcomes();
    const text = 'x'.repeat(5000);
    let count = 0;
    do {
      one.write(text, outcomes.callback());
      await tick();
      count++;
    } while (outcomes.codes.length === count && count < 1000);
    await quiet();
    assert.equal(outcomes.codes.length, count - 1);
    assert.equal(one.writableLength, text.length);
    const received = collect(t, two.resume());
    await until(() => received.bytes().length === count * text.length, 'all of them');
    await until(() => outcomes.codes.length === count, 'the last callback');
  });

  test('run in order when the socket is destroyed: sent, under way, queued, corked, waiting', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    await quiet();
    const outcomes = new Outcomes();
    one.write('sent', outcomes.callback());
    one.write(Buffer.alloc(3_000_000), outcomes.callback());
    one.write('queued', outcomes.callback());
    one.write({ data: 'queued', fds: [0] }, outcomes.callback());
    one.cork();
    one.write('corked', outcomes.callback());
    one.write([0], outcomes.callback());
    const events = eventsOf(one, ['error', 'close']);
    const before = outcomes.codes.length;
    one.destroy();
    assert.equal(outcomes.codes.length, before);
    await closing(one);
    const failed = Outcomes.all(6, 'ERR_STREAM_DESTROYED').slice(1);
    assert.deepEqual(outcomes.codes, [[0, undefined], ...failed]);
    assert.deepEqual(events, ['close false']);
  });

  test('that throw harm no other', async (t) => {
    const result = await runScript(t, async ({ USocket }) => {
      const { once } = require('node:events');
      const errors = [];
      process.on('uncaughtException', ({ message }) => errors.push(message));
      const [one, two] = USocket.pair();
      two.on('fds', () => {});
      let length = 0;
      two.on('data', (data) => (length += data.length));
      const calls = [];
      let made = 0;
      const callback = () => {
        const number = made++;
        return () => {
          calls.push(number);
          throw new Error(`${number}`);
        };
      };
      one.write('fast', callback());
      one.write([0], callback());
      one.write([0], callback());
      one.write('next', callback());
      one.write({ data: 'x', callback: callback() }, callback());
      one.cork();
      for (let count = 0; count < 3; count++) one.write('corked', callback());
      one.uncork();
      one.write(Buffer.alloc(1_000_000), callback());
      one.write('queued', callback());
      one.write('queued', callback());
      await once(one, 'drain');
      one.end('last', callback());
      await once(two, 'close');
      console.log(JSON.stringify({ calls, errors, length, made }));
    });
    const all = Array.from({ length: result.made }, (_, number) => number);
    assert.deepEqual(result.calls, all);
    assert.deepEqual(result.errors.sort(), all.map(String).sort());
    assert.equal(result.length, 4 + 4 + 1 + 18 + 1_000_000 + 12 + 4);
  });

  for (const [name, Server, Socket] of [
    ['net.Socket', net.Server, net.Socket],
    ['USocket', UServer, USocket],
  ]) {
    test(`come before listeners for 'connect' that are younger than the write: ${name}`, async (t) => {
      const path = await listen(t, new Server((socket) => socket.resume()));
      const client = cleanUp(t, new Socket());
      const order = [];
      const note = (what) => order.push(`${what} ${client.writableLength}`);
      client.on('connect', () => note('older')).connect(path);
      client.write('abc', () => note('callback'));
      client.on('connect', () => note('younger'));
      await until(() => order.length === 3, 'all of them');
      assert.deepEqual(order, ['older 3', 'callback 0', 'younger 0']);
    });
  }

  test("come behind a listener for 'connect' that throws, also that of end()", async (t) => {
    const name = temporaryPath(t, 'callbacks.sock');
    const result = await runScript(
      t,
      async ({ USocket, UServer }, path) => {
        const { once } = require('node:events');
        const errors = [];
        process.on('uncaughtException', ({ message }) => errors.push(message));
        const server = new UServer((socket) => socket.resume()).listen(path);
        const calls = [];
        const connect = async (use) => {
          const client = new USocket().on('connect', () => {
            throw new Error('connect');
          });
          client.connect(path);
          use(client);
          await once(client, 'finish');
          client.destroy();
        };
        await connect((client) => {
          client.end((error) => calls.push(['end', error?.code]));
        });
        await connect((client) => {
          client.write('last', (error) => calls.push(['write', error?.code]));
          client.end((error) => calls.push(['end after write', error?.code]));
        });
        server.close();
        console.log(JSON.stringify({ calls, errors }));
      },
      [name],
    );
    assert.deepEqual(result.errors, ['connect', 'connect']);
    assert.deepEqual(result.calls, [
      ['end', null],
      ['write', null],
      ['end after write', null],
    ]);
  });

  test('have the AsyncLocalStorage of their call', async (t) => {
    const storage = new AsyncLocalStorage();
    const [one, two] = makePair(t);
    collect(t, two);
    const stores = [];
    const put = (name, ...args) => {
      storage.run(name, () => one.write(...args, () => stores.push([name, storage.getStore()])));
    };
    put('fast', 'x');
    put('alone', [0]);
    put('with', { data: 'x', fds: [0] });
    put('large', Buffer.alloc(1_000_000));
    put('queued', 'x');
    one.cork();
    put('corked', 'x');
    one.uncork();
    await until(() => stores.length === 6, 'all callbacks');
    for (const [name, store] of stores) assert.equal(store, name);
  });

  test('may destroy the socket, write or end', async (t) => {
    const [one, two] = makePair(t);
    const got = collect(t, two);
    await write(one, 'a');
    one.write('b', () => one.write('c', () => one.end('d')));
    await closing(two);
    assert.equal(String(got.bytes()), 'abcd');
    const [other] = makePair(t);
    const outcomes = new Outcomes();
    other.write(Buffer.alloc(10), () => other.destroy());
    other.write('x', outcomes.callback());
    other.write(Buffer.alloc(3_000_000), outcomes.callback());
    await closing(other);
    assert.deepEqual(outcomes.codes, [
      [0, undefined],
      [1, 'ERR_STREAM_DESTROYED'],
    ]);
  });

  test('run once where the Writable calls twice: of a write that fails, one corks and one ends', async (t) => {
    const server = startServer(t, {});
    server.on('connection', (socket) => socket.destroy());
    const client = makeSocket(t).connect(server.address());
    const events = eventsOf(client, ['error', 'close']);
    const outcomes = [];
    client.write('first', ({ code }) => {
      outcomes.push(`first ${code}`);
      client.cork();
    });
    client.write('second', ({ code }) => {
      outcomes.push(`second ${code}`);
      client.end();
    });
    await closing(client);
    await quiet();
    assert.deepEqual(outcomes, ['first EPIPE', 'second EPIPE']);
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });

  for (const [when, code, make] of [
    [
      'behind one that failed',
      'EPIPE',
      (t) => {
        const [one, two] = makePair(t);
        two.destroy();
        return one;
      },
    ],
    ['without a connection', 'ERR_SOCKET_CLOSED', (t) => makeSocket(t)],
  ]) {
    test(`run once where one that is written ${when} uncorks, in its context`, async (t) => {
      const socket = make(t);
      const events = eventsOf(socket, ['error', 'close']);
      const outcomes = [];
      const storage = new AsyncLocalStorage();
      const note = (name, error) => outcomes.push([name, error.code, storage.getStore()]);
      storage.run('outer', () => {
        socket.write('x', (error) => {
          note('first', error);
          storage.run('inner', () => {
            socket.write('', (again) => {
              note('second', again);
              socket.uncork();
            });
          });
        });
      });
      socket.cork();
      await closing(socket);
      await quiet();
      assert.deepEqual(outcomes, [
        ['first', code, 'outer'],
        ['second', code, 'inner'],
      ]);
      assert.equal(events[0], `error ${code}`);
      assert.match(events.slice(1).join(), /^close /);
    });
  }
});

test(
  "'close' comes behind all that the callbacks of what is not sent lead to",
  onLinux(),
  async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    const order = [];
    one.on('close', () => order.push('close')).on('error', () => {});
    // As a loop over the stream has it: a few ticks until it is at its end.
    const later = async () => {
      for (let count = 0; count < 10; count++) await tick();
      order.push('done');
    };
    while (one.writableLength === 0) one.write(Buffer.alloc(100_000));
    one.write('last', later);
    one.destroy();
    await closing(one);
    await until(() => order.length === 2, 'both');
    assert.deepEqual(order, ['done', 'close']);
  },
);
