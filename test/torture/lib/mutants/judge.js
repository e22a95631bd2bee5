'use strict';

// Owns: what the tests say of a fault while it is in place. Each has a limit of its own, so that one that hangs is not
// waited for; where the machine is busy they are tried once more, with patience.

const { firstFailure } = require('./copy.js');
const { profileOf } = require('./profile.js');

/** How first-failure.js ends what it says of a file that had no more time. */
const LATE = 'not done in time';
/** Milliseconds for all tests of a fault, of which each has a limit of its own. */
const LIMIT = 3_600_000;
/** How many times as long a test may take where the machine is busy. */
const PATIENCE = 8;

const isLate = (by) => by.endsWith(LATE);

/** A test with what is known of it: `{ test, failure, ms, limit, knows, covers }`. */
const profiled = (folder, test) => ({ test, ...profileOf(folder, test) });

/**
 * The first test that fails while a fault is in place, or null.
 *
 * @param {{ test: string, limit: number }[]} tests - profiled() without the fault
 * @param {(run: () => string | null) => string | null} withFault - returns what `run` does while it is in place
 */
function judge(folder, tests, withFault) {
  const run = (some) => {
    const named = some.map(({ test, limit }) => `${test}:${limit}`);
    return firstFailure(folder, named, { limit: LIMIT });
  };
  const by = withFault(() => run(tests));
  if (by === null || !isLate(by)) return by;
  // On a busy machine a test may be as late by itself.
  const late = tests.find(({ test }) => by.startsWith(test));
  if (run([late]) === null) return by;
  const patient = tests.map(({ test, limit }) => ({ test, limit: PATIENCE * limit }));
  return withFault(() => run(patient));
}

module.exports = { isLate, judge, profiled };
