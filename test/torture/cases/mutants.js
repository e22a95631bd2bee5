'use strict';

// The tests are tested: each fault of a list is planted in a copy of the project, which is built, and the tests of its
// room have to fail; StrykerJS mutates each file of lib/, cargo-mutants those of native/ that the Rust tests reach.
//
// Of lib/ the long form takes a sample of 200 mutants: all of them need days. Any of these variables takes a part, which
// goes to the terminal and not into results.md:
//   AFUNIX_MUTANTS=NAME,NAME        planted faults; `all` of them; `clean`: the same tests without a fault
//   AFUNIX_STRYKER=FILE,FILE        files of lib/; a number takes as many at random
//   AFUNIX_STRYKER_SAMPLE=N         as many mutants over all of lib/
//   AFUNIX_CARGO_MUTANTS=FILE,FILE  files of native/; a number as above
// Reports of the two tools are kept in .cache/mutants/ until the file or its tests change.

const fs = require('node:fs');
const faults = require('../lib/mutants/faults.js');
const { runCargoMutants, testedFiles } = require('../lib/mutants/cargo.js');
const { makeCopy } = require('../lib/mutants/copy.js');
const { runClean, runPlanted } = require('../lib/mutants/planted.js');
const rooms = require('../lib/mutants/rooms.js');
const { runSample } = require('../lib/mutants/sample.js');
const { runStryker } = require('../lib/mutants/stryker.js');
const { draw } = require('../lib/random.js');

/** The short form tries these: one that needs no build for each room. */
const QUICK = ['timeout-timer-reused', 'drain-at-the-mark', 'compat-waiting-size'];

/** The long form: planted faults, files of StrykerJS, of cargo-mutants, and how many in the sample. */
const WHOLE = ['all', undefined, 'all', '200'];

/** Those of `all` that a variable asks for: names, `all`, or how many. */
function choose(all, wanted, random) {
  if (wanted === undefined) return [];
  if (wanted === 'all') return all;
  if (/^\d+$/.test(wanted)) return draw(all, Number(wanted), random);
  const names = wanted.split(',');
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`there is no ${unknown}`);
  return names;
}

async function run({ quick, random, say }) {
  const { AFUNIX_MUTANTS, AFUNIX_STRYKER, AFUNIX_STRYKER_SAMPLE, AFUNIX_CARGO_MUTANTS } =
    process.env;
  const asked = [AFUNIX_MUTANTS, AFUNIX_STRYKER, AFUNIX_CARGO_MUTANTS, AFUNIX_STRYKER_SAMPLE];
  const isPart = asked.some((variable) => variable !== undefined);
  const isClean = AFUNIX_MUTANTS === 'clean';
  const [planted, stryker, cargo, sample] = isPart ? asked : quick ? [QUICK.join()] : WHOLE;
  const folder = makeCopy();
  try {
    if (isClean) return { rows: runClean(folder, faults, say), isPart };
    const names = choose(
      faults.map(({ name }) => name),
      planted,
      random,
    );
    const chosen = faults.filter(({ name }) => names.includes(name));
    const rows = [
      ...runPlanted(folder, chosen, say),
      ...runStryker(folder, choose(Object.keys(rooms), stryker, random), say),
      ...(sample === undefined ? [] : await runSample(folder, Number(sample), random, say)),
      ...runCargoMutants(folder, choose(testedFiles(), cargo, random), say),
    ];
    return { rows, isPart };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = {
  about:
    'Faults in lib/ and native/, one at a time: tests have to fail with each. Planted ones are a list of realistic ' +
    'mistakes; StrykerJS and cargo-mutants make theirs of every line. What is lost was not seen, and no reason is known ' +
    'why nothing could be seen.',
  limit: 12 * 3600,
  quickLimit: 600,
  run,
};
