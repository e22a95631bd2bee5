'use strict';

// Owns the limit of descriptors that may wait to be taken: as many as `maxPendingFds` are received, one more
// is an error, and what is taken makes room.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketSocket, USocket, closeFd } = require('../../lib');
const { countFds, nulls } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, quiet } = require('../helpers/seqpacket.js');
const { nextEvent, openPair, send } = require('../helpers/sockets.js');

assertNoLeaks();

const LIMIT = 3;
const OPTIONS = { receiveFds: true, maxPendingFds: LIMIT };
const TOO_MANY = 'ERR_AFUNIX_TOO_MANY_FDS';

/** So many descriptors to send. */
const some = (count) => Array.from({ length: count }, () => 0);

describe(`maxPendingFds: ${LIMIT}`, onLinux(), () => {
  test(`DgramSocket: a message with ${LIMIT}, and one with ${LIMIT + 1}`, async (t) => {
    const [one, two] = openPair(t, OPTIONS);
    const seen = [];
    two.on('data', (data, _path, { fds }) => {
      seen.push([String(data), fds.length]);
      fds.forEach(closeFd);
    });
    two.on('error', ({ code }) => seen.push(code));
    const before = countFds();
    for (let round = 0; round < 2; round++) {
      await send(one, { data: 'right', fds: some(LIMIT) });
      await send(one, { data: 'too many', fds: some(LIMIT + 1) });
    }
    await quiet();
    const each = [['right', LIMIT], TOO_MANY, ['too many', 0]];
    assert.deepEqual(seen, [...each, ...each]);
    assert.equal(countFds(), before);
  });

  test('SeqpacketSocket: they count while nobody takes them', async (t) => {
    const [one, two] = SeqpacketSocket.pair(OPTIONS);
    for (const end of [one, two]) cleanUp(t, end);
    const messages = [];
    let code;
    two.on('data', (message) => messages.push(message));
    two.on('error', (error) => ({ code } = error));
    one.write({ data: 'a', fds: some(2) });
    one.write({ data: 'b', fds: some(1) });
    await quiet();
    assert.equal(code, undefined);
    // What is taken makes room.
    messages[0].fds.forEach(closeFd);
    one.write({ data: 'c', fds: some(2) });
    await quiet();
    assert.equal(code, undefined);
    assert.deepEqual(messages.map(String), ['a', 'b', 'c']);
    one.write({ data: 'd', fds: some(1) });
    await closing(two);
    assert.equal(code, TOO_MANY);
  });

  test('USocket: they count while nobody takes them', async (t) => {
    const [one, two] = USocket.pair(OPTIONS);
    for (const end of [one, two]) cleanUp(t, end);
    let text = '';
    let code;
    two.on('data', (data) => (text += data));
    two.on('error', (error) => ({ code } = error));
    one.write({ data: 'a', fds: some(2) });
    one.write({ data: 'b', fds: some(1) });
    await quiet();
    assert.equal(code, undefined);
    const [fds] = await nextEvent(two, 'fds');
    assert.equal(fds.length, LIMIT);
    fds.forEach(closeFd);
    one.write({ data: 'c', fds: some(3) });
    await quiet();
    assert.equal(code, undefined);
    assert.equal(text, 'abc');
    one.write({ data: 'd', fds: some(1) });
    await closing(two);
    assert.equal(code, TOO_MANY);
  });

  test('USocket: unshift() puts back as many as may wait, and not one more', async (t) => {
    const [one, two] = USocket.pair(OPTIONS);
    for (const end of [one, two]) cleanUp(t, end);
    two.on('readable', () => {});
    one.write({ data: 'abc', fds: some(LIMIT) });
    await nextEvent(two, 'readable');
    const { data, fds } = two.read(null, LIMIT);
    assert.equal(fds.length, LIMIT);
    two.unshift(data, fds);
    const again = two.read(null, LIMIT);
    assert.equal(again.fds.length, LIMIT);
    two.unshift(again.data, again.fds.slice(1));
    const mine = [again.fds[0], ...nulls(1)];
    const before = countFds();
    assert.throws(() => two.unshift('x', mine), { code: 'ENOBUFS' });
    // They are still the caller's.
    assert.equal(countFds(), before);
    mine.forEach(closeFd);
  });
});
