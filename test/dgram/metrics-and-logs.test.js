'use strict';

// Owns the clients of examples/dogstatsd.js and examples/syslog.js against what befalls those they send to: absent,
// stalled, restarted. They count what is lost, and neither grow nor throw.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startReceiver, startStalled } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { closed, inbox, openSocket } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

const example = (name) => require(path.join(__dirname, '..', '..', 'examples', name));

assertNoLeaks();

describe('metrics', onLinux(), () => {
  const { Metrics } = example('dogstatsd.js');

  /** Sends so many metrics, and waits until it is known what became of them. */
  async function sendAll(metrics, count) {
    const before = metrics.sent + metrics.dropped;
    for (let index = 0; index < count; index++) metrics.count('requests', 1, ['page:home']);
    metrics.flush();
    await until(() => metrics.sent + metrics.dropped === before + count, 'every metric');
  }

  test('an agent that is absent costs metrics, and so does a path that is no socket', async (t) => {
    for (const address of [temporaryPath(t), '/', `${__filename}/x`, __filename]) {
      const metrics = new Metrics(address);
      await sendAll(metrics, 5000);
      assert.deepEqual([metrics.sent, metrics.dropped], [0, 5000], address);
      await metrics.close();
      // Nobody throws at those who have not heard of it.
      metrics.gauge('late', 1);
      metrics.flush();
      assert.equal(metrics.dropped, 5001);
    }
  });

  test('of a stalled agent’s metrics as many are kept as the kernel has room for', async (t) => {
    const agent = await startStalled(t, temporaryPath(t));
    const metrics = new Metrics(agent.name);
    await sendAll(metrics, 100_000);
    const { sent } = metrics;
    assert.ok(sent > 0 && sent < 20_000, `${sent} sent`);
    // None waits anywhere else: it reads on, and gets exactly these.
    agent.resume();
    for (let left = sent; left > 0;) {
      const { size } = await agent.next();
      left -= Math.round(size / 'requests:1|c|#page:home\n'.length);
      assert.ok(left >= 0);
    }
    await sendAll(metrics, 1);
    assert.equal(metrics.sent, sent + 1);
    await metrics.close();
  });

  test('a restarted agent is found by the next metric', async (t) => {
    const address = temporaryPath(t);
    const metrics = new Metrics(address);
    const first = await startReceiver(t, address);
    await sendAll(metrics, 1);
    assert.equal((await first.next()).text, 'requests:1|c|#page:home');
    await first.kill();
    await sendAll(metrics, 3);
    assert.deepEqual([metrics.sent, metrics.dropped], [1, 3]);
    const second = await startReceiver(t, address);
    await sendAll(metrics, 1);
    assert.equal((await second.next()).text, 'requests:1|c|#page:home');
    assert.deepEqual([metrics.sent, metrics.dropped], [2, 3]);
    await metrics.close();
  });
});

describe('the system log', onLinux(), () => {
  const { Syslog } = example('syslog.js');
  const numberOf = ({ text, data }) => Number(/line (\d+)$/.exec(text ?? String(data))[1]);
  const logAll = (log, count) => {
    for (let number = 0; number < count; number++) log.info(`line ${number}`);
  };

  test('without a daemon the newest lines are kept, and logged when it comes', async (t) => {
    const address = temporaryPath(t);
    const log = new Syslog({ path: address, keep: 50 });
    logAll(log, 1000);
    assert.ok(log.waiting <= 50);
    const lines = inbox(openSocket(t).bind(address));
    const numbers = (await lines.take(50)).map(numberOf);
    assert.deepEqual(
      numbers,
      Array.from({ length: 50 }, (_, index) => 950 + index),
    );
    assert.equal(log.dropped, 950);
    await log.close();
    assert.equal(log.dropped, 950);
    // Nobody throws at those who have not heard of it.
    log.err('late');
    assert.equal(log.dropped, 951);
  });

  test('a stalled daemon holds nobody up, and gets the newest lines when it goes on', async (t) => {
    const daemon = await startStalled(t, temporaryPath(t));
    const log = new Syslog({ path: daemon.name, keep: 20 });
    logAll(log, 10_000);
    await until(() => log.waiting === 20, 'the kernel to be full');
    const inKernel = 10_000 - log.dropped - log.waiting;
    assert.ok(inKernel > 0 && inKernel < 1000, `${inKernel} in the kernel`);
    daemon.resume();
    const numbers = (await daemon.take(inKernel + 20)).map(numberOf);
    assert.deepEqual(
      numbers.toSorted((one, other) => one - other),
      numbers,
      'in order',
    );
    assert.equal(numbers.at(-1), 9999);
    await log.close();
  });

  test('a restarted daemon misses nothing', async (t) => {
    const address = temporaryPath(t);
    const log = new Syslog({ path: address });
    const first = openSocket(t).bind(address);
    const before = inbox(first);
    logAll(log, 1);
    await before.next();
    await closed(first);
    logAll(log, 100);
    const lines = inbox(openSocket(t).bind(address));
    assert.deepEqual(
      (await lines.take(100)).map(numberOf),
      Array.from({ length: 100 }, (_, index) => index),
    );
    await log.close();
    assert.equal(log.dropped, 0);
  });

  test('a line that is too long costs itself alone', async (t) => {
    const address = temporaryPath(t);
    const log = new Syslog({ path: address });
    const lines = inbox(openSocket(t).bind(address));
    log.info('x'.repeat(1 << 20));
    log.info('line 7');
    assert.equal(numberOf(await lines.next()), 7);
    assert.equal(log.dropped, 1);
    await log.close();
  });
});
