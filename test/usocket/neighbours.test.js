'use strict';

// Owns which message descriptors belong to, where messages are neighbours in the stream: what
// read(size, null) gives. dbus-next reads so; see peers-stream-dbus.test.js.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { nextEvent } = require('../helpers/sockets.js');
const { openPair } = require('../helpers/streams.js');

assertNoLeaks();

/** Reads messages of known sizes as they come: `[size, ...texts behind descriptors]` of each. */
async function readMessages(socket, sizes) {
  const found = [];
  while (found.length < sizes.length) {
    const part = socket.read(sizes[found.length], null);
    if (part === null) await nextEvent(socket, 'readable');
    else found.push([part.data.length, ...readAndClose(part.fds)]);
  }
  return found;
}

/** Sends messages `{ size, files }` by a function of the socket, and checks what comes. */
async function exchange(t, messages, texts, send) {
  const [one, two] = openPair(t);
  // Somebody who reads when it hears that there is something.
  two.on('readable', () => {});
  send(one);
  const found = await readMessages(
    two,
    messages.map(({ size }) => size),
  );
  assert.deepEqual(
    found,
    messages.map(({ size, files }) => [size, ...files.map((file) => texts[file])]),
  );
}

function write(socket, { size, files }, paths) {
  const fds = files.map((file) => fs.openSync(paths[file]));
  const data = Buffer.alloc(size);
  socket.write(fds.length > 0 ? { data, fds } : data);
  for (const fd of fds) fs.closeSync(fd);
}

describe('descriptors come with their message', () => {
  test('and not with the same Buffer that was written before', async (t) => {
    const [one, two] = openPair(t);
    two.on('readable', () => {});
    const { paths, texts } = makeFiles(t, 1);
    const fd = fs.openSync(paths[0]);
    const data = Buffer.from('twice');
    one.cork();
    one.write(data);
    one.write({ data, fds: [fd] });
    one.uncork();
    fs.closeSync(fd);
    assert.deepEqual(await readMessages(two, [5, 5]), [[5], [5, texts[0]]]);
  });

  const CASES = {
    'after one without': [
      { size: 4, files: [] },
      { size: 6, files: [0] },
    ],
    'before one without': [
      { size: 4, files: [0] },
      { size: 6, files: [] },
    ],
    'after one that the kernel keeps in pieces': [
      { size: 100_000, files: [0] },
      { size: 6, files: [1, 2] },
      { size: 70_000, files: [] },
      { size: 1, files: [3] },
    ],
  };
  for (const [name, messages] of Object.entries(CASES)) {
    test(name, async (t) => {
      const { paths, texts } = makeFiles(t, 4);
      await exchange(t, messages, texts, (socket) => {
        for (const message of messages) write(socket, message, paths);
      });
    });

    test(`${name}, written together`, async (t) => {
      const { paths, texts } = makeFiles(t, 4);
      await exchange(t, messages, texts, (socket) => {
        socket.cork();
        for (const message of messages) write(socket, message, paths);
        socket.uncork();
      });
    });
  }

  test('many messages of all sizes', async (t) => {
    const { paths, texts } = makeFiles(t, 10);
    const messages = Array.from({ length: 400 }, (_, at) => ({
      size: at % 7 === 0 ? randomInt(1, 300_000) : randomInt(1, 2000),
      files: Array.from({ length: randomInt(4) }, () => randomInt(10)),
    }));
    await exchange(t, messages, texts, (socket) => {
      for (const message of messages) write(socket, message, paths);
    });
  });
});
