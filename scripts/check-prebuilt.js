'use strict';

// Owns the list of systems that the package brings an addon for, and the rules for each file: made
// for that processor, asks for no newer glibc and for no other library, exports nothing but its start,
// has no libuv of its own, which shows before it is stripped alone.
// `node scripts/check-prebuilt.js [NAME …]` checks some, or all that are here.

const fs = require('node:fs');
const path = require('node:path');
const { checkSymbols } = require('./check-symbols.js');
const { readElf } = require('./elf.js');
const { ROOT, Stop, main, atLeast } = require('./tools.js');

const PREBUILDS = path.join(ROOT, 'prebuilds');

/** The newest glibc that may be asked for: what official Node 20 itself asks for (RHEL 8, Debian 10). */
const GLIBC = '2.28';

/** A musl addon is a shared library, whose C library is that of the host. */
const SHARED_LIBC = ['-C target-feature=-crt-static'];

/** Name in prebuilds/ (see lib/platform.js) → the target's name for rustc, and for Zig. */
const TARGETS = {
  'linux-x64': { rust: 'x86_64-unknown-linux-gnu', zig: `x86_64-linux-gnu.${GLIBC}` },
  'linux-arm64': { rust: 'aarch64-unknown-linux-gnu', zig: `aarch64-linux-gnu.${GLIBC}` },
  'linux-x64-musl': {
    rust: 'x86_64-unknown-linux-musl',
    zig: 'x86_64-linux-musl',
    flags: SHARED_LIBC,
  },
  'linux-arm64-musl': {
    rust: 'aarch64-unknown-linux-musl',
    zig: 'aarch64-linux-musl',
    flags: SHARED_LIBC,
  },
  'darwin-x64': { rust: 'x86_64-apple-darwin' },
  'darwin-arm64': { rust: 'aarch64-apple-darwin' },
};

/** The libraries of glibc and musl, which every process of theirs has. */
const LIBRARIES = {
  glibc: /^(lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-.*)$/,
  musl: /^libc\.(so|musl-.*\.so\.1)$/,
};

const EXPORTED = 'napi_register_module_v1';

/** First bytes of a Mach-O file of 64 bits: magic number and processor. */
const MACH_O = { x64: 'cffaedfe07000001', arm64: 'cffaedfe0c000001' };

const addonOf = (name) => path.join(PREBUILDS, name, 'afunix.node');

/**
 * Throws if a library asks for a newer glibc than a version.
 * @returns {string} the newest that it asks for
 */
function checkGlibc(file, versions, newest = GLIBC) {
  const asked = versions
    .filter((version) => version.startsWith('GLIBC_'))
    .map((version) => version.slice('GLIBC_'.length))
    // GLIBC_PRIVATE and the like are of one release alone.
    .map((version) => (/^[\d.]+$/.test(version) ? version : '999'))
    .sort((a, b) => (atLeast(a, b) ? 1 : -1));
  const found = asked.at(-1) ?? '0';
  if (!atLeast(newest, found)) {
    throw new Stop(`${file} asks for glibc ${found}; it may ask for ${newest} at most.`);
  }
  return found;
}

function checkLinux(file, arch, libc) {
  const { machine, needed, versions, exported, names } = readElf(file);
  if (machine !== arch) throw new Stop(`${file} is for ${machine}, not ${arch}.`);
  const foreign = needed.filter((library) => !LIBRARIES[libc].test(library));
  if (foreign.length > 0) throw new Stop(`${file} needs ${foreign.join(', ')}.`);
  if (exported.length !== 1 || exported[0] !== EXPORTED) {
    throw new Stop(`${file} exports ${exported.join(', ')}; expected ${EXPORTED} alone.`);
  }
  const ofLibuv = names.filter((name) => name.startsWith('uv_'));
  if (ofLibuv.length > 0) throw new Stop(`${file} asks for libuv: ${ofLibuv[0]}.`);
  if (libc === 'glibc') return `glibc ${checkGlibc(file, versions)} or later`;
  if (versions.length > 0) throw new Stop(`${file} asks for ${versions.join(', ')}.`);
  return 'musl';
}

/** Throws if the library that cargo made, which still has all its symbols, has a libuv inside. */
function checkLibrary(file) {
  // Only a Mac has the nm that reads its files, and nm knows no other processor's of Linux.
  if (process.platform === 'darwin') return checkSymbols(file);
  const { isStripped, names } = readElf(file);
  if (isStripped) throw new Stop(`${file} has no symbol table to look for a libuv in.`);
  const ofLibuv = names.filter((name) => name.startsWith('uv_'));
  if (ofLibuv.length > 0) throw new Stop(`${file} has a libuv of its own: ${ofLibuv[0]}.`);
  return undefined;
}

function checkDarwin(file, arch) {
  const head = fs.readFileSync(file).toString('hex', 0, 8);
  if (head !== MACH_O[arch]) throw new Stop(`${file} is no Mach-O library for ${arch}.`);
  return 'macOS';
}

/** Throws unless a prebuilt is there and keeps the rules; prints what it runs on, and its size. */
function checkPrebuilt(name) {
  const file = addonOf(name);
  if (!fs.existsSync(file)) throw new Stop(`${file} is missing.`);
  const [platform, arch, libc = 'glibc'] = name.split('-');
  const runsOn = platform === 'linux' ? checkLinux(file, arch, libc) : checkDarwin(file, arch);
  console.log(`${name}: ${runsOn}; ${Math.ceil(fs.statSync(file).size / 1024)} KiB`);
}

/** The names of all prebuilts that are here. */
function present() {
  return Object.keys(TARGETS).filter((name) => fs.existsSync(addonOf(name)));
}

module.exports = {
  GLIBC,
  PREBUILDS,
  TARGETS,
  addonOf,
  present,
  checkGlibc,
  checkLibrary,
  checkPrebuilt,
};

if (require.main === module) {
  main(() => {
    const names = process.argv.slice(2);
    for (const name of names.length > 0 ? names : present()) checkPrebuilt(name);
  });
}
