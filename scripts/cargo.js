'use strict';

// The one way to cargo: checks the toolchain, and gives every call the same environment, because
// cargo runs bindgen again (40 seconds) when LIBCLANG_PATH comes or goes between two calls.
// By hand: `npm run cargo -- clippy --release`.

const fs = require('node:fs');
const path = require('node:path');
const { libclangEnvironment } = require('./libclang.js');
const {
  ROOT,
  Stop,
  main,
  run,
  output,
  hasProgram,
  installCommand,
  atLeast,
} = require('./tools.js');

const RUSTUP = "`curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh`";

/** Stops with one sentence if cargo, a new enough rustc or a C compiler is missing. */
function checkToolchain() {
  for (const program of ['cargo', 'rustc']) {
    if (!hasProgram(program)) throw new Stop(`${program} is missing: install Rust with ${RUSTUP}.`);
  }
  const manifest = fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8');
  const needed = /^rust-version\s*=\s*"(.+)"/m.exec(manifest)?.[1] ?? '1.88';
  const found = /^rustc (\S+)/.exec(output('rustc', ['--version']) ?? '')?.[1];
  if (!found) {
    throw new Stop('rustc does not run: install a toolchain with `rustup default stable`.');
  }
  if (!atLeast(found, needed)) {
    throw new Stop(`rustc ${found} is older than ${needed}: update with \`rustup update stable\`.`);
  }
  if (!['cc', 'gcc', 'clang'].some(hasProgram)) {
    const command =
      process.platform === 'darwin'
        ? '`xcode-select --install`'
        : installCommand({
            'apt-get': 'build-essential',
            dnf: 'gcc',
            apk: 'build-base',
            pacman: 'base-devel',
            zypper: 'gcc',
          });
    throw new Stop(`A C compiler (cc) is missing: install it with ${command}.`);
  }
}

let environment;

/** The environment for cargo, found once a process. */
function cargoEnvironment() {
  environment ??= { ...process.env, ...libclangEnvironment() };
  return environment;
}

/** Runs cargo in the foreground and returns its exit code. */
function cargo(args) {
  return run('cargo', args, { env: cargoEnvironment() });
}

module.exports = { checkToolchain, cargoEnvironment, cargo };

if (require.main === module) {
  main(() => {
    checkToolchain();
    return cargo(process.argv.slice(2));
  });
}
