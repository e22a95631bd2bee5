'use strict';

// Random programs with messages, between sockets here and sockets of a Python process: what callbacks said is what
// arrived. The programs are always the same ones; the torture has others.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { findPython } = require('../helpers/python.js');
const EXPECTED = require('./messages-expected.js');
const { runMessages } = require('./messages.js');

const PROGRAMS = 100;
/** The first of each part: a slow machine has a time limit for each. */
const SEEDS = [1, 101, 201];

/** Times of messages distinguish an empty one from the end; Python has no name for them elsewhere. */
const reason =
  process.platform !== 'linux'
    ? 'Linux only'
    : findPython() === null && 'not installed: python3, version 3.9 or later';

for (const first of SEEDS) {
  test(
    `${PROGRAMS} random programs with messages, from ${first} on`,
    { skip: reason },
    async (t) => {
      const faults = await runMessages(findPython(), first, PROGRAMS);
      for (const [text, { count, seed }] of faults) {
        t.diagnostic(`${count} times, seed ${seed}: ${text}`);
      }
      assert.deepEqual(
        [...faults.keys()].filter((text) => !EXPECTED.has(text)),
        [],
      );
    },
  );
}
