'use strict';

// Builds the addon with cargo and puts it at build/Release/afunix.node, where lib/native/binding.js looks
// first, without its table of symbols: cargo's own file, LIBRARY, keeps that for debuggers and for the
// check for libuv. Does not even start cargo when no source is newer. binding.gyp calls this file too.
// `--inputs` prints the files that the build depends on.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { checkToolchain, cargoEnvironment } = require('./cargo.js');
const { ROOT, Stop, main, output, run } = require('./tools.js');

const ADDON = path.join(ROOT, 'build', 'Release', 'afunix.node');

/** Where cargo puts the library, unless it is told otherwise. */
const LIBRARY = path.join(
  process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target'),
  'release',
  process.platform === 'darwin' ? 'libafunix.dylib' : 'libafunix.so',
);

/** Everything the build depends on, relative to the root; folders too, since files may go away. */
function inputs() {
  const sources = fs.readdirSync(path.join(ROOT, 'native'), { recursive: true }).sort();
  return [
    ...['Cargo.toml', 'Cargo.lock', 'build.rs', 'native'],
    ...sources.map((name) => path.join('native', name)),
  ].filter((name) => fs.existsSync(path.join(ROOT, name)));
}

/** Whether the addon is at least as new as all that it is made of. */
function upToDate() {
  const built = fs.statSync(ADDON, { throwIfNoEntry: false });
  return (
    built !== undefined &&
    inputs().every((name) => fs.statSync(path.join(ROOT, name)).mtimeMs <= built.mtimeMs)
  );
}

/**
 * Runs the release build and returns the path of the library that cargo names.
 * @param {string[]} [options] more arguments for cargo
 * @param {Record<string, string>} [variables] more environment variables
 */
function compile(options = [], variables = {}) {
  const args = ['build', '--release', '--locked', '--message-format=json-render-diagnostics'];
  const result = spawnSync('cargo', [...args, ...options], {
    cwd: ROOT,
    env: { ...cargoEnvironment(), ...variables },
    stdio: ['inherit', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: Infinity,
  });
  if (result.error) throw new Stop(`cargo cannot be run: ${result.error.message}`);
  if (result.status !== 0) throw new Stop('The build failed; cargo says why above.');
  const artifact = result.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .find(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'afunix');
  const library = artifact?.filenames.find((name) => /\.(so|dylib)$/.test(name));
  if (!library) throw new Stop('The build made no shared library: is crate-type cdylib?');
  return library;
}

/** Takes away the symbols and all that debuggers want; what the host looks up stays. */
function strip(file) {
  const host = /^host: (.+)$/m.exec(output('rustc', ['--version', '--verbose']) ?? '')?.[1];
  const libraries = path.join(output('rustc', ['--print', 'sysroot']) ?? '', 'lib');
  const ofRust = path.join(libraries, 'rustlib', host ?? '', 'bin', 'rust-objcopy');
  // Rust's own reads files for every processor.
  const ofSystem = process.platform === 'darwin' ? ['strip', '-x'] : ['objcopy', '--strip-all'];
  const [program, option] =
    process.platform !== 'darwin' && fs.existsSync(ofRust) ? [ofRust, '--strip-all'] : ofSystem;
  const env = { ...process.env, LD_LIBRARY_PATH: libraries };
  if (run(program, [option, file], { env }) !== 0) {
    throw new Stop(`${program} could not strip ${file}.`);
  }
}

/**
 * Puts a library in place, stripped, in one step, so that a process which loads it meanwhile sees the
 * old or the new one. It is dated to the start of the build: what was edited during it counts as newer.
 */
function install(library, started, place = ADDON) {
  const partial = `${place}.${process.pid}`;
  fs.mkdirSync(path.dirname(place), { recursive: true });
  try {
    fs.copyFileSync(library, partial);
    strip(partial);
    fs.utimesSync(partial, started, started);
    fs.renameSync(partial, place);
  } finally {
    fs.rmSync(partial, { force: true });
  }
}

/** Builds if a source is newer than the addon. */
function build() {
  if (upToDate()) return;
  checkToolchain();
  const started = new Date();
  install(compile(), started);
}

module.exports = { ADDON, LIBRARY, inputs, compile, install, strip, build };

if (require.main === module) {
  main(() => {
    if (process.argv.includes('--inputs')) console.log(inputs().join('\n'));
    else build();
  });
}
