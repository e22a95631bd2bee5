// Owns: finding and loading the compiled addon.
'use strict';

const { existsSync } = require('fs');
const { join } = require('path');
const { platformName } = require('./platform.js');

const root = join(__dirname, '..', '..');

/** Where the addon may be: a build of this checkout first, then what the package brought along. */
const candidates = [
  () => join(root, 'build', 'Release', 'afunix.node'),
  () => join(root, 'prebuilds', platformName(), 'afunix.node'),
];

/** An Error that says why this host cannot run the addon. */
function hostError(reason) {
  const error = new Error(
    `afunix needs a Node.js process whose own libuv it can call; ${reason}. ` +
      'On Bun and Deno, only afunix/posix, afunix/descriptors and afunix/socketpair work.',
  );
  error.code = 'ERR_AFUNIX_HOST';
  return error;
}

function load() {
  const tried = [];
  let cause;
  for (const candidate of candidates) {
    const path = candidate();
    if (!existsSync(path)) {
      tried.push(`${path} (not there)`);
      continue;
    }
    try {
      return require(path);
    } catch (error) {
      // Made for another processor or C library, or a folder of which nothing may be run.
      if (error.code !== 'ERR_DLOPEN_FAILED') throw error;
      tried.push(`${path} (${error.message})`);
      cause = error;
    }
  }
  const error = new Error(
    `afunix has no compiled addon for this system, ${platformName()}; ` +
      `looked for ${tried.join(' and ')}. ` +
      `With Rust (rustup.rs) and a C compiler, build it from source: ` +
      `cd ${root} && node scripts/build.js`,
    cause && { cause },
  );
  error.code = 'ERR_AFUNIX_BINDING';
  throw error;
}

const binding = load();

/**
 * Adds the functions that run on the event loop, once: lib/native/sockets.js calls it when it is loaded.
 *
 * @throws {Error} ERR_AFUNIX_HOST
 */
binding.startSockets = () => {
  if (binding.layout !== undefined) return;
  // Bun exports libuv's names, but as stubs that end the process when called.
  if (process.versions.bun) throw hostError('this is Bun');
  const missing = binding.addSockets(binding);
  if (missing !== undefined) throw hostError(`this one does not export ${missing}`);
};

module.exports = binding;
