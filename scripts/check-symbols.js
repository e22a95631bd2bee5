'use strict';

// Fails if the addon carries or links a libuv of its own: it must define no uv_ symbol, import none,
// and report the version of the libuv that runs inside this very process.
// It looks into the file that cargo made: the addon itself is stripped.
// `node scripts/check-symbols.js FILE` looks at the symbols of another file only.

const { spawnSync } = require('node:child_process');
const { LIBRARY } = require('./build.js');
const { Stop, main } = require('./tools.js');

const MAC = process.platform === 'darwin';

/** Which tables to read. A Mach-O file has one table; an ELF file a dynamic and a full one. */
const TABLES = MAC
  ? [['--defined-only'], ['--undefined-only']]
  : [['--defined-only'], ['--dynamic', '--defined-only'], ['--dynamic', '--undefined-only']];

/** The names in one symbol table, without Mach-O's leading underscore. */
function symbols(file, options) {
  const result = spawnSync('nm', [...options, file], { encoding: 'utf8', maxBuffer: Infinity });
  if (result.error) {
    throw new Stop('nm is missing: it comes with the C compiler (package binutils).');
  }
  if (result.status !== 0) throw new Stop(`nm cannot read ${file}: ${result.stderr.trim()}`);
  const names = result.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' ').at(-1));
  return MAC ? names.map((name) => name.replace(/^_/, '')) : names;
}

/** Throws if a symbol of the file starts with uv_, or if the file has no table to look into. */
function checkSymbols(file) {
  for (const options of TABLES) {
    const names = symbols(file, options);
    if (names.length === 0) {
      throw new Stop(`${file} is stripped (nm ${options.join(' ')}): nothing to check.`);
    }
    const found = names.filter((name) => name.startsWith('uv_'));
    if (found.length > 0) {
      const shown = found.slice(0, 5).join(', ') + (found.length > 5 ? ', …' : '');
      throw new Stop(
        `${file} has ${found.length} uv_ symbols (nm ${options.join(' ')}): ${shown}.`,
      );
    }
  }
}

/** Throws unless the addon talks to this process's own libuv. */
function checkVersion() {
  const binding = require('../lib/native/binding.js');
  binding.startSockets();
  const [reported, own] = [binding.uvVersion(), process.versions.uv];
  if (reported !== own) throw new Stop(`the addon runs libuv ${reported}, this process ${own}.`);
  console.log(`no uv_ symbol; libuv ${reported} is the host's own`);
}

module.exports = { checkSymbols };

if (require.main === module) {
  main(() => {
    const [file] = process.argv.slice(2);
    checkSymbols(file ?? LIBRARY);
    if (!file) checkVersion();
  });
}
