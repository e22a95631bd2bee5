'use strict';

// Owns the end of a burst: messages that the kernel gave together are emitted one by one, and none any more
// once the handler of one has closed the socket.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, createSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { openPair, openSocket } = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** As many as are surely received by one call to the kernel, once bursts are what it expects. */
const BURST = 8;
/**
 * So many bursts before, of various sizes, and it does: every so many wake-ups it is tried whether more than
 * one message waits, and bursts of one size can just miss that each time.
 */
const BURSTS = 50;

/** Name → two sockets, what the second emits, and how the first sends. */
const KINDS = {
  DgramSocket(t) {
    const [one, two] = openPair(t);
    return { receiver: two, event: 'data', send: (text) => one.send(text), close: 'close' };
  },
  SeqpacketSocket(t) {
    const [one, two] = SeqpacketSocket.pair();
    for (const end of [one, two]) cleanUp(t, end).on('error', () => {});
    return { receiver: two, event: 'data', send: (text) => one.write(text), close: 'destroy' };
  },
  "createSocket('unix_dgram')"(t) {
    const path = temporaryPath(t);
    const receiver = createSocket('unix_dgram');
    t.after(() => receiver.close());
    receiver.bind(path);
    const sender = openSocket(t);
    const send = (text) => sender.sendTo(text, path);
    return { receiver, event: 'message', send, close: 'close' };
  },
};

for (const [name, make] of Object.entries(KINDS)) {
  describe(name, onLinux(), () => {
    for (const at of [1, 3]) {
      test(`closed in message ${at} of a burst: it is the last`, async (t) => {
        const { receiver, event, send, close } = make(t);
        let received = 0;
        let closesAt = Infinity;
        const texts = [];
        receiver.on(event, (data) => {
          received++;
          if (closesAt !== Infinity) texts.push(String(data));
          if (received === closesAt) receiver[close]();
        });
        for (let burst = 0, sent = 0; burst < BURSTS; burst++) {
          for (let number = 0; number < BURST - (burst % 4); number++, sent++) send('x');
          await until(() => received === sent, 'a burst');
        }
        closesAt = received + at;
        for (let number = 1; number <= BURST; number++) send(`${number}`);
        await until(() => received >= closesAt, 'the last burst');
        await quiet();
        const expected = Array.from({ length: at }, (_, index) => `${index + 1}`);
        assert.deepEqual(texts, expected);
      });
    }
  });
}

test('DgramSocket: closed in the handler of another listener', onLinux(), async (t) => {
  const [one, two] = DgramSocket.pair();
  for (const end of [one, two]) t.after(() => end.close());
  const seen = [];
  two.on('data', () => two.close());
  // Emitters call all listeners of an event; there is no second event.
  two.on('data', (data) => seen.push(String(data)));
  for (let number = 0; number < BURST; number++) one.send(`${number}`);
  await until(() => seen.length > 0, 'a message');
  await quiet();
  assert.deepEqual(seen, ['0']);
});
