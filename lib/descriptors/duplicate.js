// Owns: another descriptor of the same open file, and objects of Node's that own a descriptor.
'use strict';

const { open } = require('fs').promises;
const binding = require('../native/binding');
const { closeFd, descriptorOf } = require('../native/fds');
const { demand } = require('../native/results');
const { MAX_INT, integer } = require('../util/validate');

/** O_PATH of Linux: opens a folder that may not be read, too. */
const O_PATH = 0o10000000;

/**
 * Makes another descriptor of the same open file, fcntl(2), F_DUPFD_CLOEXEC. It is close-on-exec and
 * yours to close. Both share offset and flags: one that is nonblocking makes the other nonblocking.
 *
 * @param {number | object} fd - or an open object that has one, which keeps it
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 * @throws {Error} EBADF, EMFILE
 * @returns {number}
 */
function dup(fd) {
  return demand(binding.dup(descriptorOf(fd)));
}

/**
 * A FileHandle of `fs.promises` that owns a descriptor, usually a received one. From the call on the
 * descriptor is the handle's, under another number, `handle.fd`. Where the promise is rejected, it is
 * yours again.
 *
 * Node makes such handles of names alone. So one is made of the root folder, and its descriptor then
 * comes to mean the given file: that opens nothing anew, so it needs no permission and no /proc.
 *
 * @param {number} fd
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 * @throws {Error} EBADF, EMFILE, ENFILE
 * @returns {Promise<import('fs').promises.FileHandle>}
 */
function fileHandle(fd) {
  return handleOver(integer(fd, 'fd', 0, MAX_INT));
}

async function handleOver(fd) {
  const handle = await open('/', process.platform === 'linux' ? O_PATH : 'r');
  try {
    // From here on both numbers mean the file, and the given one goes.
    demand(binding.replaceFd(fd, handle.fd));
    closeFd(fd);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

module.exports = { dup, fileHandle };
