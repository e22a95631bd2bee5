'use strict';

// The case "random programs": on net and here, where what USocket and UServer do in another way than net and not on
// purpose is lost; and with messages, where what callbacks said is compared with what arrived at a Python process.
// Each class of differences from net comes with a short program, which test/differential/run.js runs alone.

const { findPython } = require('../../helpers/python.js');
const EXPECTED_FAULTS = require('../../differential/messages-expected.js');
const { runMessages } = require('../../differential/messages.js');
const { explain, judgeAll } = require('../../differential/judge.js');

const COUNT = 100_000;
const QUICK_COUNT = 60;
const MESSAGES = 20_000;
const QUICK_MESSAGES = 40;
/** Classes that are explained as well as named. */
const EXPLAINED = 20;

async function messagesRow(quick, seed, say) {
  const what = 'programs with messages, against Python';
  const python = findPython();
  if (process.platform !== 'linux' || python === null) {
    return { what, tried: 0, lost: 0, note: 'skipped: Linux, and python3, version 3.9 or later' };
  }
  const tried = quick ? QUICK_MESSAGES : MESSAGES;
  const faults = await runMessages(python, seed, tried);
  const fresh = [...faults].filter(([text]) => !EXPECTED_FAULTS.has(text));
  for (const [text, { count, seed: first }] of fresh) say(`${text}: ${count} times, seed ${first}`);
  const note = `lost: classes of faults; ${faults.size - fresh.length} expected classes`;
  return { what, tried, lost: fresh.length, note };
}

async function run({ quick, seed, say }) {
  const count = quick ? QUICK_COUNT : COUNT;
  const { counts, expected, fresh } = await judgeAll(seed, count, {
    progress(done) {
      if (done % 5000 === 0) say(`${done} programs`);
    },
  });
  const classes = [...fresh.values()].sort((one, two) => two.count - one.count);
  // Known at once: a short program for each takes minutes.
  for (const { key, count: times, seed: first } of classes) {
    say(`${key}: ${times} times, seed ${first}`);
  }
  for (const [at, example] of classes.entries()) {
    if (at < EXPLAINED) say(await explain(example, quick ? 100 : 400));
  }
  const share = (name) => `${(((counts[name] ?? 0) / count) * 100).toFixed(2)} % ${name}`;
  const notes = [
    share('flaky'),
    share('unsteady'),
    share('shifted'),
    `${expected.size} expected classes`,
  ];
  return [
    {
      what: 'programs on net and on USocket and UServer',
      tried: count,
      lost: classes.length + (counts.broken ?? 0),
      note: `lost: classes of differences; skipped: ${notes.join(', ')}`,
    },
    await messagesRow(quick, seed, say),
  ];
}

module.exports = {
  about:
    'Random programs do with USocket and UServer what they do with net; messages arrive as callbacks say.',
  limit: 14_400,
  quickLimit: 600,
  run,
};
