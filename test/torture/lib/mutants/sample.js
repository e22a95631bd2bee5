'use strict';

// Owns: mutants of StrykerJS that are drawn over all of lib/, so that a figure for the whole is had in an hour. Stryker
// lists them; each is then put into the source by itself, and the test files that run what it changes are run, those of
// its room first, up to the first failure, where Stryker's own runner would need all of them for each.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { CACHE } = require('./copy.js');
const { isLate, judge, profiled } = require('./judge.js');
const { failures } = require('./profile.js');
const { isExplained } = require('./reports.js');
const rooms = require('./rooms.js');
const { EXCLUDED, describe, install } = require('./stryker.js');
const { draw } = require('../random.js');

/** Milliseconds from which on a test file is a slow one. */
const SLOW = 5_000;
/** Milliseconds of tests of other rooms. */
const MORE = 30_000;
/** Where tests are that may see any mutant. */
const FOLDERS = ['dgram', 'seqpacket', 'usocket', 'posix', 'compat', 'descriptors', 'sockets'];
/** What became of a mutant is kept for as long as its file and the tests are the same. */
const KEPT = path.join(CACHE, 'mutants', 'sample.json');

/** A location in the way of Stryker's reports. */
function countFromOne({ start, end }) {
  const [from, to] = [start, end].map(({ line, column }) => ({
    line: line + 1,
    column: column + 1,
  }));
  return { start: from, end: to };
}

/** Every mutant of these files of lib/: `{ file, start, end, replacement, survivor }`, by their places in the text. */
async function mutantsOf(instrumenter, folder, files) {
  const { Instrumenter } = await import(instrumenter);
  const logger = { debug() {}, info() {}, warn() {}, isDebugEnabled: () => false };
  const options = { plugins: null, excludedMutations: EXCLUDED, ignorers: [] };
  const found = [];
  for (const file of files) {
    const content = fs.readFileSync(path.join(folder, file), 'utf8');
    const place = [{ name: file, mutate: true, content }];
    const { mutants } = await new Instrumenter(logger).instrument(place, options);
    const starts = [0, ...[...content.matchAll(/\n/g)].map(({ index }) => index + 1)];
    for (const { location, replacement, status } of mutants) {
      if (status === 'Ignored') continue;
      const [start, end] = [location.start, location.end].map(
        ({ line, column }) => starts[line] + column,
      );
      const survivor = describe(content, { location: countFromOne(location), replacement });
      found.push({ file, start, end, replacement, survivor });
    }
  }
  return found;
}

/** What was found out about mutants in runs before, if none of the files that matter has changed since. */
class Kept {
  constructor(folder) {
    this.folder = folder;
    this.digests = new Map();
    this.found = fs.existsSync(KEPT) ? JSON.parse(fs.readFileSync(KEPT, 'utf8')) : {};
  }

  digest(...files) {
    const hash = createHash('sha256');
    for (const file of files) hash.update(this.text(file));
    return hash.digest('hex').slice(0, 16);
  }

  text(file) {
    if (!this.digests.has(file)) {
      this.digests.set(file, fs.readFileSync(path.join(this.folder, file)));
    }
    return this.digests.get(file);
  }

  key({ file, start, end, replacement }) {
    return `${file} ${this.digest(file)} ${start}-${end} ${replacement}`;
  }

  /** The first test that failed, null if none did, or undefined. */
  get(mutant, tests) {
    const known = this.found[this.key(mutant)];
    if (known === undefined) return undefined;
    const files = known.by === null ? tests : [known.file];
    return this.digest(...files) === known.tests ? known.by : undefined;
  }

  /** Whether a run before saw nothing of it. */
  hasSurvived(mutant) {
    return this.found[this.key(mutant)]?.by === null;
  }

  set(mutant, tests, by) {
    // Another run may have written meanwhile.
    if (fs.existsSync(KEPT)) Object.assign(this.found, JSON.parse(fs.readFileSync(KEPT, 'utf8')));
    const file = by === null ? null : tests.find((name) => by.startsWith(name));
    const digest = this.digest(...(file === null ? tests : [file]));
    this.found[this.key(mutant)] = { by, file, tests: digest };
    fs.mkdirSync(path.dirname(KEPT), { recursive: true });
    fs.writeFileSync(KEPT, JSON.stringify(this.found, null, 1));
  }
}

/** Every test file that may see a mutant, but for those that install or build something. */
function findTests(folder) {
  return FOLDERS.flatMap((room) => {
    const names = fs.readdirSync(path.join(folder, 'test', room));
    const files = names.filter((name) => name.endsWith('.test.js'));
    return files.map((name) => `test/${room}/${name}`);
  });
}

/**
 * The tests that run what a mutant changes: `{ test, limit }`. Those of its room come first, the slow ones last; others
 * follow, the quickest first, for a while.
 */
function choose(folder, { file, start }, others) {
  const profile = (test) => profiled(folder, test);
  const runs = ({ covers }) => covers(file, start);
  const room = rooms[file].map(profile);
  const [quick, slow] = [false, true].map((wanted) =>
    room.filter(({ ms }) => ms > SLOW === wanted),
  );
  let sum = 0;
  const more = others
    .filter((test) => !rooms[file].includes(test))
    .map(profile)
    .filter((one) => one.knows(file) && runs(one))
    .sort((one, other) => one.ms - other.ms)
    .filter(({ ms }) => (sum += ms) < MORE);
  const chosen = [...quick.filter(runs), ...slow.filter(runs), ...more];
  // A process that was killed has not said what it ran.
  return chosen.length > 0 ? chosen : room.filter(({ failure }) => failure === null);
}

/** Whether a module consists of this. */
function isCode(source) {
  try {
    new vm.Script(`(function () {${source}\n})`);
    return true;
  } catch {
    return false;
  }
}

/** What `run` returns while a mutant is in its file. */
function withMutant(folder, { file, start, end, replacement }, run) {
  const place = path.join(folder, file);
  const source = fs.readFileSync(place, 'utf8');
  const put = (code) => source.slice(0, start) + code + source.slice(end);
  // What stood between two operators may be no code there without parentheses: `a && b ?? c`.
  const mutated = [replacement, `(${replacement})`].map(put).find(isCode);
  if (mutated === undefined) throw new Error(`${file} with ${replacement} at ${start} is no code`);
  fs.writeFileSync(place, mutated);
  try {
    return run();
  } finally {
    fs.writeFileSync(place, source);
  }
}

/** The interval that a share of a sample stands for with 95 %, Wilson's, in percent. */
function interval(hits, size) {
  const z = 1.96;
  const share = hits / size;
  const middle = share + z ** 2 / (2 * size);
  const half = z * Math.sqrt((share * (1 - share)) / size + z ** 2 / (4 * size ** 2));
  return [middle - half, middle + half].map((end) => (100 * end) / (1 + z ** 2 / size));
}

/** A mutant in the words of the source. */
const nameOf = ({ file, survivor: { at, from, becomes } }) =>
  `${file}:${at} \`${from}\` → \`${becomes}\``;

/** The row of a part of lib/, or of all of it. */
function rowOf(what, results) {
  const killed = results.filter(({ by }) => by !== null);
  const late = killed.filter(({ by }) => isLate(by));
  const survivors = results.filter(({ by }) => by === null);
  const open = survivors.filter(({ file, survivor }) => !isExplained(file, survivor));
  const tried = results.length;
  const anew = killed.filter(({ hasSurvived }) => hasSurvived).length;
  // What a test was written for since says nothing of the mutants that were not tried.
  const [low, high] = interval(killed.length - anew, tried).map((end) => end.toFixed(1));
  const note = [
    `killed ${killed.length} (${late.length} by time), equivalent ${survivors.length - open.length}`,
    ...(anew > 0 ? [`${anew} of them by tests written since a run before`] : []),
    `${((100 * killed.length) / tried).toFixed(1)} % killed, of all ${low} to ${high} % with 95 %`,
    ...open.map((mutant) => `open: ${nameOf(mutant)}`),
  ];
  return { what, tried, lost: open.length, note: note.join('; ') };
}

/** Rows for `size` mutants of lib/: one for each of its folders and one for all. */
async function runSample(folder, size, random, say) {
  const { instrumenter, skip } = install();
  if (skip !== undefined) {
    return [{ what: 'sample of lib/', tried: 0, lost: 0, note: `not tried: ${skip}` }];
  }
  const all = await mutantsOf(instrumenter, folder, Object.keys(rooms));
  const others = findTests(folder);
  const kept = new Kept(folder);
  const results = draw(all, size, random).map((mutant, index) => {
    const { file, survivor } = mutant;
    const isKnown = isExplained(file, survivor);
    const tests = isKnown ? [] : choose(folder, mutant, others);
    const names = tests.map(({ test }) => test);
    const hasSurvived = kept.hasSurvived(mutant);
    let by = isKnown ? null : kept.get(mutant, names);
    if (by === undefined) {
      by = judge(folder, tests, (run) => withMutant(folder, mutant, run));
      kept.set(mutant, names, by);
    }
    say(`${index + 1} ${nameOf(mutant)}: ${by ?? (isKnown ? 'equivalent' : 'survived')}`);
    return { file, by, survivor, hasSurvived };
  });
  const parts = [...new Set(results.map(({ file }) => path.dirname(file)))].sort();
  const broken = failures();
  return [
    {
      what: 'test files that fail without a mutant',
      tried: others.length,
      lost: broken.length,
      note: broken.join('; '),
    },
    ...parts.map((part) =>
      rowOf(
        `sample of ${part}/`,
        results.filter(({ file }) => path.dirname(file) === part),
      ),
    ),
    rowOf(`sample of lib/, ${all.length} mutants`, results),
  ];
}

module.exports = { runSample };
