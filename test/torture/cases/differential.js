'use strict';

// The case "random programs on net and here": what USocket and UServer do in another way than net and not on
// purpose is lost. Each class of differences comes with a short program, which test/differential/run.js runs alone.

const { explain, judgeAll } = require('../../differential/judge.js');

const COUNT = 100_000;
const QUICK_COUNT = 60;
/** Classes that are explained; the others are named. */
const EXPLAINED = 20;

async function run({ quick, seed, say }) {
  const count = quick ? QUICK_COUNT : COUNT;
  const { counts, expected, fresh } = await judgeAll(seed, count, (done) => {
    if (done % 5000 === 0) say(`${done} programs`);
  });
  const classes = [...fresh.values()].sort((one, two) => two.count - one.count);
  for (const [at, example] of classes.entries()) {
    say(at < EXPLAINED ? await explain(example, quick ? 100 : 400) : example.key);
  }
  const share = (name) => `${(((counts[name] ?? 0) / count) * 100).toFixed(2)} % ${name}`;
  const notes = [share('flaky'), share('unsteady'), `${expected.size} expected classes`];
  return [
    {
      what: 'programs on net and on USocket and UServer',
      tried: count,
      lost: classes.length + (counts.broken ?? 0),
      note: `lost: classes of differences; skipped: ${notes.join(', ')}`,
    },
  ];
}

module.exports = {
  about: 'Random programs do with USocket and UServer what they do with net.',
  limit: 10_800,
  quickLimit: 90,
  run,
};
