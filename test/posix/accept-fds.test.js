'use strict';

// Owns the descriptor that accept() of afunix/posix made, where nobody gets it.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { open, own } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');
const posix = require('../../lib/posix/index.js');

assertNoLeaks();

const { AF_UNIX } = posix;

/** An address object that refuses to be filled. */
const refusing = () => ({
  set sun_family(_value) {
    throw new Error('mine');
  },
  set sun_path(_value) {
    throw new Error('mine');
  },
});

describe('accept()', onLinux(), () => {
  test('leaves no descriptor where the address object throws, and goes on', (t) => {
    const listener = open(t);
    const address = { sun_family: AF_UNIX, sun_path: temporaryPath(t) };
    posix.bind(listener, address);
    posix.listen(listener, 10);
    const clients = Array.from({ length: 6 }, () => open(t));
    for (const client of clients) posix.connect(client, address);
    const before = countFds();
    for (let round = 0; round < 5; round++) {
      assert.throws(() => posix.accept(listener, refusing()), /mine/);
      assert.equal(countFds(), before);
    }
    const accepted = own(t, posix.accept(listener, {}));
    assert.equal(countFds(), before + 1);
    posix.send(accepted, Buffer.from('x'));
    const room = Buffer.alloc(1);
    assert.equal(posix.recv(clients[5], room), 1);
  });

  test('makes none where the address object is none', (t) => {
    const listener = open(t);
    const address = { sun_family: AF_UNIX, sun_path: temporaryPath(t) };
    posix.bind(listener, address);
    posix.listen(listener, 10);
    posix.connect(open(t), address);
    const before = countFds();
    assert.throws(() => posix.accept(listener, 'x'), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => posix.accept(listener, Object.freeze({})), TypeError);
    assert.equal(countFds(), before);
  });
});
