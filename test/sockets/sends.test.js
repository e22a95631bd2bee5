'use strict';

// Owns what becomes of sends in odd moments: descriptors that are closed already, sockets that are closed in a send's
// callback, a process whose socket is unreferenced.

const assert = require('node:assert/strict');
const { createHook } = require('node:async_hooks');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, UServer, USocket } = require('../../lib');
const posix = require('../../posix.js');
const { closeQuietly } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { closed, nextEvent, openSocket } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const KINDS = { DgramSocket, SeqpacketSocket, USocket };

describe('a closed descriptor in a message that has to wait', onLinux({}), () => {
  for (const [name, Class] of Object.entries(KINDS)) {
    test(`is EBADF, and no duplicate takes its number: ${name}`, async (t) => {
      const [one, two] = Class.pair({ receiveFds: true });
      for (const end of [one, two]) {
        if (Class === DgramSocket) t.after(() => end.close());
        else cleanUp(t, end);
      }
      const received = [];
      const isDatagram = Class === DgramSocket;
      const send = (message, callback) =>
        isDatagram ? one.send(message, callback) : one.write(message, callback);
      // Until something waits.
      let waits = false;
      for (let count = 0; count < 2000 && !waits; count++) {
        send(Buffer.alloc(10_000), () => {});
        waits = one.writableLength > 0;
      }
      assert.ok(waits);
      const [good, bad, other] = ['/etc/hostname', '/etc/passwd', '/dev/null'].map((file) =>
        fs.openSync(file),
      );
      t.after(() => [good, other].forEach(closeQuietly));
      fs.closeSync(bad);
      let code;
      const note = (error) => (code = error?.code ?? 'sent');
      one.on('error', note);
      try {
        send({ data: 'with', fds: [good, bad, other] }, note);
      } catch (error) {
        note(error);
      }
      two.on('fds', (fds) => received.push(...fds));
      two.on('data', (data, _path, extra) => received.push(...((extra ?? data).fds ?? [])));
      await until(() => code !== undefined, 'the outcome');
      assert.equal(code, 'EBADF');
      await quiet();
      assert.deepEqual(received, []);
    });
  }
});

/** Two connected sockets that are closed when the test ends, and how the first sends. */
function makePair(t, Class) {
  const [one, two] = Class.pair();
  const isDgram = Class === DgramSocket;
  for (const end of [one, two]) {
    if (isDgram) t.after(() => end.close());
    else cleanUp(t, end);
  }
  return { one, two, send: (isDgram ? one.send : one.write).bind(one) };
}

describe('a send that fails at once', onLinux({}), () => {
  for (const [name, Class] of Object.entries({ DgramSocket, SeqpacketSocket })) {
    test(`is reported behind those that wait: ${name}`, async (t) => {
      const { one, two, send } = makePair(t, Class);
      const outcomes = [];
      let count = 0;
      const callback = () => {
        const number = count++;
        return (error) => outcomes.push(error ? [number, error.code] : [number]);
      };
      while (one.writableLength < 20_000) send(Buffer.alloc(10_000), callback());
      const failing = count;
      send({ data: 'x', fds: [999_999] }, callback());
      send('behind it', callback());
      two.on('data', () => {});
      await until(() => outcomes.length === count, 'the callbacks');
      const expected = Array.from({ length: count }, (_, number) =>
        number === failing ? [number, 'EBADF'] : [number],
      );
      assert.deepEqual(outcomes, expected);
    });
  }
});

describe('a send without a callback that fails among others', onLinux({}), () => {
  for (const [name, Class] of Object.entries({ DgramSocket, SeqpacketSocket })) {
    test(`has its own outcome: ${name}`, async (t) => {
      const { one, two, send } = makePair(t, Class);
      const order = [];
      one.on('error', ({ code }) => order.push(code));
      while (one.writableLength < 20_000) send(Buffer.alloc(10_000));
      send({ data: 'x', fds: [999_999] });
      send('behind it');
      send('the last', () => order.push('sent'));
      two.on('data', () => {});
      await until(() => order.length === 2, 'the outcomes');
      await quiet();
      assert.deepEqual(order, ['EBADF', 'sent']);
    });
  }
});

test(
  'sends without a callback that wait for one who goes: an error for each',
  onLinux({}),
  async (t) => {
    const name = abstractName();
    const receiver = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM, 0);
    posix.bind(receiver, { sun_family: posix.AF_UNIX, sun_path: name });
    const sender = new DgramSocket();
    t.after(() => sender.close());
    const errors = [];
    sender.on('error', ({ code, path }) => errors.push([code, path]));
    while (sender.writableLength === 0) sender.sendTo('fills it', name, () => {});
    for (let count = 0; count < 3; count++) sender.sendTo('waits', name);
    posix.close(receiver);
    await until(() => errors.length === 3, 'the errors');
    await quiet();
    assert.deepEqual(errors, Array(3).fill(['ECONNREFUSED', name]));
  },
);

describe('close() in the callback of a send', onLinux({}), () => {
  test('reports as sent what the kernel took', async () => {
    for (let round = 0; round < 5; round++) {
      const name = abstractName();
      const receiver = new DgramSocket().bind(name);
      const sender = new DgramSocket();
      const got = [];
      const outcomes = [];
      for (let number = 0; number < 60; number++) {
        sender.sendTo(`${number}`, name, (error) => {
          outcomes[number] = error?.code ?? 'sent';
          // In the midst of a batch.
          if (number === 14 + round) sender.close();
        });
      }
      receiver.on('data', (data) => got.push(Number(data)));
      await until(() => outcomes.filter(Boolean).length === 60, 'the callbacks');
      await quiet(20);
      const sent = outcomes.flatMap((code, number) => (code === 'sent' ? [number] : []));
      assert.deepEqual(got, sent);
      await closed(receiver);
    }
  });
});

test(
  "the async resource of a send's callback is destroyed once, after it ran",
  onLinux({}),
  async () => {
    const order = [];
    const hook = createHook({
      init(id, type) {
        if (type === 'AFUNIXSENDREQ') order.push(`init ${id}`);
      },
      destroy(id) {
        if (order.includes(`init ${id}`)) order.push(`destroy ${id}`);
      },
    }).enable();
    const [one, two] = DgramSocket.pair();
    await new Promise((done) => one.send('x', () => done(order.push('callback'))));
    await until(() => order.length >= 3, 'the end of the resource');
    // What the collector finds is not destroyed again.
    for (let round = 0; round < 5; round++) {
      globalThis.gc();
      await quiet();
    }
    hook.disable();
    const [, id] = order[0].split(' ');
    assert.deepEqual(order, [`init ${id}`, 'callback', `destroy ${id}`]);
    await Promise.all([closed(one), closed(two)]);
  },
);

describe('destroy() with sends that wait', onLinux(), () => {
  for (const [name, Class, fill] of [
    ['SeqpacketSocket', SeqpacketSocket, (one, note) => one.write(Buffer.alloc(10_000), note)],
    ['USocket, descriptors without bytes', USocket, (one, note) => one.write([0], note)],
  ]) {
    test(`their callbacks come before 'close': ${name}`, async (t) => {
      const [one, two] = Class.pair();
      for (const end of [one, two]) cleanUp(t, end).on('error', () => {});
      const order = [];
      for (let count = 0; count < 50; count++) {
        fill(one, (error) => order.push(error ? 'failed' : 'sent'));
      }
      one.on('close', () => order.push('close'));
      await quiet(1);
      one.destroy();
      await nextEvent(one, 'close');
      await quiet();
      assert.equal(order.length, 51);
      assert.equal(order.at(-2), 'failed');
      assert.equal(order.at(-1), 'close');
    });
  }
});

describe('a send without a peer', onLinux({}), () => {
  test('is ENOTCONN at once, though the send buffer is full', async (t) => {
    const stalled = abstractName();
    const receiver = openSocket(t).bind(stalled);
    const sender = openSocket(t);
    for (let count = 0; count < 40; count++) sender.sendTo(Buffer.alloc(30_000), stalled, () => {});
    const code = await new Promise((done) => sender.send('x', (error) => done(error?.code)));
    assert.equal(code, 'ENOTCONN');
    await Promise.all([closed(sender), closed(receiver)]);
  });
});

test(
  'bytes that wait in an unreferenced USocket keep the process until they are sent',
  onLinux({}),
  async (t) => {
    const script = async ({ USocket }, name) => {
      const client = new USocket(name);
      await require('node:events').once(client, 'connect');
      client.unref();
      client.write(Buffer.alloc(1_000_000), () => console.log(JSON.stringify('called back')));
    };
    let length = 0;
    const server = new UServer((socket) => {
      // A slow reader.
      cleanUp(t, socket).on('data', (data) => {
        length += data.length;
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      });
    }).listen(abstractName());
    await nextEvent(server, 'listening');
    assert.equal(await runScript(t, script, [server.address()]), 'called back');
    await until(() => length === 1_000_000, 'all bytes');
    await closed(server);
  },
);
