// Owns: memfd(), files in memory.
'use strict';

const { Buffer } = require('buffer');
const binding = require('../native/binding');
const { invalidValue } = require('../util/errors');
const check = require('../util/validate');
const { demand } = require('../native/results');

/** Bytes the kernel takes, NAME_MAX less its own prefix. */
const MAX_NAME = 249;

/**
 * Makes an anonymous file in memory, memfd_create(2), with the given bytes in it and its offset at 0.
 * The descriptor is close-on-exec and yours to close; the memory is freed with the last one.
 *
 * Linux only.
 *
 * @param {string | NodeJS.ArrayBufferView} [data] - default: empty
 * @param {object} [options]
 * @param {string} [options.name] - to be seen in /proc/PID/fd, no address; at most 249 bytes,
 *   default 'afunix'
 * @param {boolean} [options.seal] - nobody can change content or size any more; default false
 * @throws {TypeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 * @throws {Error} EMFILE, ENFILE, ENOMEM, ENOSPC, EFBIG; ENOSYS elsewhere than on Linux
 * @returns {number}
 */
function memfd(data = '', options = undefined) {
  // Options first: code of theirs might detach the buffer.
  const { name = 'afunix', seal } = check.optionsObject(options);
  const nameBytes = fileName(name);
  const sealed = check.optionalBoolean(seal, 'options.seal', false);
  const bytes = check.messageBytes(data, 'data');
  return demand(binding.memfd(nameBytes, bytes, +sealed));
}

function fileName(name) {
  const bytes = Buffer.from(check.string(name, 'options.name'));
  if (bytes.includes(0)) {
    throw invalidValue('options.name', name, 'must be a string without null bytes');
  }
  if (bytes.length > MAX_NAME) {
    throw invalidValue('options.name', name, `must have at most ${MAX_NAME} bytes`);
  }
  return bytes;
}

module.exports = { memfd };
