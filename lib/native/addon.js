// Owns: which file the addon is loaded from, where the program or its environment names one.
'use strict';

const { resolve } = require('path');
const { fileURLToPath } = require('url');
const { codedError, invalidType, invalidValue } = require('../util/errors');

let named;
let isTaken = false;

/**
 * Names the file of the addon.
 *
 * @param {string | URL} file - a relative one is in the current folder
 * @throws {Error} ERR_AFUNIX_BINDING: afunix is loaded already
 * @throws {TypeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 */
function useAddon(file) {
  const path = typeof file === 'object' && file !== null ? fileURLToPath(file) : file;
  if (typeof path !== 'string') {
    throw invalidType('file', 'of type string or an instance of URL', file);
  }
  if (path === '') throw invalidValue('file', file, 'must not be empty');
  if (isTaken) {
    throw codedError(
      Error,
      'ERR_AFUNIX_BINDING',
      'afunix has loaded its addon already: call useAddon() before anything requires afunix',
    );
  }
  named = resolve(path);
}

/** The file that is named, if one is; from now on it is too late to name another. */
function takeNamedAddon() {
  isTaken = true;
  const { AFUNIX_ADDON } = process.env;
  return named ?? (AFUNIX_ADDON ? resolve(AFUNIX_ADDON) : undefined);
}

module.exports = { takeNamedAddon, useAddon };
