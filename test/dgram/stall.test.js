'use strict';

// Owns the processor time that waiting for a stalled receiver costs: none to speak of. Each sender
// is a process of its own, so that nothing else is measured.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript, startStalled } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** Milliseconds of processor time that a second with a stalled receiver may cost. */
const CPU_LIMIT = 200;

describe('a second with a stalled receiver', onLinux({ concurrency: 3 }), () => {
  /**
   * Binds, says so and waits for its standard input to end. Then sends, measures what a second of
   * waiting costs, prints that, and at last all outcomes.
   */
  async function sendAndMeasure({ DgramSocket }, { bind, connect, to, count, size }) {
    const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
    const socket = new DgramSocket();
    if (bind) socket.bind(bind);
    console.log('"bound"');
    await require('node:events').once(process.stdin.resume(), 'end');
    if (connect) socket.connect(connect);
    const codes = [];
    const data = Buffer.alloc(size, 'x');
    const callback = (error) => codes.push(error?.code ?? 'sent');
    for (let number = 0; number < count; number++) {
      for (const path of to) socket.sendTo(data, path, callback);
      if (connect) socket.send(data, callback);
    }
    await pause(200);
    const sent = codes.length;
    const before = process.cpuUsage();
    await pause(1000);
    const { user, system } = process.cpuUsage(before);
    console.log(JSON.stringify({ cpu: (user + system) / 1000, sent, more: codes.length - sent }));
    while (codes.length < count * (to.length + (connect ? 1 : 0))) await pause(10);
    console.log(JSON.stringify([...new Set(codes)]));
    socket.close();
  }

  async function startSender(t, options) {
    const defaults = { to: [], count: 1000, size: 10 };
    const sender = startScript(t, sendAndMeasure, [{ ...defaults, ...options }]);
    await sender.lines.next('the sender to bind');
    return sender;
  }

  /** Lets the sender send and checks what the second costs; returns how many messages were sent. */
  async function assertCheap(t, sender) {
    sender.end();
    const { cpu, sent, more } = JSON.parse(await sender.lines.next());
    t.diagnostic(`${cpu} ms of processor time`);
    assert.equal(more, 0, 'the receiver is not stalled');
    assert.ok(cpu <= CPU_LIMIT, `${cpu} ms of processor time in a second`);
    return sent;
  }

  const assertAllSent = async (sender) => assert.equal(await sender.lines.next(), '["sent"]');

  test('costs nothing', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const sender = await startSender(t, { to: [receiver.name] });
    const sent = await assertCheap(t, sender);
    assert.ok(sent < 50, `${sent} messages went to a receiver that does not read`);
    receiver.resume();
    await receiver.take(1000);
    await assertAllSent(sender);
  });

  test('costs nothing when connected', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const sender = await startSender(t, { connect: receiver.name });
    await assertCheap(t, sender);
    receiver.resume();
    await receiver.take(1000);
    await assertAllSent(sender);
  });

  test('costs nothing with many of them, connected to one', async (t) => {
    const receivers = await Promise.all([1, 2, 3, 4].map(() => startStalled(t, temporaryPath(t))));
    const [peer, ...others] = receivers.map(({ name }) => name);
    const sender = await startSender(t, { connect: peer, to: others, count: 250 });
    await assertCheap(t, sender);
    for (const receiver of receivers) receiver.resume();
    for (const receiver of receivers) await receiver.take(250);
    await assertAllSent(sender);
  });

  test('costs nothing when the receiver is connected to us', async (t) => {
    const [here, there] = [temporaryPath(t), temporaryPath(t)];
    const sender = await startSender(t, { bind: here, to: [there] });
    const receiver = await startStalled(t, there, here);
    const sent = await assertCheap(t, sender);
    // Its queue has no limit for us, our send buffer has.
    assert.ok(sent > 50 && sent < 1000, `${sent} messages were sent`);
    receiver.resume();
    await receiver.take(1000);
    await assertAllSent(sender);
  });

  test('costs nothing with a full send buffer', async (t) => {
    const receivers = await Promise.all([1, 2, 3].map(() => startStalled(t, temporaryPath(t))));
    const to = receivers.map(({ name }) => name);
    const sender = await startSender(t, { to, count: 20, size: 100_000 });
    const sent = await assertCheap(t, sender);
    assert.ok(sent <= 5, `${sent} messages of 100,000 bytes were sent`);
    for (const receiver of receivers) receiver.resume();
    for (const receiver of receivers) await receiver.take(20);
    await assertAllSent(sender);
  });

  test('costs nothing, and no descriptors, with a full send buffer and many of them', async (t) => {
    const COUNT = 500;
    const folder = temporaryFolder(t);
    const receivers = startScript(
      t,
      ({ DgramSocket }, folder, count) => {
        let received = 0;
        for (let number = 0; number < count; number++) {
          let next = 0;
          new DgramSocket().bind(`${folder}/${number}`).on('data', (data) => {
            if (Number(data) !== next++) console.log(`"${data} instead of ${next - 1}"`);
            if (++received === 10 * count) console.log('"all"');
          });
        }
        console.log('"bound"');
      },
      [folder, COUNT],
    );
    await receivers.lines.next();
    receivers.kill('SIGSTOP');
    const sender = startScript(
      t,
      async ({ DgramSocket }, folder, count) => {
        const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
        const socket = new DgramSocket();
        let sent = 0;
        for (let number = 0; number < 10; number++) {
          for (let to = 0; to < count; to++) {
            socket.sendTo(String(number), `${folder}/${to}`, (error) => (sent += error ? NaN : 1));
          }
        }
        await pause(200);
        const before = process.cpuUsage();
        await pause(1000);
        const { user, system } = process.cpuUsage(before);
        const fds = require('node:fs').readdirSync('/proc/self/fd').length;
        console.log(JSON.stringify({ cpu: (user + system) / 1000, sent, fds }));
        while (sent < 10 * count) await pause(10);
        socket.close();
        console.log(sent);
      },
      [folder, COUNT],
    );
    const { cpu, sent, fds } = JSON.parse(await sender.lines.next());
    t.diagnostic(`${cpu} ms of processor time, ${fds} descriptors`);
    assert.ok(sent > 0 && sent < 10 * COUNT, `${sent} were sent`);
    assert.ok(cpu <= CPU_LIMIT, `${cpu} ms of processor time in a second`);
    assert.ok(fds < 60, `${fds} descriptors`);
    receivers.kill('SIGCONT');
    assert.equal(await receivers.lines.next(), '"all"');
    assert.equal(await sender.lines.next(), String(10 * COUNT));
    receivers.kill();
  });

  test('costs nothing after another took the place of one that was full', async (t) => {
    const path = temporaryPath(t);
    const first = await startStalled(t, path);
    const sender = startScript(
      t,
      async ({ DgramSocket }, to) => {
        const { once } = require('node:events');
        const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
        const socket = new DgramSocket();
        let settled = 0;
        const send = () => {
          for (let number = 0; number < 50; number++) socket.sendTo('x', to, () => settled++);
        };
        send();
        await pause(50);
        console.log(settled);
        while (settled < 50) await pause(5);
        console.log(settled);
        await once(process.stdin.resume(), 'end');
        send();
        await pause(200);
        const before = process.cpuUsage();
        await pause(1000);
        const { user, system } = process.cpuUsage(before);
        console.log((user + system) / 1000);
        while (settled < 100) await pause(5);
        socket.close();
      },
      [path],
    );
    assert.equal(await sender.lines.next(), '11');
    first.resume();
    assert.equal(await sender.lines.next(), '50');
    await first.kill();
    const second = await startStalled(t, path);
    sender.end();
    const cpu = Number(await sender.lines.next());
    assert.ok(cpu <= CPU_LIMIT, `${cpu} ms of processor time in a second`);
    second.resume();
    assert.equal((await second.texts(50)).length, 50);
    assert.equal((await sender.ended()).code, 0);
  });
});
