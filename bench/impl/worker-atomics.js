'use strict';

/**
 * What Node itself offers for a synchronous answer from another thread: Atomics.wait() on memory that
 * both have. See afunix.js for the interface.
 */

const { Worker } = require('node:worker_threads');

/** Whose turn it is, in the first number of the shared memory. */
const [ASKED, ANSWERED] = [1, 2];

/** The worker: answers each request with the same bytes. */
function answer(shared, size, ASKED, ANSWERED) {
  const turn = new Int32Array(shared, 0, 1);
  const [request, response] = [4, 4 + size].map((at) => new Uint8Array(shared, at, size));
  for (;;) {
    while (Atomics.load(turn, 0) !== ASKED) Atomics.wait(turn, 0, ANSWERED);
    response.set(request);
    Atomics.store(turn, 0, ANSWERED);
    Atomics.notify(turn, 0);
  }
}

const posix = {
  // Its answers come from a thread of the same process.
  answer: (_path, _size, ready) => ready(),

  connect(_path, request, response) {
    const size = request.byteLength;
    const shared = new SharedArrayBuffer(4 + 2 * size);
    const turn = new Int32Array(shared, 0, 1);
    const [asked, answered] = [4, 4 + size].map((at) => new Uint8Array(shared, at, size));
    const [input, room] = [new Uint8Array(request), new Uint8Array(response)];
    turn[0] = ANSWERED;
    const source = `(${answer})(...require('node:worker_threads').workerData)`;
    new Worker(source, { eval: true, workerData: [shared, size, ASKED, ANSWERED] });
    return () => {
      asked.set(input);
      Atomics.store(turn, 0, ASKED);
      Atomics.notify(turn, 0);
      while (Atomics.load(turn, 0) !== ANSWERED) Atomics.wait(turn, 0, ASKED);
      room.set(answered);
      return size;
    };
  },
};

module.exports = { version: process.version, posix };
