'use strict';

// Owns what a chunk's ArrayBuffer shows beyond the chunk, and what structuredClone() takes along of it: nothing that
// this process had in that memory before.

/* global gc -- node --expose-gc */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { nextEvent, turn } = require('../helpers/sockets.js');
const { makePair } = require('../helpers/usocket.js');

assertNoLeaks();

const SECRET = 'top-secret-0123456789';
/** As much as a stream's chunk is received into. */
const STORE = 64 * 1024;

/** Memory of that size, full of the secret, that the allocator gets back. */
async function leaveSecrets() {
  for (let count = 0; count < 300; count++) Buffer.allocUnsafeSlow(STORE).fill(SECRET);
  gc();
  await turn();
}

test("a chunk's ArrayBuffer has no memory of others behind it", async (t) => {
  const [one, two] = makePair(t);
  let large = 0;
  for (let count = 0; count < 60; count++) {
    if (count % 20 === 0) await leaveSecrets();
    const size = 40_000 + 100 * count;
    one.write(Buffer.alloc(size, 1));
    for (let left = size; left > 0;) {
      const [chunk] = await nextEvent(two, 'data');
      left -= chunk.length;
      if (chunk.buffer.byteLength >= STORE) large++;
      const all = Buffer.from(structuredClone(chunk).buffer);
      assert.equal(all.includes(SECRET), false);
      // Nor what came in chunks before.
      const rest = Buffer.from(chunk.buffer, chunk.byteOffset + chunk.length);
      if (chunk.buffer.byteLength === STORE) assert.ok(rest.every((byte) => byte === 0));
    }
  }
  assert.ok(large > 0, 'no chunk was received into an ArrayBuffer of its own');
});
