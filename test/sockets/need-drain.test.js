'use strict';

// Owns writableNeedDrain where no 'drain' can come any more: after the end of the socket; and that none comes.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { closed, nextEvent } = require('../helpers/sockets.js');

assertNoLeaks();

for (const [name, Class] of Object.entries({ DgramSocket, SeqpacketSocket })) {
  test(`${name}: writableNeedDrain is false after close()`, onLinux(), async (t) => {
    const [one, two] = Class.pair({ writableHighWaterMark: 1000 });
    for (const end of [one, two]) t.after(() => end.close());
    two.on('error', () => {});
    one.on('error', () => {});
    if (Class === SeqpacketSocket) two.pause();
    const write = (message) => (Class === DgramSocket ? one.send(message) : one.write(message));
    // In one turn of the event loop: nobody reads.
    while (write(Buffer.alloc(500)));
    assert.equal(one.writableNeedDrain, true);
    assert.ok(one.writableLength > 0);
    let drains = 0;
    one.on('drain', () => drains++);
    const closing = closed(one);
    assert.equal(one.writableNeedDrain, false);
    assert.equal(one.writableLength, 0);
    await closing;
    await quiet();
    assert.equal(one.writableNeedDrain, false);
    assert.equal(drains, 0);
  });
}

describe('writableNeedDrain of a socket that is closed by its signal', onLinux(), () => {
  test('is false', async () => {
    const abort = new AbortController();
    const [one, two] = DgramSocket.pair({ writableHighWaterMark: 1000, signal: abort.signal });
    while (one.send(Buffer.alloc(500)));
    assert.equal(one.writableNeedDrain, true);
    abort.abort();
    assert.equal(one.writableNeedDrain, false);
    await Promise.all([closed(one), closed(two)]);
  });
});

describe("'drain' is not said", onLinux(), () => {
  for (const [name, Class] of Object.entries({ DgramSocket, SeqpacketSocket })) {
    test(`by a ${name} that the last callback has closed`, async (t) => {
      const [one, two] = Class.pair({ writableHighWaterMark: 1000 });
      for (const end of [one, two]) t.after(() => end.close());
      const events = [];
      one.on('drain', () => events.push('drain')).on('close', () => events.push('close'));
      const done = () => {
        if (one.writableLength === 0) one.close();
      };
      const write = (data) =>
        Class === DgramSocket ? one.send(data, done) : one.write(data, done);
      while (write(Buffer.alloc(500)));
      assert.equal(one.writableNeedDrain, true);
      const closing = nextEvent(one, 'close');
      two.on('data', () => {});
      await closing;
      await quiet();
      assert.deepEqual(events, ['close']);
    });
  }
});
