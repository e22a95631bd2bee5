// Owns: what the synchronous calls have in common: the native side, ints, results.
'use strict';

const binding = require('../native/binding');
const { systemError } = require('../util/errors');
const { MAX_INT, integer } = require('../util/validate');
const { addressError } = require('./sockaddr');

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

/** The status, unless it is an errno. */
function demand(status, syscall) {
  if (status < 0) throw systemError(status, syscall);
  return status;
}

/** The same for a call with an address. */
function demandAt(status, syscall, addr) {
  if (status < 0) throw addressError(status, syscall, addr);
  return status;
}

module.exports = { MIN_INT, demand, demandAt, int, isInt, native };
