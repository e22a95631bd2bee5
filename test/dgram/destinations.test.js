'use strict';

// Owns what a DgramSocket remembers of destinations: bytes, and never the object that held them.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { closeFd } = require('../../lib');
const posix = require('../../lib/posix');
const { countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { inbox, openSocket, sendTo } = require('../helpers/sockets.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** Two bound sockets whose paths differ in the last character; their messages. */
function twoReceivers(t) {
  const folder = temporaryFolder(t);
  return ['a', 'b'].map((name) => {
    const path = `${folder}/${name}`;
    return { path, messages: inbox(openSocket(t).bind(path)) };
  });
}

/** Takes all that waits at a descriptor. */
function drain(fd) {
  const bytes = Buffer.alloc(10);
  try {
    for (;;) posix.recv(fd, bytes, bytes.length, posix.MSG_DONTWAIT);
  } catch ({ code }) {
    assert.equal(code, 'EAGAIN');
  }
}

describe('a destination', onLinux(), () => {
  for (const [what, make, change] of [
    ['a Buffer', (path) => Buffer.from(path), (name, path) => name.write(path)],
    [
      'a Uint8Array',
      (path) => new Uint8Array(Buffer.from(path)),
      (name, path) => name.set(Buffer.from(path)),
    ],
    ['a URL', (path) => pathToFileURL(path), (name, path) => (name.pathname = path)],
  ]) {
    test(`${what} that is changed after the call means the new name at the next`, async (t) => {
      const [first, second] = twoReceivers(t);
      const sender = openSocket(t);
      const name = make(first.path);
      await sendTo(sender, 'one', name);
      change(name, second.path);
      await sendTo(sender, 'two', name);
      assert.equal(String((await first.messages.next()).data), 'one');
      assert.equal(String((await second.messages.next()).data), 'two');
      change(name, first.path);
      await sendTo(sender, 'three', name);
      assert.equal(String((await first.messages.next()).data), 'three');
    });
  }

  test('means the same after more others than are remembered', async (t) => {
    const receivers = twoReceivers(t);
    const sender = openSocket(t);
    for (const { path } of receivers) await sendTo(sender, 'before', path);
    // 1024 are remembered.
    const strangers = Array.from({ length: 1100 }, (_, number) => `${receivers[0].path}-${number}`);
    const outcomes = await Promise.allSettled(
      strangers.map((path) => sendTo(sender, 'nobody', path)),
    );
    assert.ok(outcomes.every(({ reason }) => reason?.code === 'ENOENT'));
    for (const { path } of receivers) await sendTo(sender, path, path);
    for (const { path, messages } of receivers) {
      const texts = (await messages.take(2)).map(({ data }) => String(data));
      assert.deepEqual(texts, ['before', path]);
    }
  });

  test('a Buffer that is changed while its message waits still means the old name', async (t) => {
    const [first, second] = twoReceivers(t);
    const sender = openSocket(t);
    const name = Buffer.from(first.path);
    const sent = [];
    // Within one turn of the event loop: what does not fit waits.
    for (let number = 0; number < 50; number++) sent.push(sendTo(sender, `${number}`, name));
    assert.ok(sender.writableLength > 0);
    name.write(second.path);
    sent.push(sendTo(sender, 'other', name));
    const texts = (await first.messages.take(50)).map(({ data }) => String(data));
    assert.deepEqual(
      texts,
      Array.from({ length: 50 }, (_, number) => `${number}`),
    );
    assert.equal(String((await second.messages.next()).data), 'other');
    await Promise.all(sent);
  });
});

describe('destinations that were full', onLinux(), () => {
  test('cost a socket four descriptors at most once nothing waits', async (t) => {
    const COUNT = 20;
    const folder = temporaryFolder(t);
    const receivers = Array.from({ length: COUNT }, (_, number) => {
      const path = `${folder}/${number}`;
      const fd = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM, 0);
      t.after(() => closeFd(fd));
      posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path: path });
      return { path, fd };
    });
    const sender = openSocket(t).bind(`${folder}/sender`);
    const before = countFds();
    let waiting = 0;
    const failures = [];
    const done = (error) => {
      waiting--;
      if (error) failures.push(error);
    };
    for (const { path } of receivers) {
      for (const start = sender.writableLength; sender.writableLength < start + 5; waiting++) {
        sender.sendTo('x', path, done);
      }
    }
    await until(() => countFds() >= before + COUNT, 'a helper socket for each destination');
    await until(() => {
      for (const { fd } of receivers) drain(fd);
      return waiting === 0;
    }, 'all to be sent');
    assert.deepEqual(failures, []);
    await until(() => countFds() <= before + 4, 'helper sockets to be closed');
  });
});
