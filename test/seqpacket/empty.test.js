'use strict';

// Owns what distinguishes an empty message from the end, which are both no bytes: every message arrives, the end once,
// and nothing that was not sent, however messages, ends and reads meet.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, connectedPair, makePair } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { randomFrom } = require('../torture/lib/random.js');

assertNoLeaks();

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** How a message is read: each collects what it gets into `texts`. */
const READERS = {
  "by 'data'": (socket, texts) => socket.on('data', (message) => texts.push(String(message))),
  "by 'readable'": (socket, texts) =>
    socket.on('readable', () => {
      for (let message; (message = socket.read()) !== null;) texts.push(String(message));
    }),
  'with pauses': (socket, texts) =>
    socket.on('data', (message) => {
      texts.push(String(message));
      socket.pause();
      setImmediate(() => socket.resume());
    }),
};

describe('an empty message and the end', onLinux(), () => {
  for (const [what, read] of Object.entries(READERS)) {
    test(`are distinguished in any order of messages, turns and ends, read ${what}`, async (t) => {
      const random = randomFrom(7);
      const below = (count) => Math.floor(random() * count);
      for (let round = 0; round < 200; round++) {
        const [one, two] = makePair(t, { allowHalfOpen: below(2) === 0 });
        const received = [];
        read(two, received);
        const closed = closing(two);
        const ended = nextEvent(two, 'end');
        const sent = [];
        for (let count = below(8); count > 0; count--) {
          const text = below(2) === 0 ? '' : `message ${count}`;
          sent.push(text);
          one.write(text);
          if (below(2) === 0) await turn();
        }
        if (below(2) === 0) one.end();
        else one.destroy();
        await ended;
        two.end();
        one.resume();
        await closed;
        assert.deepEqual(received, sent, `round ${round}`);
      }
    });
  }

  for (const options of [
    {},
    { receiveFds: true },
    { credentials: true },
    { pidfd: true },
    { receiveFds: true, credentials: true, pidfd: true },
  ]) {
    test(`are distinguished with ${JSON.stringify(options)}, of a pair and both sides of a connection`, async (t) => {
      const sent = ['', 'a', '', ''];
      const { client, socket } = await connectedPair(t, options);
      for (const [from, to] of [makePair(t, options), [client, socket], [socket, client]]) {
        const received = [];
        to.on('data', (message) => received.push(String(message)));
        const ended = nextEvent(to, 'end');
        to.allowHalfOpen = true;
        for (const text of sent) from.write(text);
        from.end();
        await ended;
        assert.deepEqual(received, sent);
      }
    });
  }

  test('are distinguished where each message is sent, and the end, while the one before is read', async (t) => {
    // A socket learns that it is worth to look again, and then does it at every wake-up.
    for (let count = 30; count <= 60; count++) {
      const [one, two] = makePair(t);
      let left = count;
      let received = 0;
      two.on('data', () => {
        received++;
        if (--left === 0) one.destroy();
        else if (left % 10 === 0) setImmediate(() => one.write('next'));
        else one.write('next');
      });
      const closed = closing(two);
      await turn();
      one.write('first');
      await closed;
      assert.equal(received, count);
    }
  });

  test('are distinguished where a message was taken after the poll that announced it', async (t) => {
    const [first, starter] = makePair(t);
    const [second, peer] = makePair(t);
    const received = [];
    let hasFailed;
    const failed = new Promise((resolve) => (hasFailed = resolve));
    second.on('readable', () => {});
    second.on('error', hasFailed);
    // The loop polls both sockets at once; this handler is the first.
    first.on('data', () => {
      peer.destroy();
      // Which takes what the peer has sent.
      second.write('nobody is there', () => {
        setImmediate(() => {
          for (let message; (message = second.read()) !== null;) received.push(String(message));
        });
      });
    });
    await turn();
    starter.write('go');
    peer.write('the only one');
    assert.match((await failed).code, /^(EPIPE|ECONNRESET)$/);
    assert.deepEqual(received, ['the only one']);
  });
});
