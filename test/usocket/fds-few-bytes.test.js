'use strict';

// Owns descriptors of a USocket that are more than the bytes can carry: 253 go with one byte, and the others
// wait for the next.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { nextEvent, Outcomes } = require('../helpers/sockets.js');
const { collect, identity, makePair, numberedFile, untilFds } = require('../helpers/usocket.js');
const { closeFd } = require('../../lib');

assertNoLeaks();

/** The most descriptors that the kernel passes with one byte. */
const MOST = 253;

/** So many times the same descriptor. */
const times = (count, fd) => Array.from({ length: count }, () => fd);

describe('descriptors for which there are few bytes', onLinux(), () => {
  test('two groups of 200 and one byte: 253 with it, the others with the next', async (t) => {
    const [one, two] = makePair(t);
    const collected = collect(t, two);
    const [first, second] = [numberedFile(t, 1), numberedFile(t, 2)];
    const outcomes = new Outcomes();
    one.write(times(200, first), outcomes.callback());
    one.write(times(200, second), outcomes.callback());
    one.write('x');
    await outcomes.settled(1);
    await untilFds(collected, MOST);
    assert.equal(String(collected.bytes()), 'x');
    assert.equal(collected.fds.length, MOST);
    assert.deepEqual(outcomes.codes, [[0, undefined]]);
    one.write('y');
    const fds = await untilFds(collected, 400);
    assert.equal(fds.length, 400);
    assert.deepEqual(fds.map(identity), [
      ...times(200, identity(first)),
      ...times(200, identity(second)),
    ]);
    assert.equal(String(collected.bytes()), 'xy');
    assert.deepEqual(await outcomes.settled(), Outcomes.all(2));
  });

  test('one group of 600 and two bytes: 506 with them, the others fail at the end', async (t) => {
    const [one, two] = makePair(t);
    const collected = collect(t, two);
    const [fd] = nulls(1);
    const outcomes = new Outcomes();
    one.on('error', () => {});
    one.write(times(600, fd), outcomes.callback());
    closeFd(fd);
    one.write('xy');
    await untilFds(collected, 2 * MOST);
    one.end();
    assert.deepEqual(await outcomes.settled(), [[0, 'ERR_AFUNIX_FDS_UNSENT']]);
    if (!two.readableEnded) await nextEvent(two, 'end');
    assert.equal(collected.fds.length, 2 * MOST);
    assert.equal(String(collected.bytes()), 'xy');
  });
});
