'use strict';

// Builds the addons that the package brings along: `node scripts/prebuild.js [NAME …]` makes
// prebuilds/NAME/afunix.node, for this system where no name is given. A Linux one is built with Zig,
// so that its headers, its C library and its version of that are the target's; one for macOS needs a Mac.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { createHash } = require('node:crypto');
const { platformName } = require('../lib/native/platform.js');
const { inputs, compile, install } = require('./build.js');
const { checkToolchain } = require('./cargo.js');
const { PREBUILDS, TARGETS, addonOf, checkPrebuilt } = require('./check-prebuilt.js');
const { ROOT, Stop, main, run, output } = require('./tools.js');
const { zigEnvironment } = require('./zig.js');

/** A digest of all that an addon is made of: equal sources, equal stamp. */
function sourceStamp() {
  const hash = createHash('sha256');
  for (const name of inputs()) {
    const file = path.join(ROOT, name);
    if (!fs.statSync(file).isFile()) continue;
    const content = fs.readFileSync(file);
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

const stampOf = (name) => path.join(PREBUILDS, name, 'source.sha256');

/** Whether a prebuilt is there and made of the sources that are here now. */
function isCurrent(name) {
  const file = stampOf(name);
  if (!fs.existsSync(file) || !fs.existsSync(addonOf(name))) return false;
  return fs.readFileSync(file, 'utf8').trim() === sourceStamp();
}

function checkTarget(name, rust) {
  const [platform] = name.split('-');
  if (platform === 'darwin' && process.platform !== 'darwin') {
    throw new Stop(`${name} can only be built on a Mac: the release workflow does.`);
  }
  const library = output('rustc', ['--print', 'target-libdir', '--target', rust]);
  if (library === null || !fs.existsSync(library)) {
    throw new Stop(`Rust's library for ${rust} is missing: \`rustup target add ${rust}\`.`);
  }
}

/** The paths of this machine do not go into the file. */
const REMAPPED = [
  [os.homedir(), '~'],
  [ROOT, 'afunix'],
];

/**
 * Takes the debug information away, and leaves the names of functions: the check for libuv reads
 * them, and so do traces of crashes. (Zig's linker would take both.)
 */
function strip(file) {
  const host = /^host: (.+)$/m.exec(output('rustc', ['--version', '--verbose']) ?? '')?.[1];
  const libraries = path.join(output('rustc', ['--print', 'sysroot']) ?? '', 'lib');
  const ofRust = path.join(libraries, 'rustlib', host ?? '', 'bin', 'rust-objcopy');
  const program = fs.existsSync(ofRust) ? ofRust : 'objcopy';
  const env = { ...process.env, LD_LIBRARY_PATH: libraries };
  if (run(program, ['--strip-debug', file], { env }) !== 0) {
    throw new Stop(`${program} could not strip ${file}.`);
  }
}

/** Builds one, checks it and stamps it. */
function prebuild(name) {
  const target = TARGETS[name];
  if (target === undefined) {
    throw new Stop(`there is no target ${name}; there are ${Object.keys(TARGETS).join(', ')}.`);
  }
  const { rust, zig, flags = [] } = target;
  checkToolchain();
  checkTarget(name, rust);
  const rustFlags = [
    ...flags,
    ...REMAPPED.map(([from, to]) => `--remap-path-prefix=${from}=${to}`),
  ];
  const suffix = rust.replaceAll('-', '_').toUpperCase();
  const variables = {
    ...(zig && zigEnvironment(rust, zig)),
    [`CARGO_TARGET_${suffix}_RUSTFLAGS`]: rustFlags.join(' '),
  };
  const [started, stamp] = [new Date(), sourceStamp()];
  fs.rmSync(stampOf(name), { force: true });
  install(compile(['--target', rust], variables), started, addonOf(name));
  if (zig) strip(addonOf(name));
  checkPrebuilt(name);
  fs.writeFileSync(stampOf(name), `${stamp}\n`);
}

module.exports = { prebuild, isCurrent };

if (require.main === module) {
  main(() => {
    const names = process.argv.slice(2);
    for (const name of names.length > 0 ? names : [platformName()]) prebuild(name);
  });
}
