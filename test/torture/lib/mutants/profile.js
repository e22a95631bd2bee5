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
    const failure = firstFailure(folder, [test], { NODE_V8_COVERAGE: reports });
    if (failure !== null) throw new Error(`without a mutant, ${failure}`);
    return { ms: Math.round(performance.now() - started), files: read(folder, reports) };
  } finally {
    fs.rmSync(reports, { recursive: true, force: true });
  }
}

/** `{ ms, limit, covers }`: what it takes, milliseconds for a run with a mutant, and whether a place of a file is run at all. */
function profileOf(folder, test) {
  if (!known.has(test)) {
    const name = `${test.replaceAll('/', '-')}-${digestOf(folder, test)}.json`;
    const place = path.join(CACHE, 'mutants', 'profiles', name);
    if (!fs.existsSync(place)) {
      const made = measure(folder, test);
      fs.mkdirSync(path.dirname(place), { recursive: true });
      fs.writeFileSync(place, JSON.stringify(made));
    }
    known.set(test, JSON.parse(fs.readFileSync(place, 'utf8')));
  }
  const { ms, files } = known.get(test);
  // Where nothing is known of a file, processes may have run it that do not say what they ran.
  const covers = (file, place) => files[file] === undefined || files[file][place] === '1';
  return { ms, limit: SPARE + 3 * ms, covers };
}

module.exports = { profileOf };
