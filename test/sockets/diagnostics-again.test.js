'use strict';

// Owns what happens where a subscriber of `afunix.close` closes what is about to close: nothing twice.

const assert = require('node:assert/strict');
const diagnostics = require('node:diagnostics_channel');
const { test } = require('node:test');
const { publishClose } = require('../../lib/util/diagnostics.js');
const { assertNoLeaks } = require('../helpers/leaks.js');

assertNoLeaks();

/** Something that closes as the sockets do. */
class Thing {
  fd = 5;
  closed = 0;

  close() {
    if (!publishClose(this)) return;
    this.closed++;
  }
}

test('a subscriber that closes what is reported to it has one report, and it closes once', (t) => {
  const [thing, other] = [new Thing(), new Thing()];
  const heard = [];
  const close = ({ socket }) => {
    heard.push(socket);
    socket.close();
    // Another one may end meanwhile, and has its reports as ever.
    if (socket === thing) other.close();
  };
  diagnostics.subscribe('afunix.close', close);
  t.after(() => diagnostics.unsubscribe('afunix.close', close));
  thing.close();
  assert.deepEqual(heard, [thing, other]);
  assert.deepEqual([thing.closed, other.closed], [1, 1]);
  // An owner that opens and closes again has reports again.
  thing.close();
  assert.deepEqual([thing.closed, heard.length], [2, 4]);
});
