'use strict';

// The tests are tested: each fault of a list is planted in a copy of the project, which is built, and the tests of
// its room have to fail. AFUNIX_MUTANTS=name,name plants only those; AFUNIX_MUTANTS=clean runs the same tests without
// a fault, all of which have to pass.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const faults = require('../lib/mutants-faults.js');

const ROOT = path.join(__dirname, '..', '..', '..');
/** What is copied, so that a fault touches nothing of the checkout. */
const COPIED = [
  ...['lib', 'native', 'test', 'scripts', 'examples', 'docs', 'build'],
  ...['package.json', 'package-lock.json', 'Cargo.toml', 'Cargo.lock', 'build.rs', 'binding.gyp'],
  ...['addon.js', 'posix.js', 'socketpair.js', 'rustfmt.toml', 'README.md', 'CONTRIBUTING.md'],
];
/** The short form tries these: one that needs no build for each room. */
const QUICK = new Set(['timeout-timer-reused', 'drain-at-the-mark', 'compat-waiting-size']);
/** Milliseconds for the tests of one fault. */
const LIMIT = 240_000;
/** Fast to build rather than fast. */
const BUILD = { CARGO_PROFILE_RELEASE_LTO: 'off', CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16' };

function makeCopy(folder) {
  for (const name of COPIED.filter((each) => fs.existsSync(path.join(ROOT, each)))) {
    fs.cpSync(path.join(ROOT, name), path.join(folder, name), {
      recursive: true,
      preserveTimestamps: true,
    });
  }
  for (const name of ['node_modules', '.cache']) {
    if (fs.existsSync(path.join(ROOT, name))) {
      fs.symlinkSync(path.join(ROOT, name), path.join(folder, name));
    }
  }
}

/** Crates that are compiled already are not compiled again. Only where something native is built. */
function copyTarget(folder) {
  const target = path.join(ROOT, 'target');
  if (fs.existsSync(path.join(folder, 'target')) || !fs.existsSync(target)) return;
  spawnSync('cp', ['-a', '--reflink=auto', target, folder]);
}

function runIn(folder, command, args, limit) {
  const env = { ...process.env, ...BUILD };
  return spawnSync(command, args, { cwd: folder, encoding: 'utf8', env, timeout: limit });
}

/** Plants the edits, or says which does not apply. Returns how to take them out again. */
function plant(folder, edits) {
  const originals = new Map();
  for (const { file, search, replace } of edits) {
    const place = path.join(folder, file);
    const text = fs.readFileSync(place, 'utf8');
    const parts = text.split(search);
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${search}`);
    if (!originals.has(place)) originals.set(place, text);
    fs.writeFileSync(place, parts.join(replace));
  }
  return () => {
    for (const [place, text] of originals) fs.writeFileSync(place, text);
  };
}

/** Whether the tests pass, and the names of those that do not. */
function runTests(folder, files) {
  const args = ['--test', '--expose-gc', '--test-timeout=100000', '--test-reporter=tap', ...files];
  const { status, stdout } = runIn(folder, process.execPath, args, LIMIT);
  const failed = [...stdout.matchAll(/^ *not ok \d+ - (.*)$/gm)].map(([, name]) => name);
  return { passes: status === 0, failed };
}

/** Tries one fault: `''` if the tests saw it, or why not. */
function tryFault(folder, { edits, tests }) {
  let restore;
  try {
    restore = plant(folder, edits);
  } catch ({ message }) {
    return `does not apply: ${message}`;
  }
  const isNative = edits.some(({ file }) => file.startsWith('native/'));
  try {
    if (isNative) {
      copyTarget(folder);
      const built = runIn(folder, process.execPath, ['scripts/build.js'], 600_000);
      if (built.status !== 0) return `does not build: ${built.stderr.slice(-300)}`;
    }
    return runTests(folder, tests).passes ? 'survived' : '';
  } finally {
    restore();
    // The next fault begins with the addon of the checkout again.
    if (isNative) {
      fs.cpSync(path.join(ROOT, 'build'), path.join(folder, 'build'), {
        recursive: true,
        preserveTimestamps: true,
      });
    }
  }
}

async function run({ quick, say }) {
  const only = process.env.AFUNIX_MUTANTS?.split(',');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-mutants-'));
  try {
    makeCopy(folder);
    if (only?.[0] === 'clean') {
      const files = [...new Set(faults.flatMap(({ tests }) => tests))];
      const { passes, failed } = runTests(folder, files);
      return [
        { what: 'no fault', tried: files.length, lost: passes ? 0 : 1, note: failed.join('; ') },
      ];
    }
    const isChosen = ({ name }) => only?.includes(name) ?? (!quick || QUICK.has(name));
    const rows = new Map();
    for (const fault of faults.filter(isChosen)) {
      const [place] = fault.edits[0].file.split('/');
      const row = rows.get(place) ?? { what: `faults in ${place}/`, tried: 0, lost: 0, note: '' };
      rows.set(place, row);
      row.tried++;
      const why = tryFault(folder, fault);
      say(`${fault.name}: ${why || 'seen'}`);
      if (why === '') continue;
      row.lost++;
      row.note += `${row.note && '; '}${fault.name} (${fault.breaks}): ${why}`.replaceAll('|', '/');
    }
    return [...rows.values()];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = {
  about:
    'Faults that are planted in lib/ and native/, one at a time: the tests of the room have to fail with each. What is lost was not seen, or does not apply any more.',
  limit: 7200,
  quickLimit: 600,
  run,
};
