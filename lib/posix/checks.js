// Owns: what the synchronous calls have in common: the native side, and ints.
'use strict';

const binding = require('../native/binding');
const { MAX_INT, integer } = require('../util/validate');

/** The native side, with the constants of this system. */
const native = binding.posix();

const MIN_INT = -(2 ** 31);

/** Whether native code gets from a value the number that it is. */
function isInt(value) {
  return typeof value === 'number' && (value | 0) === value;
}

/** An int of C. Whether a descriptor is open is the kernel's affair: EBADF. */
function int(value, name) {
  return isInt(value) ? value : integer(value, name, MIN_INT, MAX_INT);
}

module.exports = { MIN_INT, int, isInt, native };
