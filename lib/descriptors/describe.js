// Owns: what a descriptor is.
'use strict';

const binding = require('../native/binding');
const { demand } = require('../native/results');
const { descriptorOf } = require('../native/fds');

/**
 * What is behind a descriptor, fstat(2) and socket(7).
 *
 * @param {number | object} fd - or an open object that has one
 * @throws {Error} EBADF
 * @returns {{ type: string, listening: boolean, access: number, ipv6: boolean }} `type` as fdType()
 *   returns it; `listening`: a socket that listens; `access`: O_RDONLY, O_WRONLY or O_RDWR of
 *   `fs.constants`; `ipv6`: an internet socket of version 6
 */
function describeFd(fd) {
  const [type, listening, access, ipv6] = demand(binding.describeFd(descriptorOf(fd)));
  return { type, listening: listening !== 0, access, ipv6: ipv6 !== 0 };
}

/**
 * What kind of thing a descriptor is of.
 *
 * @param {number | object} fd - or an open object that has one
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 * @throws {Error} EBADF
 * @returns {'unix-stream' | 'unix-seqpacket' | 'unix-dgram' | 'tcp' | 'udp' | 'socket' | 'pipe' |
 *   'file' | 'directory' | 'tty' | 'character-device' | 'block-device' | 'symlink' | 'unknown'}
 */
function fdType(fd) {
  return describeFd(fd).type;
}

module.exports = { describeFd, fdType };
