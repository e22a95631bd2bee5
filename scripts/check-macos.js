'use strict';

// `node scripts/check-macos.js`: checks that the native code compiles for macOS, on any system. Zig has the headers of
// macOS; nothing is linked. It needs Rust's library for that target: `rustup target add x86_64-apple-darwin`.

const fs = require('node:fs');
const { cargoEnvironment, checkToolchain } = require('./cargo.js');
const { Stop, main, output, run } = require('./tools.js');
const { zigEnvironment } = require('./zig.js');

const [RUST, ZIG] = ['x86_64-apple-darwin', 'x86_64-macos'];

main(() => {
  checkToolchain();
  const library = output('rustc', ['--print', 'target-libdir', '--target', RUST]);
  if (library === null || !fs.existsSync(library)) {
    throw new Stop(`Rust's library for ${RUST} is missing: \`rustup target add ${RUST}\`.`);
  }
  const env = { ...cargoEnvironment(), ...zigEnvironment(RUST, ZIG), RUSTFLAGS: '--deny warnings' };
  return run('cargo', ['check', '--release', '--all-targets', '--locked', '--target', RUST], {
    env,
  });
});
