'use strict';

// Owns the question whether this process spins: a descriptor whose poll stays armed for what it does not
// want calls the event loop for ever, which loses nothing and shows as processor time alone.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { setTimeout: delay } = require('node:timers/promises');

/** Milliseconds of one look. */
const INTERVAL = 100;
/** Looks until the verdict: a collection of garbage or a test's remains are over by then. */
const LOOKS = 4;
/** From this share of the time on, the main thread counts as busy. Idle it is below 0.03, spinning above 0.9. */
const BUSY = 0.25;
/** Turns of the event loop in one look that waiting for one timer does not explain. */
const MANY_TURNS = 50;

/** What the main thread has used, and has waited for a processor, in milliseconds. */
function mainThreadTimes() {
  try {
    const text = fs.readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1');
    const [used, waited] = text.split(' ').map((nanoseconds) => nanoseconds / 1e6);
    return { used, waited };
  } catch {
    // No such file, as in some containers: all threads together.
    const { user, system } = process.cpuUsage();
    return { used: (user + system) / 1000, waited: 0 };
  }
}

/**
 * How often the event loop has turned. Where Node does not say (before 22): how often the main thread has slept, which
 * is as much where it has little to do; NaN where the system does not say that either.
 */
function loopTurns() {
  const { uvMetricsInfo } = performance.nodeTiming;
  if (uvMetricsInfo !== undefined) return uvMetricsInfo.loopCount;
  try {
    const text = fs.readFileSync(`/proc/self/task/${process.pid}/status`, 'latin1');
    return Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(text)[1]);
  } catch {
    return NaN;
  }
}

/**
 * What the event loop does for an interval in which the caller does nothing.
 *
 * `share`: processor time in the time that the thread could have run. Other processes that hog the
 * processors make a spinning thread wait for one, which is no idleness; so that time does not count.
 * @returns {Promise<{ share: number, turns: number }>}
 */
async function measure(interval = INTERVAL) {
  const start = performance.now();
  const before = mainThreadTimes();
  const turns = loopTurns();
  await delay(interval);
  const after = mainThreadTimes();
  const able = performance.now() - start - (after.waited - before.waited);
  return { share: (after.used - before.used) / Math.max(able, 1), turns: loopTurns() - turns };
}

/** Asserts that nothing calls the event loop although nothing happens; `what` names who might. */
async function assertIdle(what) {
  const seen = [];
  while (seen.length < LOOKS) {
    const { share, turns } = await measure();
    // NaN turns are not many.
    if (share < BUSY && !(turns > MANY_TURNS)) return;
    seen.push(`${Math.round(share * 100)} %, ${turns} turns`);
  }
  assert.fail(`${what} keeps the event loop busy: ${seen.join('; ')}`);
}

module.exports = { assertIdle, measure };
