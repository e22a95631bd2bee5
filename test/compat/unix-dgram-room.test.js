'use strict';

// Owns what a socket of createSocket('unix_dgram') does where there is no room for a message, or no
// receiver any more: congestion of a connected one, waiting of any other, recovery, and its cost.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const fs = require('node:fs');
const { constants } = require('node:os');
const { describe, test } = require('node:test');
const { createSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startReceiver, startScript, startStalled } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { Outcomes, nextEvent, openSocket, turn } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { EAGAIN, ECANCELED, ECONNREFUSED, ENOENT, ENOTCONN } = constants.errno;

/** A socket that is closed when the test ends; connected to `peer` if that is given. */
function open(t, peer) {
  const socket = createSocket('unix_dgram');
  t.after(() => socket.close());
  if (peer !== undefined) socket.connect(peer);
  return socket;
}

/** Sends until something else than success is reported; returns how often it was that, and the error. */
function fill(sendOne) {
  let failure;
  for (let count = 0; ; count++) {
    sendOne((error) => (failure = error));
    if (failure) return { count, error: failure };
  }
}

const range = (from, count) => Array.from({ length: count }, (_, index) => `${from + index}`);

describe('a connected socket whose peer is full', onLinux({}), () => {
  test('reports to the callback, and later that there is room, once', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t, receiver.name);
    client.on('congestion', () => assert.fail('there is a callback'));
    let writable = 0;
    client.on('writable', () => writable++);
    const { count, error } = fill((callback) => client.send('x', callback));
    assert.ok(count > 0);
    assert.ok(error instanceof Error);
    assert.deepEqual([error.code, error.errno, error.message], [1, undefined, 'congestion']);
    client.send('x', (again) => assert.equal(again.code, 1));
    await turn();
    assert.equal(writable, 0);
    const room = nextEvent(client, 'writable');
    receiver.resume();
    await room;
    assert.equal((await receiver.texts(count)).length, count);
    client.send('after', (later) => assert.ifError(later));
    // Nothing that was refused arrives.
    assert.deepEqual(await receiver.texts(1), ['after']);
    assert.equal(writable, 1);
  });

  test("emits 'congestion' with the Buffer where there is no callback", async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t, receiver.name);
    const refused = [];
    client.on('congestion', (buffer) => refused.push(buffer));
    const buffers = range(0, 50).map((text) => Buffer.from(text));
    for (const buffer of buffers) client.send(buffer);
    assert.ok(refused.length > 0 && refused.length < 50);
    assert.deepEqual(refused, buffers.slice(-refused.length));
    // The way that package's documentation shows: what was refused is sent again.
    client.on('writable', () => {
      for (const buffer of refused.splice(0)) client.send(buffer);
    });
    receiver.resume();
    // Room may come while the handler runs: then a later one finds it.
    const texts = await receiver.texts(50);
    assert.deepEqual(
      texts
        .map(Number)
        .sort((a, b) => a - b)
        .map(String),
      range(0, 50),
    );
    assert.equal(refused.length, 0);
  });

  test('says that it is writable when the peer goes away', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t, receiver.name);
    fill((callback) => client.send('x', callback));
    const room = nextEvent(client, 'writable');
    await receiver.kill();
    await room;
    let code;
    client.send('x', (error) => (code = error.code));
    assert.equal(code, -ECONNREFUSED);
  });

  test("may be closed in 'congestion', 'writable' and the callback", async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const first = open(t, receiver.name);
    first.on('congestion', () => first.close());
    while (first.fd >= 0) first.send('x');
    const second = open(t, receiver.name);
    fill((callback) => second.send('x', callback));
    second.on('writable', () => second.close());
    const third = open(t, receiver.name);
    third.on('writable', () => assert.fail('it is closed'));
    third.send('x', (error) => {
      assert.equal(error.code, 1);
      third.close();
    });
    receiver.resume();
    await until(() => second.fd === -1, "'writable'");
    await turn();
  });

  test('hears of an exception in a handler, and goes on', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const program = startScript(
      t,
      ({ createSocket }, name) => {
        process.on('uncaughtException', ({ message }) => console.log(message));
        const client = createSocket('unix_dgram');
        client.connect(name);
        const fill = () => {
          let isFull = false;
          while (!isFull) client.send('x', (error) => (isFull = error?.code === 1));
        };
        let count = 0;
        client.on('writable', () => {
          if (++count === 2) client.close();
          else fill();
          throw new Error(`writable ${count}`);
        });
        fill();
        console.log('full');
      },
      [receiver.name],
    );
    assert.equal(await program.lines.next(), 'full');
    receiver.resume();
    assert.equal(await program.lines.next(), 'writable 1');
    assert.equal(await program.lines.next(), 'writable 2');
    assert.equal((await program.ended()).code, 0);
  });

  test('costs no processor time', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const program = startScript(
      t,
      async ({ createSocket }, name) => {
        const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
        const client = createSocket('unix_dgram');
        client.connect(name);
        let writable = 0;
        client.on('writable', () => writable++);
        for (let count = 0; count < 50; count++) client.send('x');
        for (let count = 0; count < 50; count++) client.send('x', 0, 1, name, () => {});
        await pause(200);
        const before = process.cpuUsage();
        await pause(1000);
        const { user, system } = process.cpuUsage(before);
        console.log(JSON.stringify({ cpu: (user + system) / 1000, writable }));
        client.close();
      },
      [receiver.name],
    );
    const { cpu, writable } = JSON.parse(await program.lines.next());
    assert.equal(writable, 0);
    assert.ok(cpu <= 200, `${cpu} ms of processor time in a second`);
    assert.equal((await program.ended()).code, 0);
  });
});

describe('a connected socket whose peer died', onLinux({}), () => {
  test('says so, and finds the one that takes its place', async (t) => {
    const name = temporaryPath(t);
    const first = await startReceiver(t, name);
    const client = open(t, name);
    const codes = [];
    const send = (text) => client.send(text, (error) => codes.push(error?.code));
    let writable = 0;
    client.on('writable', () => writable++);
    client.on('connect', () => assert.fail('it was said before'));
    send('0');
    assert.deepEqual(await first.texts(1), ['0']);
    await first.kill();
    for (const text of ['1', '2']) send(text);
    fs.unlinkSync(name);
    send('3');
    assert.equal(client.connected, true);
    const second = await startReceiver(t, name);
    for (const text of ['4', '5']) send(text);
    assert.deepEqual(codes, [undefined, -ECONNREFUSED, -ENOTCONN, -ENOTCONN, undefined, undefined]);
    assert.deepEqual(await second.texts(2), ['4', '5']);
    // What was kept may be sent again now.
    assert.equal(writable, 1);
  });

  test('and whose place is taken already says so all the same', async (t) => {
    const name = temporaryPath(t);
    const first = await startReceiver(t, name);
    const client = open(t, name);
    await first.kill();
    const second = await startReceiver(t, name);
    const outcomes = new Outcomes();
    for (const text of ['1', '2']) client.send(text, outcomes.callback());
    assert.deepEqual(outcomes.codes, [
      [0, -ECONNREFUSED],
      [1, undefined],
    ]);
    assert.deepEqual(await second.texts(1), ['2']);
  });

  test('is not taken to another place', async (t) => {
    const [name, other] = [temporaryPath(t), temporaryPath(t)];
    const first = await startReceiver(t, name);
    const client = open(t, name);
    await first.kill();
    const codes = [];
    for (let count = 0; count < 3; count++) client.send('x', (error) => codes.push(error.code));
    assert.deepEqual(codes, [-ECONNREFUSED, -ENOTCONN, -ENOTCONN]);
    const second = await startReceiver(t, other);
    client.connect(other);
    client.send('y', (error) => assert.ifError(error));
    assert.deepEqual(await second.texts(1), ['y']);
  });
});

describe('a message to a path whose receiver is full', onLinux({}), () => {
  test('waits, in order, and its Buffer may be used again at once', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const other = await startReceiver(t, temporaryPath(t));
    const client = open(t);
    client.on('congestion', () => assert.fail('it is not connected'));
    const outcomes = new Outcomes();
    const buffer = Buffer.alloc(4000);
    for (let count = 0; count < 50; count++) {
      buffer.fill(0).write(`${count} `);
      client.send(buffer, 0, count % 2 ? 4000 : 3, receiver.name, outcomes.callback());
    }
    buffer.fill('x');
    const direct = outcomes.codes.length;
    assert.ok(direct > 0 && direct < 50, `${direct} were sent`);
    client.send('other', 0, 5, other.name);
    assert.deepEqual(await other.texts(1), ['other']);
    receiver.resume();
    assert.deepEqual(await outcomes.settled(), Outcomes.all(50, undefined));
    const { createHash } = require('node:crypto');
    const expected = range(0, 50).map((text, count) => {
      const data = buffer.fill(0).subarray(0, count % 2 ? 4000 : 3);
      data.write(`${text} `);
      return createHash('sha256').update(data).digest('hex');
    });
    assert.deepEqual(
      (await receiver.take(50)).map(({ digest }) => digest),
      expected,
    );
  });

  test('is refused with EAGAIN once a megabyte waits', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t);
    const outcomes = new Outcomes();
    let refused;
    const data = Buffer.alloc(10_000);
    const sendOne = (callback) => client.send(data, 0, data.length, receiver.name, callback);
    for (let count = 0; refused === undefined; count++) {
      assert.ok(count < 200);
      const callback = outcomes.callback();
      sendOne((error) => {
        if (error) refused = error;
        else callback();
      });
    }
    assert.deepEqual([refused.code, refused.errno, refused.syscall], [-EAGAIN, -EAGAIN, 'send']);
    client.once('error', (error) => assert.equal(error.code, -EAGAIN));
    sendOne();
    receiver.resume();
    await outcomes.settled(99);
    await receiver.take(outcomes.codes.length);
    sendOne((error) => assert.ifError(error));
    assert.equal((await receiver.next()).size, 10_000);
  });

  test('fails when the receiver goes away, each once', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t);
    const outcomes = new Outcomes();
    const errors = [];
    client.on('error', (error) => errors.push([error.code, error.syscall, error.path]));
    for (let count = 0; count < 20; count++) {
      client.send('x', 0, 1, receiver.name, outcomes.callback());
    }
    client.send('x', 0, 1, receiver.name);
    const sent = outcomes.codes.length;
    await receiver.kill();
    const codes = await outcomes.settled();
    await until(() => errors.length > 0, "'error'");
    assert.deepEqual(codes.slice(0, sent), Outcomes.all(sent, undefined));
    for (const [, code] of codes.slice(sent)) assert.ok([-ECONNREFUSED, -ENOENT].includes(code));
    assert.deepEqual(errors, [[codes.at(-1)[1], 'send', receiver.name]]);
  });

  test('fails with ECANCELED when its socket is closed', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t);
    const outcomes = new Outcomes();
    for (let count = 0; count < 20; count++) {
      client.send('x', 0, 1, receiver.name, outcomes.callback());
    }
    const sent = outcomes.codes.length;
    client.send('x', 0, 1, receiver.name);
    client.close();
    const failed = nextEvent(client, 'error');
    assert.equal(outcomes.codes.length, sent);
    const codes = await outcomes.settled();
    assert.deepEqual(codes.slice(sent), Outcomes.all(20, -ECANCELED).slice(sent));
    assert.equal((await failed)[0].code, -ECANCELED);
  });

  test('goes quietly when its socket is closed, if nobody listens', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t);
    const outcomes = [];
    for (let number = 0; number < 20; number++) client.send('x', 0, 1, receiver.name);
    // One that is reported shows that there is something to be quiet about: an 'error' would be uncaught.
    client.send('x', 0, 1, receiver.name, (error) => outcomes.push(error.errno));
    client.close();
    await turn();
    assert.deepEqual(outcomes, [-ECANCELED]);
  });

  test('may close its socket in its callback', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t);
    const codes = [];
    for (let count = 0; count < 20; count++) {
      client.send('x', 0, 1, receiver.name, (error) => {
        codes.push([count, error?.code]);
        if (count === 15) client.close();
      });
    }
    receiver.resume();
    await until(() => codes.length === 20, '20 callbacks');
    // The kernel may have had some of the others by then.
    const sent = codes.filter(([, code]) => code === undefined).length;
    assert.ok(sent >= 16, `${sent} sent`);
    assert.deepEqual(codes, [
      ...Outcomes.all(sent, undefined),
      ...Outcomes.all(20, -ECANCELED).slice(sent),
    ]);
    assert.equal((await receiver.take(sent)).length, sent);
  });

  test('calls back with the store of the call', async (t) => {
    const storage = new AsyncLocalStorage();
    const receiver = await startStalled(t, temporaryPath(t));
    const client = open(t);
    const stores = [];
    for (let count = 0; count < 20; count++) {
      storage.run(count, () => {
        client.send('x', 0, 1, receiver.name, () => stores.push(storage.getStore()));
      });
    }
    receiver.resume();
    await until(() => stores.length === 20, '20 callbacks');
    assert.deepEqual(
      stores,
      stores.map((_, index) => index),
    );
  });

  test('keeps the process alive until it is sent', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const program = startScript(
      t,
      ({ createSocket }, name) => {
        const client = createSocket('unix_dgram');
        for (let count = 0; count < 20; count++) client.send(`${count}`, 0, 1, name);
        console.log('sent');
      },
      [receiver.name],
    );
    assert.equal(await program.lines.next(), 'sent');
    receiver.resume();
    assert.equal((await receiver.take(20)).length, 20);
    assert.equal((await program.ended()).code, 0);
  });
});

test('what waits for others does not hold up a connected socket', onLinux({}), async (t) => {
  const stalled = await startStalled(t, temporaryPath(t));
  const peer = openSocket(t).bind(temporaryPath(t));
  const client = open(t);
  for (let count = 0; count < 30; count++) client.send('x', 0, 1, stalled.name);
  client.connect(peer.address());
  const received = nextEvent(peer, 'data');
  client.send('hello', (error) => assert.ifError(error));
  assert.equal(String((await received)[0]), 'hello');
  stalled.resume();
  assert.equal((await stalled.take(30)).length, 30);
});
