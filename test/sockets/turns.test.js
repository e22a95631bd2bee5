'use strict';

// Owns what a handler of one socket changes of another: it holds from the end of the turn on, however often it changes.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

describe("a handler changes another's", onLinux({}), () => {
  for (const Socket of [SeqpacketSocket, USocket]) {
    const makePair = (t) => Socket.pair().map((socket) => cleanUp(t, socket));

    /** Runs `change(number)` in turns of another socket, one a turn. */
    async function inTurnsOf([driver, driven], count, change) {
      for (let number = 1; number <= count; number++) {
        const changed = new Promise((resolve) => {
          driven.once('data', () => {
            change(number);
            setImmediate(resolve);
          });
        });
        driver.write('go');
        await within(changed, `turn ${number}`);
      }
    }

    test(`${Socket.name}: reading, which goes on and pauses again and again`, async (t) => {
      const [one, two] = makePair(t);
      const received = [];
      two.on('data', (data) => received.push(String(data)));
      await inTurnsOf(makePair(t), 8, (number) => {
        if (number % 2 === 1) two.pause();
        else two.resume();
        one.write(String(number));
      });
      while (received.join('') !== '12345678') {
        await within(new Promise((resolve) => two.once('data', resolve)), 'the rest');
      }
    });

    test(`${Socket.name}: sending, which waits for room again and again`, async (t) => {
      const [one, two] = makePair(t);
      two.resume();
      const sends = [];
      await inTurnsOf(makePair(t), 4, () => {
        const sent = new Promise((resolve, reject) => {
          const done = (error) => (error ? reject(error) : resolve());
          for (let count = 0; count < 20; count++) one.write(Buffer.alloc(64 * 1024));
          assert.ok(one.writableLength > 0);
          one.write('last', done);
        });
        sends.push(sent);
      });
      await within(Promise.all(sends), 'all that is sent');
    });
  }
});
