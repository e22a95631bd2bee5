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
const { PREBUILDS, TARGETS, addonOf, checkLibrary, checkPrebuilt } = require('./check-prebuilt.js');
const { ROOT, Stop, main, output } = require('./tools.js');
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

/**
 * What stands in the file for folders of this machine, so that a build of the same sources in any folder
 * gives the same bytes. The last that fits counts.
 */
const REMAPPED = [
  [os.homedir(), '~'],
  [process.env.CARGO_HOME ?? path.join(os.homedir(), '.cargo'), 'cargo'],
  [ROOT, 'afunix'],
];

/** Options with a value are two arguments. */
const separate = (flag) => (flag.startsWith('-C ') ? ['-C', flag.slice(3)] : [flag]);

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
  const variables = {
    ...(zig && zigEnvironment(rust, zig)),
    // This one takes folders with spaces in their names.
    CARGO_ENCODED_RUSTFLAGS: rustFlags.flatMap(separate).join('\x1f'),
  };
  const [started, stamp] = [new Date(), sourceStamp()];
  fs.rmSync(stampOf(name), { force: true });
  const library = compile(['--target', rust], variables);
  checkLibrary(library); // While it has the table that shows them.
  install(library, started, addonOf(name));
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
