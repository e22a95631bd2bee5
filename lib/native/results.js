// Owns: the results of native functions: what is described with them, or a negative errno, or, where it may be one of
// several system calls that failed, `[errno, name of the call]`.
'use strict';

const { systemError } = require('../util/errors');

/**
 * A result that is no failure.
 *
 * @param {any} result
 * @param {string} [syscall] - the call that returned a negative errno
 * @param {any} [address] - what it was about
 * @param {(errno: number, syscall: string, address?: any) => Error} [makeError]
 * @throws {Error} for a failure
 */
function demand(result, syscall, address, makeError = systemError) {
  if (typeof result === 'number') {
    if (result < 0) throw makeError(result, syscall, address);
  } else if (typeof result[1] === 'string') {
    throw makeError(...result, address);
  }
  return result;
}

module.exports = { demand };
