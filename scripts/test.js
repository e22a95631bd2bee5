'use strict';

// `npm test`: sets up, builds and runs every check to its end, then names those that failed.
//   npm test -- --only js,clippy      some steps
//   npm test -- test/dgram/dgram.test.js    some JavaScript test files
// All cargo steps use the release profile: they share the compiled dependencies with the build.

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { build } = require('./build.js');
const { cargo } = require('./cargo.js');
const { setup } = require('./setup.js');
const { ROOT, Stop, main, run } = require('./tools.js');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' } },
});

/** Runs the command-line program of an installed npm package. */
const npmProgram = (file, ...args) => run(process.execPath, [require.resolve(file), ...args]);

/** All test files, relative to the root, in a stable order. */
function testFiles() {
  return fs
    .readdirSync(path.join(ROOT, 'test'), { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .sort()
    .map((name) => path.join('test', name));
}

/** Runs each file in a process of its own. The time limit is for a test; on Node 20, for a file. */
function runTests() {
  const files = positionals.length > 0 ? positionals : testFiles();
  if (files.length === 0) throw new Stop('no test files under test/.');
  const options = ['--test-concurrency=2', '--test-timeout=600000', '--test-reporter=spec'];
  return run(process.execPath, ['--test', '--expose-gc', ...options, ...files]);
}

/** Name → check, which returns an exit code or throws. Run in this order. */
const STEPS = {
  build,
  fmt: () => cargo(['fmt', '--check']),
  clippy: () =>
    cargo(['clippy', '--release', '--all-targets', '--locked', '--', '--deny', 'warnings']),
  rust: () => cargo(['test', '--release', '--locked']),
  eslint: () => npmProgram('../node_modules/eslint/bin/eslint.js', '--max-warnings=0', '.'),
  prettier: () => npmProgram('prettier/bin/prettier.cjs', '--check', '.'),
  types: () => npmProgram('typescript/bin/tsc', '--noEmit', '--project', 'test/types'),
  symbols: () => run(process.execPath, ['scripts/check-symbols.js']),
  js: runTests,
  torture: () => run(process.execPath, ['test/torture/run.js', '--quick']),
};

/** The steps that load the addon: they bring the build with them, and mean nothing after it failed. */
const ON_ADDON = ['symbols', 'js', 'torture'];

/** The steps asked for, in order. */
function chosenSteps() {
  if (values.only === undefined) {
    return positionals.length > 0 ? ['build', 'js'] : Object.keys(STEPS);
  }
  const wanted = values.only.split(',');
  const unknown = wanted.filter((name) => !(name in STEPS));
  if (unknown.length > 0) {
    throw new Stop(`there is no step ${unknown}; there are ${Object.keys(STEPS).join(', ')}.`);
  }
  if (wanted.some((name) => ON_ADDON.includes(name))) wanted.push('build');
  return Object.keys(STEPS).filter((name) => wanted.includes(name));
}

/** Runs one step under its heading; a failed step never ends the others. */
function runStep(name) {
  console.log(`\n=== ${name}`);
  const started = performance.now();
  let passed;
  try {
    passed = (STEPS[name]() ?? 0) === 0;
  } catch (error) {
    console.error(error instanceof Stop ? error.message : error);
    passed = false;
  }
  const time = `${((performance.now() - started) / 1000).toFixed(1)} s`;
  console.log(`--- ${name}: ${passed ? 'passed' : 'FAILED'} in ${time}`);
  return { name, passed, time };
}

main(() => {
  const names = chosenSteps();
  setup();
  const results = [];
  for (const name of names) {
    const stale =
      ON_ADDON.includes(name) && results.some((done) => done.name === 'build' && !done.passed);
    results.push(stale ? { name, passed: false, time: 'not run' } : runStep(name));
  }
  console.log('\n=== summary');
  for (const { name, passed, time } of results) {
    console.log(`${passed ? 'passed' : 'FAILED'}  ${name.padEnd(8)}${time.padStart(8)}`);
  }
  const failed = results.filter(({ passed }) => !passed).map(({ name }) => name);
  console.log(failed.length === 0 ? 'All steps passed.' : `Failed: ${failed.join(', ')}.`);
  return failed.length === 0 ? 0 : 1;
});
