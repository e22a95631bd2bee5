'use strict';

// Brings Zig, whose C compiler links for a Linux other than this one: for an older glibc, for musl,
// for another processor. A pinned wheel goes into .cache/, as libclang does (see libclang.js).

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { ROOT, Stop, installWheel } = require('./tools.js');

const VERSION = '0.14.1';
const FOLDER = path.join(ROOT, '.cache', `ziglang-${VERSION}`);
const ZIG = path.join(FOLDER, 'ziglang', 'zig');
const COMPILER = path.join(__dirname, 'zig-cc.js');

/** Where Zig's compiler looks for C headers of a target: its own, then those of the target's libc. */
function headerFolders(zigTarget) {
  const args = ['cc', '-target', zigTarget, '-E', '-v', '-x', 'c', '/dev/null'];
  const { status, stderr } = spawnSync(ZIG, args, { cwd: ROOT, encoding: 'utf8' });
  const listed = /^#include <.*$\n((?: .*\n)+)/m.exec(stderr ?? '')?.[1];
  if (status !== 0 || !listed) throw new Stop(`${ZIG} does not run here: ${stderr}`);
  return listed
    .trim()
    .split('\n')
    .map((line) => path.resolve(ROOT, line.trim()));
}

/**
 * The environment variables with which cargo compiles and links for a target through Zig. The
 * target's own headers serve bindgen too.
 * @param {string} rustTarget as rustc names it, like `x86_64-unknown-linux-gnu`
 * @param {string} zigTarget as Zig names it, like `x86_64-linux-gnu.2.28`
 * @returns {Record<string, string>}
 */
function zigEnvironment(rustTarget, zigTarget) {
  if (!fs.existsSync(ZIG)) installWheel('ziglang', VERSION, FOLDER);
  const suffix = rustTarget.replaceAll('-', '_');
  const headers = headerFolders(zigTarget).map((folder) => `-isystem "${folder}"`);
  return {
    AFUNIX_ZIG: ZIG,
    AFUNIX_ZIG_TARGET: zigTarget,
    [`AR_${suffix}`]: 'ar',
    [`CC_${suffix}`]: COMPILER,
    [`CARGO_TARGET_${suffix.toUpperCase()}_LINKER`]: COMPILER,
    [`BINDGEN_EXTRA_CLANG_ARGS_${suffix}`]: ['-nostdinc', ...headers].join(' '),
  };
}

module.exports = { zigEnvironment };
