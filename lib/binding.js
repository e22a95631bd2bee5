// Owns: finding and loading the compiled addon.
// May import: nothing of lib/.
'use strict';

const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');

/** Where the addon may be: a build of this checkout first, then what the package brought along. */
const candidates = [
  () => join(root, 'build', 'Release', 'afunix.node'),
  () =>
    join(root, 'prebuilds', `${process.platform}-${process.arch}${libcSuffix()}`, 'afunix.node'),
];

/** '-musl' on a Linux without glibc. */
function libcSuffix() {
  if (process.platform !== 'linux') return '';
  const { excludeNetwork } = process.report;
  process.report.excludeNetwork = true;
  const { header } = process.report.getReport();
  process.report.excludeNetwork = excludeNetwork;
  return header.glibcVersionRuntime ? '' : '-musl';
}

/** An Error that says why this host cannot run the addon. */
function hostError(reason) {
  const error = new Error(
    `afunix needs a Node.js process whose own libuv it can call; ${reason}. ` +
      'It does not run on Bun or Deno.',
  );
  error.code = 'ERR_AFUNIX_HOST';
  return error;
}

function load() {
  // Bun exports libuv's names, but as stubs that end the process when called.
  if (process.versions.bun) throw hostError('this is Bun');
  const tried = [];
  for (const candidate of candidates) {
    const path = candidate();
    if (existsSync(path)) return checked(require(path));
    tried.push(path);
  }
  const error = new Error(
    `afunix has no compiled addon for this system; looked for ${tried.join(' and ')}. ` +
      `Build it from source with: cd ${root} && node scripts/build.js`,
  );
  error.code = 'ERR_AFUNIX_BINDING';
  throw error;
}

function checked(binding) {
  if (binding.missingHostFunction) {
    throw hostError(`this one does not export ${binding.missingHostFunction}`);
  }
  return binding;
}

module.exports = load();
