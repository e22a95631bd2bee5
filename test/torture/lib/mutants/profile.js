'use strict';

// Owns: what each test file runs of lib/ without a fault, and how long it takes, so that mutants are judged by those that
// can see them, and the first that hangs is not waited for.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { CACHE, firstFailure } = require('./copy.js');

/** Milliseconds that a test file may take beyond three times what it took. */
const SPARE = 4_000;

const known = new Map();

/** All of lib/, of which any change may change what is run. */
function digestOf(folder, test) {
  const digest = createHash('sha256').update(fs.readFileSync(path.join(folder, test)));
  const names = fs.readdirSync(path.join(folder, 'lib'), { recursive: true });
  for (const name of names.filter((each) => each.endsWith('.js')).sort()) {
    digest.update(fs.readFileSync(path.join(folder, 'lib', name)));
  }
  return digest.digest('hex').slice(0, 16);
}

/** Where of each file something ran in any of the processes: the last function or block around a place counts. */
function read(folder, reports) {
  const files = {};
  const root = pathToFileURL(`${folder}/`).href;
  for (const name of fs.readdirSync(reports)) {
    let report;
    try {
      report = JSON.parse(fs.readFileSync(path.join(reports, name), 'utf8'));
    } catch {
      // Its process was killed while it wrote.
      continue;
    }
    for (const { url, functions } of report.result) {
      if (!url.startsWith(`${root}lib/`)) continue;
      const file = url.slice(root.length);
      const ranges = functions.flatMap((each) => each.ranges);
      ranges.sort(
        (one, other) => other.endOffset - other.startOffset - (one.endOffset - one.startOffset),
      );
      const ran = new Uint8Array(ranges[0]?.endOffset ?? 0);
      for (const { startOffset, endOffset, count } of ranges) {
        ran.fill(count > 0 ? 1 : 0, startOffset, endOffset);
      }
      const before = files[file];
      if (before === undefined) files[file] = ran;
      else ran.forEach((value, index) => (before[index] |= value));
    }
  }
  const text = Object.entries(files).map(([file, ran]) => [file, Buffer.from(ran.join(''))]);
  return Object.fromEntries(text.map(([file, ran]) => [file, ran.toString('latin1')]));
}

/** Runs a test file without a fault. */
function measure(folder, test) {
  const reports = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-profile-'));
  try {
    const started = performance.now();
    const failure = firstFailure(folder, [test], { variables: { NODE_V8_COVERAGE: reports } });
    const ms = Math.round(performance.now() - started);
    return { failure, ms, files: read(folder, reports) };
  } finally {
    fs.rmSync(reports, { recursive: true, force: true });
  }
}

/**
 * `{ failure, ms, limit, knows, covers }`: how it fails, or null; what it takes, and how many milliseconds a run with a
 * mutant has; whether it runs a file, and a place of it.
 */
function profileOf(folder, test) {
  if (!known.has(test)) {
    const name = `${test.replaceAll('/', '-')}-${digestOf(folder, test)}.json`;
    const place = path.join(CACHE, 'mutants', 'profiles', name);
    if (!fs.existsSync(place)) {
      const made = measure(folder, test);
      known.set(test, made);
      if (made.failure === null) {
        fs.mkdirSync(path.dirname(place), { recursive: true });
        fs.writeFileSync(place, JSON.stringify(made));
      }
    } else {
      known.set(test, { failure: null, ...JSON.parse(fs.readFileSync(place, 'utf8')) });
    }
  }
  const { failure, ms, files } = known.get(test);
  const knows = (file) => failure === null && files[file] !== undefined;
  // Where nothing is known of a file, processes may have run it that do not say what they ran.
  const covers = (file, place) =>
    failure === null && (files[file] === undefined || files[file][place] === '1');
  return { failure, ms, limit: SPARE + 3 * ms, knows, covers };
}

/** Test files that failed without a mutant, and are not asked about any. */
const failures = () =>
  [...known.values()].map(({ failure }) => failure).filter((it) => it !== null);

module.exports = { failures, profileOf };
