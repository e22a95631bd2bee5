'use strict';

// Owns what tests and the torture do with programs: run them, and sort the differences into classes.

const { describeList, describeProgram } = require('./describe.js');
const EXPECTED = require('./expected.js');
const { generate } = require('./generate.js');
const { Worker, runAll } = require('./runner.js');
const { shrink } = require('./shrink.js');

/**
 * Runs the programs of `count` seeds. A class of differences is in `expected` or in `fresh`: key → the shortest
 * program that shows it, `{ key, seed, program, count }`.
 * @param {{ subject?: string, progress?: (done: number) => void }} [options]
 */
async function judgeAll(seed, count, { subject, progress } = {}) {
  const counts = {};
  const expected = new Map();
  const fresh = new Map();
  let done = 0;
  const size = (program) => JSON.stringify(program).length;
  await runAll(
    (n) => generate(seed + n),
    count,
    { subject },
    (number, program, result) => {
      counts[result.status] = (counts[result.status] ?? 0) + 1;
      // What is not there the next time is counted, and no class.
      for (const { key } of result.status === 'different' ? result.differences : []) {
        const classes = EXPECTED.has(key) ? expected : fresh;
        const known = classes.get(key);
        const example = {
          key,
          subject,
          seed: seed + number,
          program,
          count: (known?.count ?? 0) + 1,
        };
        if (known && size(known.program) <= size(program)) known.count++;
        else classes.set(key, example);
      }
      progress?.(++done);
    },
  );
  return { counts, expected, fresh };
}

/** A class in words: a short program that shows it, and what it does with either. */
async function explain({ key, subject, seed, program, count }, tries) {
  const worker = new Worker(subject);
  try {
    // A process for each try takes a second and more.
    const short = await shrink(worker, program, key, program.solo ? tries / 10 : tries);
    const { traces, differences } = await worker.judge(short, { whole: true });
    const who = differences.find((each) => each.key === key)?.who;
    return [
      `${key}`,
      `  ${count} times, the shortest of seed ${seed}: ${describeProgram(short)}`,
      ...Object.entries(traces ?? {}).map(([name, lists]) => {
        return `  ${name}: ${who} ${describeList(lists[who])}`;
      }),
      `  ${JSON.stringify(short)}`,
    ].join('\n');
  } finally {
    worker.close();
  }
}

module.exports = { explain, judgeAll };
