'use strict';

// Owns: cargo-mutants over the files of native/ that the Rust tests reach. It is installed into .cache/ by the first
// run.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { CACHE, ROOT, TARGET, runIn } = require('./copy.js');
const { reportOf, rowOf } = require('./reports.js');
const { cargoEnvironment } = require('../../../../scripts/cargo.js');

const VERSION = '27.1.0';
const FOLDER = path.join(CACHE, `cargo-mutants-${VERSION}`);
/** Milliseconds to compile it, and for the mutants of one file. */
const LIMIT = 3_600_000;
const ELSEWHERE =
  /^ *#\[cfg\((not\(target_os = "linux"\)|target_(os|vendor) = "(macos|apple)")\)\]$/;
/** Each mutant is compiled and tested once: a tenth of the random rounds sees what the rest would. */
const FAST = { CARGO_PROFILE_DEV_DEBUG: '0', AFUNIX_FUZZ_ROUNDS: '200' };
/** What it ends with where the tests fail without a mutant. */
const UNTESTED = 4;

/** Its environment, or why it is not there: `{ env }` or `{ skip }`. */
function install() {
  const program = path.join(FOLDER, 'bin', 'cargo-mutants');
  if (!fs.existsSync(program)) {
    const args = ['install', `cargo-mutants@${VERSION}`, '--locked', '--root', FOLDER];
    const { status, stderr } = spawnSync('cargo', args, { encoding: 'utf8', timeout: LIMIT });
    if (status !== 0) return { skip: `cargo cannot install it: ${stderr.trim().slice(-200)}` };
  }
  const PATH = `${path.dirname(program)}${path.delimiter}${process.env.PATH}`;
  return { variables: { ...cargoEnvironment(), ...FAST, PATH, CARGO_TARGET_DIR: TARGET } };
}

/** The files of native/sys and others whose tests need no Node. */
function testedFiles() {
  return fs
    .readdirSync(path.join(ROOT, 'native'), { recursive: true })
    .filter((name) => name.endsWith('.rs') && path.basename(name) !== 'tests.rs')
    .map((name) => path.posix.join('native', name))
    .filter((name) => testsOf(name).length > 0 || hasTests(name))
    .sort();
}

const hasTests = (name) => /#\[cfg\(test\)\]/.test(fs.readFileSync(path.join(ROOT, name), 'utf8'));

/** Where a file's tests are, if they are not in it. */
function testsOf(file) {
  const tests = `${file.slice(0, -3)}/tests.rs`;
  return fs.existsSync(path.join(ROOT, tests)) ? [tests] : [];
}

/** A mutant without its position, which changes with what is above it. */
function describe({ Mutant: { name, function: it } }) {
  const becomes = name.replace(/^\S+: /, '');
  return { line: it?.function_name ?? '', becomes };
}

/** Whether a mutant is in code of another system, which is not even compiled here. */
function isElsewhere(source, { Mutant: { span } }) {
  const lines = source.split('\n');
  return lines.some((line, index) => {
    if (!ELSEWHERE.test(line)) return false;
    const indent = /^ */.exec(line)[0];
    // An item, a block or a statement goes on to the next line that is indented as it is.
    const isEnd = (text) =>
      text.startsWith(indent) && /^([)}\]]|.*;$)/.test(text.slice(indent.length));
    const last = lines.findIndex((text, other) => other > index && isEnd(text));
    return index + 1 < span.start.line && span.start.line <= last + 1;
  });
}

/** Mutates one file: a report. */
function mutate(variables, folder, file) {
  const results = path.join(folder, 'cargo-mutants');
  fs.rmSync(results, { recursive: true, force: true });
  const args = ['mutants', '--in-place', '--file', file, '--output', results, '--no-shuffle'];
  const how = ['--colors=never', '--minimum-test-timeout=30', '--', '--locked'];
  // An older copy may have left a mutant in cargo's folder, which passes for this copy's build by the times of its files.
  const now = new Date();
  fs.utimesSync(path.join(folder, 'native', 'lib.rs'), now, now);
  const options = { limit: LIMIT, variables };
  const { status, stderr, stdout } = runIn(folder, 'cargo', [...args, ...how], options);
  if (status === UNTESTED) return { failure: 'the tests fail without a mutant' };
  const place = path.join(results, 'mutants.out', 'outcomes.json');
  if (!fs.existsSync(place)) return { failure: `no report: ${`${stdout}${stderr}`.slice(-300)}` };
  const { outcomes, end_time: end } = JSON.parse(fs.readFileSync(place, 'utf8'));
  if (end === null) return { failure: 'not done in time' };
  const source = fs.readFileSync(path.join(folder, file), 'utf8');
  const mutants = outcomes.filter(({ scenario }) => scenario !== 'Baseline');
  const here = mutants.filter(({ scenario }) => !isElsewhere(source, scenario));
  const [caught, timeout, missed] = ['CaughtMutant', 'Timeout', 'MissedMutant'].map((wanted) =>
    here.filter(({ summary }) => summary === wanted),
  );
  return {
    killed: caught.length,
    late: timeout.length,
    survivors: missed.map(({ scenario }) => describe(scenario)),
  };
}

/** Rows for these files of native/. */
function runCargoMutants(folder, files, say) {
  if (files.length === 0) return [];
  const { variables, skip } = install();
  if (skip !== undefined) {
    return [{ what: 'cargo-mutants', tried: 0, lost: 0, note: `not tried: ${skip}` }];
  }
  return files.map((file) => {
    const make = () => mutate(variables, folder, file);
    const report = reportOf(`cargo-mutants ${VERSION}`, file, testsOf(file), make);
    const row = rowOf('cargo-mutants', file, report);
    say(`${file}: ${row.note}`);
    return row;
  });
}

module.exports = { runCargoMutants, testedFiles };
