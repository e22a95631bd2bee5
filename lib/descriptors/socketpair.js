// Owns: socketpair(), also as `afunix/socketpair`, where it stands in for unix-socketpair.
'use strict';

const binding = require('../native/binding');
const { invalidType, invalidValue } = require('../util/errors');
const { demand } = require('../native/results');

const { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET } = binding;
const TYPES = [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET];
const NAMES = new Map([
  ['stream', SOCK_STREAM],
  ['dgram', SOCK_DGRAM],
  ['seqpacket', SOCK_SEQPACKET],
]);

/**
 * Makes two Unix sockets that are connected to each other, socketpair(2). Both are nonblocking and
 * close-on-exec, and yours to close.
 *
 * @param {number | 'stream' | 'dgram' | 'seqpacket'} [type] - SOCK_STREAM (default), SOCK_DGRAM or
 *   SOCK_SEQPACKET (Linux)
 * @throws {TypeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 * @throws {Error} EMFILE, ENFILE, EPROTONOSUPPORT (no seqpacket sockets on this system)
 * @returns {[number, number]} their descriptors
 */
function socketpair(type = SOCK_STREAM) {
  const kind = NAMES.get(type) ?? type;
  if (typeof kind !== 'number') {
    throw invalidType('type', "of type number or one of 'stream', 'dgram', 'seqpacket'", type);
  }
  if (!TYPES.includes(kind)) {
    throw invalidValue('type', type, 'must be SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET');
  }
  return demand(binding.socketpair(kind));
}

Object.defineProperties(socketpair, {
  SOCK_STREAM: { value: SOCK_STREAM, enumerable: true },
  SOCK_DGRAM: { value: SOCK_DGRAM, enumerable: true },
  SOCK_SEQPACKET: { value: SOCK_SEQPACKET, enumerable: true },
});

module.exports = socketpair;
