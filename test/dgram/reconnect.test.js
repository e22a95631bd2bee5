'use strict';

// Owns connected datagram sockets whose receiver is closed and comes back under its name.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startStalled } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { Outcomes, closed, inbox, nextEvent, openSocket } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

/** The code of a send's outcome, undefined for success. */
const outcome = (socket, message) =>
  within(new Promise((done) => socket.send(message, (error) => done(error?.code))), 'a callback');

describe('a receiver that is restarted', onLinux(), () => {
  for (const [what, makeName] of [
    ['a file', temporaryPath],
    ['an abstract name', abstractName],
  ]) {
    for (const whenFull of ['wait', 'fail']) {
      test(`at ${what}, whenFull ${whenFull}: one error, then the next send finds it`, async (t) => {
        const name = makeName(t);
        const sender = openSocket(t, { whenFull }).on('error', () => assert.fail('an event'));
        let receiver = openSocket(t).bind(name);
        sender.connect(name);
        for (let round = 0; round < 3; round++) {
          const messages = inbox(receiver);
          assert.equal(await outcome(sender, `message ${round}`), undefined);
          assert.equal(String((await messages.next()).data), `message ${round}`);
          await closed(receiver);
          receiver = openSocket(t).bind(name);
          assert.equal(await outcome(sender, 'into the void'), 'ECONNREFUSED');
        }
        assert.equal(sender.remoteAddress, undefined);
        assert.equal(await outcome(sender, 'found again'), undefined);
        assert.equal(sender.remoteAddress, name);
        assert.equal(sender.dropped, 0);
      });
    }
  }

  test('while nobody has the name each send fails, and says so', async (t) => {
    const name = temporaryPath(t);
    const sender = openSocket(t);
    const receiver = openSocket(t).bind(name);
    sender.connect(name);
    await closed(receiver);
    assert.equal(await outcome(sender, 'x'), 'ECONNREFUSED');
    for (let round = 0; round < 3; round++) {
      const failure = await within(new Promise((done) => sender.send('x', done)), 'a callback');
      assert.deepEqual([failure.code, failure.syscall, failure.path], ['ENOENT', 'connect', name]);
    }
    const failing = nextEvent(sender, 'error');
    sender.send('x');
    assert.equal((await failing)[0].code, 'ENOENT');
    const messages = inbox(openSocket(t).bind(name));
    assert.equal(await outcome(sender, 'at last'), undefined);
    assert.equal(String((await messages.next()).data), 'at last');
  });

  test('what waits for one that is killed fails, and what follows finds the next', async (t) => {
    const name = temporaryPath(t);
    const stalled = await startStalled(t, name);
    const sender = openSocket(t).connect(name);
    const outcomes = new Outcomes();
    while (sender.writableLength < 3) sender.send('x', outcomes.callback());
    await stalled.kill();
    const codes = (await outcomes.settled()).map(([, code]) => code);
    assert.match(codes.at(-1), /^E(CONNREFUSED|CONNRESET|NOTCONN)$/);
    const messages = inbox(openSocket(t).bind(name));
    let code;
    // At most one more error is due: the one that the kernel has kept.
    for (let attempt = 0; attempt < 2; attempt++) {
      code = await outcome(sender, 'found');
      if (code === undefined) break;
    }
    assert.equal(code, undefined);
    assert.equal(String((await messages.next()).data), 'found');
  });

  test('all that waits for one that is killed fails alike, though another has its name by then', async (t) => {
    const name = temporaryPath(t);
    const stalled = await startStalled(t, name);
    const sender = openSocket(t).connect(name);
    const outcomes = new Outcomes();
    let made = 0;
    for (; sender.writableLength < 300; made++) sender.send('x', outcomes.callback());
    // More than one wake-up sends, which the kernel refuses once.
    fs.unlinkSync(name);
    const messages = inbox(openSocket(t).bind(name));
    await stalled.kill();
    const codes = (await outcomes.settled(made)).map(([, code]) => code);
    const failed = codes.slice(codes.indexOf('ECONNREFUSED'));
    assert.ok(failed.length >= 300, `${failed.length} failed`);
    assert.deepEqual([...new Set(failed)], ['ECONNREFUSED']);
    assert.equal(await outcome(sender, 'found'), undefined);
    assert.equal(String((await messages.next()).data), 'found');
  });

  test("another destination that refuses says nothing of the peer, which lives although its name is another's", async (t) => {
    const name = temporaryPath(t);
    const other = temporaryPath(t);
    const sender = openSocket(t);
    const peer = openSocket(t).bind(name);
    const messages = inbox(peer);
    sender.connect(name);
    fs.writeFileSync(other, 'no socket');
    fs.unlinkSync(name);
    openSocket(t).bind(name);
    const refused = new Promise((done) => sender.sendTo('x', other, (error) => done(error?.code)));
    assert.equal(await within(refused, 'a callback'), 'ECONNREFUSED');
    assert.equal(await outcome(sender, 'to the peer'), undefined);
    assert.equal(String((await messages.next()).data), 'to the peer');
  });

  for (const [what, begin] of [
    ['another destination', (sender, other, done) => sender.sendTo('x', other, done)],
    [
      'the peer of before',
      (sender, other, done) => {
        if (sender.remoteAddress === undefined) sender.connect(other);
        sender.send('x', done);
      },
    ],
  ]) {
    test(`what waits for ${what} fails, which says nothing of the peer`, async (t) => {
      const [name, other] = [temporaryPath(t), temporaryPath(t)];
      const stalled = await startStalled(t, other);
      const sender = openSocket(t);
      const outcomes = new Outcomes();
      let made = 0;
      for (; sender.writableLength < 3; made++) begin(sender, other, outcomes.callback());
      const messages = inbox(openSocket(t).bind(name));
      sender.connect(name);
      // The peer lives, although its name is another's.
      fs.unlinkSync(name);
      openSocket(t).bind(name);
      await stalled.kill();
      const codes = (await outcomes.settled(made)).map(([, code]) => code);
      assert.equal(codes.at(-1), 'ECONNREFUSED');
      assert.equal(await outcome(sender, 'to the peer'), undefined);
      assert.equal(String((await messages.next()).data), 'to the peer');
    });
  }

  test('disconnect() forgets it', async (t) => {
    const name = temporaryPath(t);
    const sender = openSocket(t);
    const receiver = openSocket(t).bind(name);
    sender.connect(name);
    await closed(receiver);
    assert.equal(await outcome(sender, 'x'), 'ECONNREFUSED');
    sender.disconnect();
    openSocket(t).bind(name);
    assert.match(await outcome(sender, 'x'), /^E(NOTCONN|DESTADDRREQ)$/);
    assert.equal(sender.remoteAddress, undefined);
  });
});
