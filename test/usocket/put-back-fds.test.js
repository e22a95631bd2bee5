'use strict';

// Owns the order of descriptors that are put back into a USocket: as they were, and before all others.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { closeFd } = require('../../lib');
const { nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { makePair, makeSocket, numberIn, numberedFile } = require('../helpers/usocket.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** The numbers in the files of descriptors, which are closed. */
function numbersOf(fds) {
  return fds.map((fd) => {
    const number = numberIn(fd);
    closeFd(fd);
    return number;
  });
}

describe('descriptors that are put back', onLinux(), () => {
  test('come in the same order again, before those that came later', async (t) => {
    const [one, two] = makePair(t);
    const files = [1, 2, 3, 4, 5].map((number) => numberedFile(t, number));
    two.on('readable', () => {});
    one.write({ data: 'abc', fds: files.slice(0, 3) });
    one.write({ data: 'de', fds: files.slice(3) });
    await until(() => two.readableLength === 5, 'the bytes');
    const first = two.read(3, 3);
    assert.equal(String(first.data), 'abc');
    assert.deepEqual(first.fds.map(numberIn), [1, 2, 3]);
    two.unshift(first.data, first.fds);
    const all = two.read(5, 5);
    assert.equal(String(all.data), 'abcde');
    assert.deepEqual(numbersOf(all.fds), [1, 2, 3, 4, 5]);
  });

  test('however many were read at once', async (t) => {
    const [one, two] = makePair(t);
    const files = nulls(200);
    two.on('readable', () => {});
    for (const data of ['ab', 'cd']) one.write({ data, fds: files });
    files.forEach(closeFd);
    await until(() => two.readableLength === 4, 'both messages');
    const { data, fds } = two.read(4, null);
    assert.equal(fds.length, 400);
    two.unshift(data, fds);
    const again = two.read(4, null);
    assert.deepEqual([String(again.data), again.fds], ['abcd', fds]);
    fds.forEach(closeFd);
  });

  test('belong to what is read next, not to the message behind', async (t) => {
    const [one, two] = makePair(t);
    const files = [1, 2].map((number) => numberedFile(t, number));
    two.on('readable', () => {});
    one.write({ data: 'ab', fds: files.slice(0, 1) });
    await until(() => two.readableLength === 2, 'the first message');
    const { data, fds } = two.read(2, 1);
    one.write({ data: 'cd', fds: files.slice(1) });
    await until(() => two.readableLength === 2, 'the second message');
    two.unshift(data, fds);
    const parts = [two.read(2, null), two.read(2, null)];
    assert.deepEqual(
      parts.map((part) => String(part.data)),
      ['ab', 'cd'],
    );
    assert.deepEqual(
      parts.map((part) => numbersOf(part.fds)),
      [[1], [2]],
    );
  });

  test('need no bytes: null and undefined are neither bytes nor the end', async (t) => {
    const [one, two] = makePair(t);
    const files = [1, 2].map((number) => numberedFile(t, number));
    two.on('readable', () => {});
    one.write({ data: 'ab', fds: files });
    await until(() => two.readableLength === 2, 'the bytes');
    const { fds } = two.read(1, 2);
    assert.equal(two.unshift(undefined, fds.slice(1)), true);
    assert.equal(String(two.read(1)), 'b');
    assert.equal(two.unshift(null, fds.slice(0, 1)), false);
    one.end('c');
    await until(() => two.readableLength === 1, 'what comes behind');
    const { data, fds: again } = two.read(1, 2);
    assert.equal(String(data), 'c');
    assert.deepEqual(numbersOf(again), [1, 2]);
    // Nor do none of them need a connection.
    assert.equal(makeSocket(t).unshift('d', []), true);
  });

  test('a string is put back as its encoding says', async (t) => {
    const [one, two] = makePair(t);
    two.on('readable', () => {});
    one.write('last');
    await until(() => two.readableLength === 4, 'the bytes');
    two.unshift('6669727374', 'hex');
    // A size: without one Node 26 gives a chunk at a time.
    assert.equal(String(two.read(9)), 'firstlast');
  });

  test('one after the other: the last that is put back comes first', async (t) => {
    const [one, two] = makePair(t);
    const files = [1, 2, 3].map((number) => numberedFile(t, number));
    two.on('readable', () => {});
    one.write({ data: 'abc', fds: files });
    await until(() => two.readableLength === 3, 'the bytes');
    const { data, fds } = two.read(3, 3);
    two.unshift(data.subarray(2), [fds[2]]);
    two.unshift(data.subarray(0, 2), fds.slice(0, 2));
    const again = two.read(3, 3);
    assert.equal(String(again.data), 'abc');
    assert.deepEqual(numbersOf(again.fds), [1, 2, 3]);
  });
});
