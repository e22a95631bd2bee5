'use strict';

// Random programs with messages, between sockets here and sockets of a Python process: what callbacks said is what
// arrived. The programs are always the same ones; the torture has others.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { findPython } = require('../helpers/python.js');
const EXPECTED = require('./messages-expected.js');
const { runMessages } = require('./messages.js');

const PROGRAMS = 150;
const SEED = 1;

/** Times of messages distinguish an empty one from the end; Python has no name for them elsewhere. */
const reason =
  process.platform !== 'linux'
    ? 'Linux only'
    : findPython() === null && 'not installed: python3, version 3.9 or later';

test(`${PROGRAMS} random programs with messages`, { skip: reason }, async (t) => {
  const faults = await runMessages(findPython(), SEED, PROGRAMS);
  for (const [text, { count, seed }] of faults) {
    t.diagnostic(`${count} times, seed ${seed}: ${text}`);
  }
  assert.deepEqual(
    [...faults.keys()].filter((text) => !EXPECTED.has(text)),
    [],
  );
});
