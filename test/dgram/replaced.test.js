'use strict';

// Owns a receiver whose name another socket takes while messages wait, and while it lives on.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startReceiver, startStalled } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { Outcomes, openSocket, sendTo } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { delay } = require('../helpers/wait.js');

assertNoLeaks();

/** Longer than a stalled receiver is believed in, in milliseconds. */
const PATIENCE = 150;

const numbers = (from, count) => Array.from({ length: count }, (_, index) => `${from + index}`);

describe('a stalled receiver whose name another socket takes', onLinux({}), () => {
  /** Fills a stalled receiver; what the kernel did not take waits. */
  async function setUp(t) {
    const old = await startStalled(t, temporaryPath(t));
    const sender = openSocket(t);
    const outcomes = new Outcomes();
    for (const text of numbers(0, 20)) sender.sendTo(text, old.name, outcomes.callback());
    await delay(PATIENCE);
    const sent = outcomes.codes.length;
    assert.ok(sent > 0 && sent < 20, `${sent} were sent`);
    return { old, sender, outcomes, sent };
  }

  test('leaves what waits to it at the next send, and the old one keeps its own', async (t) => {
    const { old, sender, outcomes, sent } = await setUp(t);
    fs.unlinkSync(old.name);
    const receiver = await startReceiver(t, old.name);
    sender.sendTo('20', old.name, outcomes.callback());
    assert.deepEqual(await receiver.texts(21 - sent), numbers(sent, 21 - sent));
    assert.deepEqual(await outcomes.settled(), Outcomes.all(21, undefined));
    old.resume();
    assert.deepEqual(await old.texts(sent), numbers(0, sent));
    await sendTo(sender, 'last', old.name);
    assert.deepEqual(await receiver.texts(1), ['last']);
  });

  test('also if the new one is full: what waits follows as it reads', async (t) => {
    const { old, sender, outcomes, sent } = await setUp(t);
    fs.unlinkSync(old.name);
    const receiver = await startStalled(t, old.name);
    for (const text of numbers(20, 40)) sender.sendTo(text, old.name, outcomes.callback());
    await delay(PATIENCE);
    assert.ok(outcomes.codes.length > sent && outcomes.codes.length < 60);
    receiver.resume();
    assert.deepEqual(await receiver.texts(60 - sent), numbers(sent, 60 - sent));
    assert.deepEqual(await outcomes.settled(), Outcomes.all(60, undefined));
  });

  test('or whose file is removed: what waits fails with ENOENT at the next send', async (t) => {
    const { old, sender, outcomes, sent } = await setUp(t);
    fs.unlinkSync(old.name);
    sender.sendTo('20', old.name, outcomes.callback());
    const codes = await outcomes.settled();
    assert.deepEqual(codes.slice(sent), Outcomes.all(21, 'ENOENT').slice(sent));
  });

  test('or that only stalls: what waits stays, however much more is sent', async (t) => {
    const { old, sender, outcomes, sent } = await setUp(t);
    for (const text of numbers(20, 5)) {
      sender.sendTo(text, old.name, outcomes.callback());
      await delay(PATIENCE);
    }
    assert.equal(outcomes.codes.length, sent);
    old.resume();
    assert.deepEqual(await old.texts(25), numbers(0, 25));
    assert.deepEqual(await outcomes.settled(), Outcomes.all(25, undefined));
  });
});
