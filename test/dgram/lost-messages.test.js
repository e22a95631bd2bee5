'use strict';

// Owns messages of a DgramSocket that lost their way, because their peer has no name and the socket has left it:
// they are ECANCELED, and after that nothing of them is left, neither in the event loop nor in the count of what waits.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { closeFd } = require('../../lib');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { openPair, Outcomes } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

describe('messages that lost their way', onLinux(), () => {
  test('are ECANCELED, in order, and count no more', async (t) => {
    const [one] = openPair(t);
    const outcomes = new Outcomes();
    let made = 0;
    // The other end reads nothing within this turn.
    for (; one.writableLength < 100; made++) one.send('0123456789', outcomes.callback());
    one.disconnect();
    assert.equal(one.writableLength, 0);
    const codes = await outcomes.settled(made);
    const sent = made - 10;
    assert.deepEqual(
      codes,
      Array.from({ length: made }, (_, number) => [
        number,
        number < sent ? undefined : 'ECANCELED',
      ]),
    );
    await assertIdle('a socket whose messages were lost');
  });

  test('let the process end', async (t) => {
    const result = await runScript(t, ({ DgramSocket }) => {
      const [one, two] = DgramSocket.pair();
      const codes = [];
      while (one.writableLength < 100) one.send('0123456789', (error) => codes.push(error?.code));
      // The other end is open, and waits for nothing.
      two.unref();
      one.disconnect();
      // It receives nothing now, so what keeps the process could only be what waited.
      process.once('beforeExit', () => {
        const lost = codes.filter((code) => code === 'ECANCELED').length;
        console.log(JSON.stringify([lost, one.writableLength, one.fd >= 0]));
      });
    });
    assert.deepEqual(result, [10, 0, true]);
  });

  test('do not hold up later ones, to anybody', async (t) => {
    const result = await runScript(
      t,
      ({ DgramSocket }, path) => {
        const [one, two] = DgramSocket.pair();
        two.unref();
        let lost = 0;
        while (one.writableLength < 100) {
          one.send('0123456789', (error) => (lost += error?.code === 'ECANCELED'));
        }
        const other = new DgramSocket().bind(path);
        one.connect(path);
        one.disconnect();
        let received = 0;
        other.on('data', () => ++received === 50 && other.close());
        for (let number = 0; number < 50; number++) one.sendTo('x', path);
        process.once('beforeExit', () =>
          console.log(JSON.stringify([lost, received, one.fd >= 0])),
        );
      },
      [temporaryPath(t)],
    );
    assert.deepEqual(result, [10, 50, true]);
  });

  test('do not keep the socket from being given up', async (t) => {
    const [one] = openPair(t);
    const outcomes = new Outcomes();
    while (one.writableLength < 100) one.send('0123456789', outcomes.callback());
    // What waits belongs to the socket.
    assert.throws(() => one.detach(), { code: 'EBUSY' });
    one.disconnect();
    await outcomes.settled();
    const { fd } = one.detach();
    assert.equal(one.fd, -1);
    closeFd(fd);
  });
});
