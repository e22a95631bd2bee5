// Owns: the results of native functions about descriptors, as native/calls.rs returns them.
'use strict';

const { systemError } = require('../util/errors');

/**
 * A result that is no failure, which is `[errno, name of the system call]`.
 *
 * @param {any} result
 * @param {object} [details] - properties of the Error: what the call was about
 * @throws {Error} for a failure
 */
function succeeded(result, details) {
  if (typeof result[1] === 'string') throw Object.assign(systemError(...result), details);
  return result;
}

module.exports = { succeeded };
