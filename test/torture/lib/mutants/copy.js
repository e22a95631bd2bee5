'use strict';

// Owns: the copy of the project that faults are planted in, so that the checkout keeps its own: making it, planting,
// building, running tests there.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..', '..', '..');
/** Tools that only this needs, and their results. */
const CACHE = path.join(ROOT, '.cache');
/** Where cargo compiles: the crates that this one needs are compiled once, whatever becomes of copies. */
const TARGET = path.join(CACHE, 'mutants', 'target');
const COPIED = [
  ...['lib', 'native', 'test', 'scripts', 'examples', 'docs', 'bench', 'build'],
  ...['package.json', 'package-lock.json', 'Cargo.toml', 'Cargo.lock', 'build.rs', 'binding.gyp'],
  ...['addon.js', 'descriptors.js', 'posix.js', 'socketpair.js', 'rustfmt.toml'],
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE'],
];
/** Milliseconds for the tests of one fault. */
const LIMIT = 240_000;
/** Fast to build rather than fast. */
const BUILD = {
  CARGO_TARGET_DIR: TARGET,
  CARGO_PROFILE_RELEASE_LTO: 'off',
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '64',
  CARGO_PROFILE_RELEASE_INCREMENTAL: 'true',
  CARGO_PROFILE_RELEASE_OPT_LEVEL: '1',
};

const copyTree = (from, to) => fs.cpSync(from, to, { recursive: true, preserveTimestamps: true });

/** Makes the copy in a folder of its own: the folder. Whoever asked for it removes it. */
function makeCopy() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-mutants-'));
  for (const name of COPIED.filter((each) => fs.existsSync(path.join(ROOT, each)))) {
    copyTree(path.join(ROOT, name), path.join(folder, name));
  }
  for (const name of ['node_modules', '.cache']) {
    if (fs.existsSync(path.join(ROOT, name))) {
      fs.symlinkSync(path.join(ROOT, name), path.join(folder, name));
    }
  }
  return folder;
}

/** Runs a program in the copy, to its end or for `limit` milliseconds. */
function runIn(folder, command, args, { limit = LIMIT, variables = {} } = {}) {
  const env = { ...process.env, ...variables };
  const options = { cwd: folder, encoding: 'utf8', env, timeout: limit, maxBuffer: 1 << 28 };
  return spawnSync(command, args, options);
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

/** Builds the addon in the copy: `''`, or the end of what the compiler said. */
function build(folder) {
  const options = { limit: 600_000, variables: BUILD };
  const built = runIn(folder, process.execPath, ['scripts/build.js'], options);
  return built.status === 0 ? '' : built.stderr.slice(-300);
}

/** The addon of the checkout again. */
function restoreAddon(folder) {
  copyTree(path.join(ROOT, 'build'), path.join(folder, 'build'));
}

/** Runs test files up to the first failure: what failed, or null. The options are those of runIn(). */
function firstFailure(folder, files, options) {
  const program = path.join('test', 'torture', 'lib', 'mutants', 'first-failure.js');
  const { status, stdout } = runIn(folder, process.execPath, [program, ...files], options);
  return status === 0 ? null : stdout.trim() || 'not done in time';
}

module.exports = { CACHE, ROOT, TARGET, build, firstFailure, makeCopy, plant, restoreAddon, runIn };
