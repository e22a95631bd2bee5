'use strict';

// Owns messages that have to wait: backpressure, closing with messages waiting, and receivers that
// stall, come back or die. For what waiting costs see dgram-stall.test.js.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const {
  WITHOUT_IO_URING,
  startReceiver,
  startScript,
  startStalled,
} = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { Outcomes, inbox, nextEvent, openPair, openSocket, turn } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** Milliseconds of processor time that a second with a stalled receiver may cost. */
const CPU_LIMIT = 200;

const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);
const names = (from, to) => numbers(from, to).map(String);

/** Sends numbered messages from `from` to `to`, with callbacks; returns the last result. */
function sendNumbers(socket, path, from, to, outcomes) {
  let result;
  for (const number of numbers(from, to)) {
    const callback = outcomes.callback();
    result =
      path === null
        ? socket.send(`${number}`, callback)
        : socket.sendTo(`${number}`, path, callback);
  }
  return result;
}

describe('backpressure', () => {
  test("is false at writableHighWaterMark, then 'drain' when half of it is gone", async (t) => {
    const [one, two] = openPair(t, { sendBufferSize: 1, writableHighWaterMark: 1000 });
    assert.equal(one.writableHighWaterMark, 1000);
    assert.equal(one.writableLength, 0);
    // Until the kernel takes no more.
    let direct = 0;
    while (one.writableLength === 0) {
      assert.equal(one.send(Buffer.alloc(100)), true);
      direct++;
    }
    for (let length = 200; length < 1000; length += 100) {
      assert.equal(one.send(Buffer.alloc(100)), true);
      assert.equal(one.writableLength, length);
      assert.equal(one.writableNeedDrain, false);
    }
    assert.equal(one.send(Buffer.alloc(100)), false);
    assert.equal(one.send(''), false);
    assert.equal(one.send(Buffer.alloc(1)), false);
    assert.equal(one.writableLength, 1001);
    assert.equal(one.writableNeedDrain, true);
    let drains = 0;
    one.on('drain', () => {
      drains++;
      assert.ok(one.writableLength <= 500, `${one.writableLength} bytes wait`);
      assert.equal(one.writableNeedDrain, false);
    });
    const messages = inbox(two);
    assert.equal((await messages.take(direct + 11)).length, direct + 11);
    await until(() => one.writableLength === 0, 'the queue to be empty');
    await turn();
    assert.equal(drains, 1);
  });

  test('is true while the kernel takes everything', async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    assert.equal(one.writableHighWaterMark, 65_536);
    assert.equal(one.send(Buffer.alloc(100_000)), true);
    assert.equal(one.writableLength, 0);
    assert.equal((await messages.next()).data.length, 100_000);
  });

  test("is false with writableHighWaterMark 0, and 'drain' follows each time", async (t) => {
    const [one, two] = openPair(t, { writableHighWaterMark: 0 });
    const messages = inbox(two);
    for (let count = 0; count < 3; count++) {
      assert.equal(one.send('x'), false);
      await nextEvent(one, 'drain');
      assert.equal(String((await messages.next()).data), 'x');
    }
  });

  test("'drain' lets a producer send without end and little memory", async (t) => {
    const [one, two] = openPair(t, { writableHighWaterMark: 10_000 });
    const messages = inbox(two);
    let most = 0;
    for (let number = 0; number < 3000; number++) {
      if (!one.send(Buffer.alloc(1000, number))) await nextEvent(one, 'drain');
      most = Math.max(most, one.writableLength);
    }
    assert.ok(most > 0 && most <= 11_000, `${most} bytes waited`);
    const received = await messages.take(3000);
    assert.ok(received.every(({ data }, number) => data[0] === number % 256));
  });

  // A loop that never ends would be a hang: nothing is reported within it.
  const sendWhileItMay = (send) => {
    let sent = 1;
    while (send() && sent < 100_000) sent++;
    assert.ok(sent < 100_000, 'it may go on for ever');
    return sent;
  };

  test('is false after many outcomes that nobody could hear of yet', async (t) => {
    const socket = openSocket(t);
    const nobody = temporaryPath(t);
    const codes = new Set();
    let reported = 0;
    socket.on('error', ({ code }) => (reported++, codes.add(code)));
    for (let round = 0; round < 2; round++) {
      reported = 0;
      const sent = sendWhileItMay(() => socket.sendTo('x', nobody));
      assert.equal(sent, 4096);
      assert.equal(socket.writableNeedDrain, false);
      let before;
      socket.once('drain', () => (before = reported));
      await until(() => before !== undefined, "'drain'");
      assert.equal(before, sent);
    }
    assert.deepEqual([...codes], ['ENOENT']);
    // With callbacks, and nothing that fails.
    const path = temporaryPath(t);
    const receiver = openSocket(t).bind(path);
    let received = 0;
    receiver.on('data', () => received++);
    let called = 0;
    const sent = sendWhileItMay(() => socket.sendTo('', path, () => called++));
    await nextEvent(socket, 'drain');
    await until(() => called === sent && received === sent, 'all to arrive');
  });

  test('is false with many messages waiting, however small', async (t) => {
    const [one, two] = openPair(t);
    const sent = sendWhileItMay(() => one.send(''));
    assert.equal(one.writableLength, 0);
    assert.equal(one.writableNeedDrain, true);
    const messages = inbox(two);
    await nextEvent(one, 'drain');
    assert.equal((await messages.take(sent)).length, sent);
    const [other] = openPair(t);
    sendWhileItMay(() => other.send('x'));
    assert.equal(other.writableLength, 4096);
  });

  test('ends with ECANCELED where the peer has no name and is given up', async (t) => {
    for (const how of ['disconnect', 'connect']) {
      const [one, two] = openPair(t, { sendBufferSize: 1, writableHighWaterMark: 10 });
      const received = inbox(two);
      const other = openSocket(t).bind(temporaryPath(t));
      const outcomes = new Outcomes();
      assert.equal(sendNumbers(one, null, 0, 100, outcomes), false);
      if (how === 'disconnect') one.disconnect();
      else one.connect(other.address());
      assert.equal(one.writableLength, 0);
      await nextEvent(one, 'drain');
      await outcomes.settled();
      const sent = outcomes.codes.findIndex(([, code]) => code !== undefined);
      assert.ok(sent > 0, 'none was sent');
      assert.deepEqual(
        outcomes.codes,
        numbers(0, 100).map((number) => [number, number < sent ? undefined : 'ECANCELED']),
      );
      const texts = (await received.take(sent)).map(({ data }) => String(data));
      assert.deepEqual(texts, names(0, sent));
    }
  });
});

describe('close with messages waiting', () => {
  test('is ECANCELED for each, in order, then close', async (t) => {
    const [one] = openPair(t, { sendBufferSize: 1 });
    one.on('error', (error) => assert.fail(error));
    const outcomes = new Outcomes();
    sendNumbers(one, null, 0, 50, outcomes);
    // These have no callback and nobody hears of them.
    one.send('x');
    one.send('x');
    sendNumbers(one, null, 0, 50, outcomes);
    one.close(() => outcomes.codes.push('close'));
    assert.equal(one.writableLength, 0);
    assert.equal(outcomes.codes.length, 0);
    await outcomes.settled(101);
    const sent = outcomes.codes.findIndex(([, code]) => code === 'ECANCELED');
    assert.deepEqual(outcomes.codes, [
      ...numbers(0, 100).map((number) => [number, number < sent ? undefined : 'ECANCELED']),
      'close',
    ]);
    for (const error of outcomes.errors) {
      assert.equal(error.syscall, 'sendmsg');
      assert.ok(error.errno < 0);
    }
  });

  test('may happen in the callback of one of them', async (t) => {
    const [one, two] = openPair(t, { sendBufferSize: 1 });
    const outcomes = new Outcomes();
    sendNumbers(one, null, 0, 40, outcomes);
    const last = outcomes.callback();
    one.send('x', (error) => {
      last(error);
      one.close(() => outcomes.codes.push('close'));
    });
    sendNumbers(one, null, 0, 40, outcomes);
    two.on('data', () => {});
    await outcomes.settled(82);
    assert.deepEqual(outcomes.codes.slice(0, 41), Outcomes.all(41));
    assert.deepEqual(outcomes.codes.at(-1), 'close');
    assert.deepEqual(
      outcomes.codes.slice(41, 81).map(([number]) => number),
      numbers(41, 81),
    );
    assert.equal(outcomes.codes[80][1], 'ECANCELED');
  });
});

describe('a stalled receiver', onLinux({}), () => {
  test('delays no other destination', async (t) => {
    const stalled = await startStalled(t, temporaryPath(t));
    const path = temporaryPath(t);
    const messages = inbox(openSocket(t).bind(path));
    const socket = openSocket(t);
    const [late, prompt] = [new Outcomes(), new Outcomes()];
    for (const number of numbers(0, 300)) {
      sendNumbers(socket, stalled.name, number, number + 1, late);
      sendNumbers(socket, path, number, number + 1, prompt);
    }
    const texts = (await messages.take(300)).map(({ data }) => String(data));
    assert.deepEqual(texts, names(0, 300));
    assert.deepEqual(await prompt.settled(), Outcomes.all(300));
    const { length } = late.codes;
    assert.ok(length < 50, `${length} messages went to a receiver that does not read`);
    stalled.resume();
    assert.deepEqual(await stalled.texts(300), names(0, 300));
    assert.deepEqual(await late.settled(), Outcomes.all(300));
  });

  for (const connected of [false, true]) {
    const way = connected ? 'connected' : 'unconnected';
    test(`that comes back gets everything in order (${way})`, async (t) => {
      const receiver = await startStalled(t, temporaryPath(t));
      const socket = openSocket(t);
      if (connected) socket.connect(receiver.name);
      const path = connected ? null : receiver.name;
      const outcomes = new Outcomes();
      sendNumbers(socket, path, 0, 500, outcomes);
      receiver.resume();
      assert.deepEqual(await receiver.texts(250), names(0, 250));
      await receiver.stop();
      sendNumbers(socket, path, 500, 1000, outcomes);
      receiver.resume();
      assert.deepEqual(await receiver.texts(750), names(250, 1000));
      assert.deepEqual(await outcomes.settled(), Outcomes.all(1000));
    });

    test(`that dies is ECONNREFUSED for what waits, in order (${way})`, async (t) => {
      const [victim, other] = await Promise.all([
        startStalled(t, temporaryPath(t)),
        startStalled(t, temporaryPath(t)),
      ]);
      const socket = openSocket(t);
      if (connected) socket.connect(victim.name);
      const [refused, served] = [new Outcomes(), new Outcomes()];
      sendNumbers(socket, connected ? null : victim.name, 0, 1000, refused);
      sendNumbers(socket, other.name, 0, 1000, served);
      await victim.kill();
      await refused.settled();
      const sent = refused.codes.findIndex(([, code]) => code !== undefined);
      assert.ok(sent > 0 && sent < 50, `${sent} went to a receiver that does not read`);
      const [first, ...rest] = refused.codes.slice(sent).map(([, code]) => code);
      assert.equal(first, 'ECONNREFUSED');
      // A connected socket has no peer any more after that.
      const code = connected ? 'ENOTCONN' : 'ECONNREFUSED';
      assert.ok(rest.every((each) => each === 'ECONNREFUSED' || each === code));
      assert.deepEqual(
        refused.codes.map(([number]) => number),
        numbers(0, 1000),
      );
      other.resume();
      assert.deepEqual(await other.texts(1000), names(0, 1000));
      assert.deepEqual(await served.settled(), Outcomes.all(1000));
    });
  }

  test('that dies: callbacks stay in order although they send again', async (t) => {
    const victim = await startStalled(t, temporaryPath(t));
    const socket = openSocket(t);
    const outcomes = new Outcomes();
    const resend = (left) => {
      const callback = outcomes.callback();
      socket.sendTo('x', victim.name, (error) => {
        callback(error);
        if (error && left > 0) resend(left - 1);
      });
    };
    for (let count = 0; count < 600; count++) resend(count % 100 === 50 ? 2 : 0);
    await victim.kill();
    await outcomes.settled(600 + 12);
    assert.deepEqual(
      outcomes.codes.map(([number]) => number),
      numbers(0, 612),
    );
  });

  test('gets what was sent before we connect to another', async (t) => {
    const [first, second] = await Promise.all([
      startStalled(t, temporaryPath(t)),
      startStalled(t, temporaryPath(t)),
    ]);
    const socket = openSocket(t).connect(first.name);
    const outcomes = new Outcomes();
    sendNumbers(socket, null, 0, 100, outcomes);
    socket.connect(second.name);
    sendNumbers(socket, null, 100, 200, outcomes);
    socket.disconnect();
    sendNumbers(socket, first.name, 200, 250, outcomes);
    second.resume();
    assert.deepEqual(await second.texts(100), names(100, 200));
    first.resume();
    assert.deepEqual(await first.texts(150), [...names(0, 100), ...names(200, 250)]);
    const codes = await outcomes.settled();
    codes.sort(([one], [two]) => one - two);
    assert.deepEqual(codes, Outcomes.all(250));
  });

  test('of three senders gets the messages of each in order', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const outcomes = new Outcomes();
    const senders = ['a', 'b', 'c'].map((name) => ({ name, socket: openSocket(t) }));
    for (const number of numbers(0, 300)) {
      for (const { name, socket } of senders) {
        socket.sendTo(`${name}${number}`, receiver.name, outcomes.callback());
      }
    }
    receiver.resume();
    const received = await receiver.texts(900);
    for (const { name } of senders) {
      assert.deepEqual(
        received.filter((text) => text.startsWith(name)),
        numbers(0, 300).map((number) => `${name}${number}`),
      );
    }
    assert.equal((await outcomes.settled()).filter(([, code]) => code !== undefined).length, 0);
  });

  test('gets large messages whole, unless their memory was given away', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const socket = openSocket(t);
    for (let count = 0; count < 20; count++) socket.sendTo('', receiver.name);
    assert.equal(socket.writableLength, 0);
    const sent = numbers(0, 6).map((number) => randomBytes(20_000 + number));
    const shrinking = new Uint8Array(new ArrayBuffer(5000, { maxByteLength: 5000 }));
    sent.push(shrinking, Buffer.from('last'));
    const outcomes = new Outcomes();
    for (const data of sent) socket.sendTo(data, receiver.name, outcomes.callback());
    assert.equal(socket.writableLength, 6 * 20_000 + 15 + 5000 + 4);
    // Bytes are taken when they are sent; of memory that is gone nothing can be.
    structuredClone(sent[2], { transfer: [sent[2].buffer] });
    shrinking.buffer.resize(10);
    sent[3].fill(7);
    receiver.resume();
    const expected = [20_000, 20_001, 20_003, 20_004, 20_005, 4];
    const received = await receiver.take(26);
    assert.deepEqual(
      received.slice(20).map(({ size }) => size),
      expected,
    );
    const codes = await outcomes.settled();
    assert.deepEqual(
      codes.map(([number]) => number),
      numbers(0, 8),
    );
    assert.deepEqual(
      codes.filter(([, code]) => code !== undefined),
      [
        [2, 'EFAULT'],
        [6, 'EFAULT'],
      ],
    );
  });

  test('may fill our whole send buffer: others go on as it reads', async (t) => {
    const [first, second, prompt] = await Promise.all([
      startStalled(t, temporaryPath(t)),
      startStalled(t, temporaryPath(t)),
      startReceiver(t, temporaryPath(t)),
    ]);
    const socket = openSocket(t);
    const outcomes = new Outcomes();
    const large = Buffer.alloc(100_000, 'x');
    socket.sendTo(large, second.name, outcomes.callback());
    for (let count = 0; count < 5; count++) {
      socket.sendTo(large, first.name, outcomes.callback());
    }
    sendNumbers(socket, prompt.name, 0, 100, outcomes);
    await turn();
    // Two or three large ones fill the buffer.
    assert.ok(outcomes.codes.length < 4, `${outcomes.codes.length} messages were sent`);
    first.resume();
    assert.deepEqual(await prompt.texts(100), names(0, 100));
    const sizes = (await first.take(5)).map(({ size }) => size);
    assert.deepEqual(sizes, Array(5).fill(100_000));
    await outcomes.settled();
    assert.ok(outcomes.codes.every(([, code]) => code === undefined));
    second.resume();
    assert.equal((await second.next()).size, 100_000);
  });

  test('that is connected to us gets everything', async (t) => {
    const here = temporaryPath(t);
    const socket = openSocket(t).bind(here);
    const receiver = await startStalled(t, temporaryPath(t), here);
    const outcomes = new Outcomes();
    sendNumbers(socket, receiver.name, 0, 1500, outcomes);
    assert.ok(socket.writableLength > 0, 'none waits');
    receiver.resume();
    assert.deepEqual(await receiver.texts(1500), names(0, 1500));
    assert.deepEqual(await outcomes.settled(), Outcomes.all(1500));
  });

  const unlessRoot = { skip: process.getuid() !== 0 && 'only root can change its user' };
  test('of descriptors: too many in flight for a user only delays', unlessRoot, async (t) => {
    const receiver = await startStalled(t, abstractName());
    const sender = startScript(
      t,
      ({ DgramSocket }, name) => {
        const fds = Array(30).fill(require('node:fs').openSync('/dev/null'));
        // A user nobody else is: they share the limit. ETOOMANYREFS spares the privileged.
        process.setgid(100_000 + process.pid);
        process.setuid(100_000 + process.pid);
        const socket = new DgramSocket();
        const codes = [];
        for (let number = 0; number < 6; number++) {
          socket.sendTo(`${number}`, name, { fds }, (error) => codes.push(error?.code ?? 'sent'));
        }
        const before = process.cpuUsage();
        setTimeout(() => {
          const { user, system } = process.cpuUsage(before);
          console.log(JSON.stringify({ sent: codes.length, cpu: (user + system) / 1000 }));
        }, 300);
        process.on('exit', () => console.log(JSON.stringify(codes)));
      },
      [receiver.name],
      { ...WITHOUT_IO_URING, openFiles: 100 },
    );
    // The fifth would be beyond 100 descriptors; the receiver's queue would hold eleven messages.
    const { sent, cpu } = JSON.parse(await sender.lines.next());
    assert.equal(sent, 4);
    assert.ok(cpu <= CPU_LIMIT, `${cpu} ms of processor time`);
    receiver.resume();
    const received = await receiver.take(6);
    assert.deepEqual(
      received.map(({ text, files }) => [text, files.length]),
      names(0, 6).map((text) => [text, 30]),
    );
    assert.equal(await sender.lines.next(), JSON.stringify(Array(6).fill('sent')));
  });
});
