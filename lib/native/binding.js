// Owns: finding and loading the compiled addon.
'use strict';

const { createRequire } = require('module');
const { join, resolve, sep } = require('path');
const { takeNamedAddon } = require('./addon.js');
const { platformName } = require('./platform.js');

/** Whether this file is no longer where the package has it, but part of a bundle. */
const isBundled =
  typeof __filename === 'undefined' ||
  !resolve(__filename).endsWith(['', 'lib', 'native', 'binding.js'].join(sep));

/** Where the addon is in a folder of the package; within it only, where that is gone. */
const fileIn = (...folders) =>
  join(isBundled ? '' : join(__dirname, '..', '..'), ...folders, 'afunix.node');

/**
 * The addon that the package brings along for a platform. Each path is written out, as bundlers see
 * no other; they take one that is missing for an error unless the `try` is in this function.
 *
 * @returns {{ binding: object } | { error: Error } | undefined} nothing for a platform that is unknown
 */
function loadPrebuilt(platform) {
  try {
    switch (platform) {
      case 'linux-x64':
        return { binding: require('../../prebuilds/linux-x64/afunix.node') };
      case 'linux-arm64':
        return { binding: require('../../prebuilds/linux-arm64/afunix.node') };
      case 'linux-x64-musl':
        return { binding: require('../../prebuilds/linux-x64-musl/afunix.node') };
      case 'linux-arm64-musl':
        return { binding: require('../../prebuilds/linux-arm64-musl/afunix.node') };
      case 'darwin-x64':
        return { binding: require('../../prebuilds/darwin-x64/afunix.node') };
      case 'darwin-arm64':
        return { binding: require('../../prebuilds/darwin-arm64/afunix.node') };
      default:
        return undefined;
    }
  } catch (error) {
    return { error };
  }
}

/**
 * The addon that was built in this folder. Not for bundlers, to which it would be a file that every
 * published package lacks.
 */
function loadBuilt() {
  try {
    return { binding: createRequire(__filename)(fileIn('build', 'Release')) };
  } catch (error) {
    return { error };
  }
}

/** The addon in a file that bundlers are not to see, and that need not end in `.node`. */
function loadFile(file) {
  const module = { exports: {} };
  try {
    process.dlopen(module, file);
    return { binding: module.exports };
  } catch (error) {
    return { error };
  }
}

/** An Error that says why this host cannot run the addon. */
function hostError(reason) {
  const error = new Error(
    `afunix needs a Node.js process whose own libuv it can call; ${reason}. ` +
      'On Bun and Deno, only afunix/posix, afunix/descriptors and afunix/socketpair work.',
  );
  error.code = 'ERR_AFUNIX_HOST';
  return error;
}

function bindingError(message, cause) {
  const error = new Error(message, cause && { cause });
  error.code = 'ERR_AFUNIX_BINDING';
  return error;
}

/**
 * Whether the search may go on after this error: the file is made for another processor or C
 * library, or in a folder of which nothing may be run. Loaders of bundlers throw errors of their own.
 */
function isExpected({ code }) {
  return code === 'ERR_DLOPEN_FAILED' || (isBundled && code !== 'ERR_DLOPEN_DISABLED');
}

/** Also as ESM says it, and an executable with its program inside, where only Node's own are found. */
function isMissing(code) {
  return /^((ERR_)?MODULE_NOT_FOUND|ERR_UNKNOWN_BUILTIN_MODULE)$/.test(code);
}

/** What to do where no addon is found. */
function advice() {
  if (isBundled) {
    return (
      'This is a bundle: mark afunix as external and install it where the bundle runs, ' +
      'let the bundler copy files that end in .node, or name the file in AFUNIX_ADDON'
    );
  }
  return (
    'With Rust (rustup.rs) and a C compiler, build it from source: ' +
    `cd ${join(__dirname, '..', '..')} && node scripts/build.js`
  );
}

function load() {
  const named = takeNamedAddon();
  if (named !== undefined) {
    const { binding, error } = loadFile(named);
    if (binding) return binding;
    if (error.code !== 'ERR_DLOPEN_FAILED') throw error;
    throw bindingError(
      `afunix cannot load the addon that is named, ${named}: ${error.message}`,
      error,
    );
  }
  const platform = platformName();
  const tried = [];
  let cause;
  // A build of this checkout comes first.
  const places = [[['prebuilds', platform], () => loadPrebuilt(platform)]];
  if (!isBundled) places.unshift([['build', 'Release'], loadBuilt]);
  for (const [folders, look] of places) {
    const { binding, error } = look() ?? {};
    if (binding) return binding;
    if (!error || isMissing(error.code)) {
      tried.push(`${fileIn(...folders)} (not there)`);
    } else {
      if (!isExpected(error)) throw error;
      tried.push(`${fileIn(...folders)} (${error.message})`);
      cause = error;
    }
  }
  throw bindingError(
    `afunix has no compiled addon for this system, ${platform}; ` +
      `looked for ${tried.join(' and ')}. ${advice()}`,
    cause,
  );
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
