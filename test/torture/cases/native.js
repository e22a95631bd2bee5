'use strict';

// Owns: the Rust tests, with many times the random inputs of `npm test`, where a fault that tests do
// not notice is reported: under AddressSanitizer, and under Miri what makes no system calls. Each
// compiles into a folder of its own below target/. Nothing is installed here.

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { cargoEnvironment } = require('../../../scripts/cargo.js');

const ROOT = path.join(__dirname, '..', '..', '..');

/** How often each randomized test tries, for each seed. Miri is much slower. */
const ASAN_ROUNDS = 10_000;
const ASAN_SEEDS = 4;
const MIRI_ROUNDS = 100;
const MIRI_SEEDS = 2;
/** Milliseconds for one run, the first of which compiles. */
const LIMIT = 400_000;

/** Systems that Rust has AddressSanitizer for. */
const ASAN_TARGETS = [
  ...['x86_64-unknown-linux-gnu', 'aarch64-unknown-linux-gnu'],
  ...['x86_64-apple-darwin', 'aarch64-apple-darwin'],
];
/** What runs without system calls that Miri does not know. */
const MIRI_TESTS = [
  ...['sys::unix_addr::tests', 'sys::sockaddr::tests', 'sys::ancillary::tests'],
  ...['node::view::tests', 'engine::sockets::tests'],
];
const GET_MIRI = '`rustup toolchain install nightly --component miri --component rust-src`';

/** A command that has to be there already: rustup brings no toolchain for it. */
const WITHOUT_INSTALLING = { ...process.env, RUSTUP_AUTO_INSTALL: '0' };

function output(command, args) {
  const options = { cwd: ROOT, encoding: 'utf8', env: WITHOUT_INSTALLING };
  const { status, stdout } = spawnSync(command, args, options);
  return status === 0 ? stdout.trim() : null;
}

/** The toolchain's own system, `x86_64-unknown-linux-gnu` and the like. */
const hostTarget = () => /^host: (.+)$/m.exec(output('rustc', ['-vV']) ?? '')?.[1];

/** Whether there is a Miri with the sources that it compiles; without them it would fetch them. */
function hasMiri() {
  const nightly = (...args) => output('rustup', ['run', 'nightly', ...args]);
  const sysroot = nightly('rustc', '--print', 'sysroot');
  if (sysroot === null || nightly('cargo', 'miri', '--version') === null) return false;
  return fs.existsSync(path.join(sysroot, 'lib', 'rustlib', 'src', 'rust', 'library', 'std'));
}

/** Runs the tests once. Resolves to what cargo said, both outputs in one. */
function runTests(cargo, filter, variables) {
  const args = [...cargo, '--', ...filter, '--show-output'];
  const child = spawn('cargo', args, {
    cwd: ROOT,
    env: { ...cargoEnvironment(), RUSTUP_AUTO_INSTALL: '0', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: what cargo runs ends with it.
    detached: true,
  });
  const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), LIMIT);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ text, end: signal ?? code });
    });
  });
}

/** `{ tests, rounds, reports }` of one run: `reports` are lines that name a fault. */
function read({ text, end }, seed) {
  const sum = (pattern) =>
    [...text.matchAll(pattern)].reduce((total, [, number]) => total + Number(number), 0);
  const tests = sum(/^test result: .* (\d+) passed;/gm);
  const rounds = sum(new RegExp(`^(\\d+) rounds with seed ${seed}$`, 'gm'));
  const isReport =
    /ERROR: (Address|Leak)Sanitizer|error: (Undefined Behavior|memory leaked|unsupported)|^test .* FAILED$/;
  const reports = text.split('\n').filter((line) => isReport.test(line));
  // Whatever it was: it did not end well, or tried nothing.
  if (reports.length === 0 && end !== 0) reports.push(`ended with ${end}`);
  if (reports.length === 0 && rounds === 0) reports.push('no randomized test has run');
  return { tests, rounds, reports };
}

/** Several runs with seeds of their own, as one row. */
async function row(what, { cargo, filter, variables, count, seeds }, { random, say }) {
  const lost = [];
  let tried = 0;
  let tests = 0;
  for (let run = 0; run < seeds; run++) {
    const seed = Math.floor(random() * 2 ** 32);
    say(`${what}, seed ${seed}`);
    const result = await runTests(cargo, filter, variables(seed, count));
    const found = read(result, seed);
    tried += found.rounds;
    tests = Math.max(tests, found.tests);
    lost.push(...found.reports);
    if (found.reports.length > 0) say(`seed ${seed}: ${result.text.slice(-20_000)}`);
  }
  const note = lost.length > 0 ? lost[0] : `${tests} tests, ${seeds} seeds`;
  return { what, tried: `${tried} rounds`, lost: lost.length, note };
}

const skippedRow = (what, reason) => ({ what, tried: 0, lost: 0, note: `skipped: ${reason}` });

function asanRow(tools) {
  const what = 'Rust tests under AddressSanitizer';
  const target = hostTarget();
  if (!ASAN_TARGETS.includes(target)) return skippedRow(what, `Rust has none for ${target}`);
  const run = {
    // With a target named, build scripts and macros are compiled without it.
    cargo: ['test', '--locked', '--target', target, '--target-dir', 'target/asan'],
    filter: [],
    variables: (seed, count) => ({
      AFUNIX_FUZZ_SEED: `${seed}`,
      AFUNIX_FUZZ_ROUNDS: `${count}`,
      // The option is an unstable one of a compiler that has it all the same.
      RUSTC_BOOTSTRAP: '1',
      RUSTFLAGS: '-Zsanitizer=address',
      ASAN_OPTIONS: 'detect_stack_use_after_return=1',
    }),
    count: ASAN_ROUNDS,
    seeds: ASAN_SEEDS,
  };
  return row(what, run, tools);
}

function miriRow(tools) {
  const what = 'Rust tests of the codecs under Miri';
  if (!hasMiri()) return skippedRow(what, `no Miri here: ${GET_MIRI}`);
  const run = {
    cargo: ['miri', 'test', '--locked', '--target-dir', 'target/miri'],
    filter: MIRI_TESTS,
    variables: (seed, count) => ({
      RUSTUP_TOOLCHAIN: 'nightly',
      MIRIFLAGS: [
        // Tests open /dev/null.
        ...['-Zmiri-disable-isolation', '-Zmiri-symbolic-alignment-check'],
        // From the environment it takes what was there when it compiled.
        ...[
          `-Zmiri-env-set=AFUNIX_FUZZ_SEED=${seed}`,
          `-Zmiri-env-set=AFUNIX_FUZZ_ROUNDS=${count}`,
        ],
      ].join(' '),
    }),
    count: MIRI_ROUNDS,
    seeds: MIRI_SEEDS,
  };
  return row(what, run, tools);
}

async function run({ quick, random, say }) {
  if (quick) return { skipped: 'the long form only; `npm test` runs these tests as such' };
  const tools = { random, say };
  return [await asanRow(tools), await miriRow(tools)];
}

module.exports = {
  about:
    'The Rust tests with many random inputs, their unsafe code under AddressSanitizer and that of ' +
    'the codecs under Miri.',
  limit: 2600,
  run,
};
