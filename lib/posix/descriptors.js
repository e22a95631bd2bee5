// Owns: the synchronous calls for descriptors of any kind.
'use strict';

const binding = require('../native/binding');
const { invalidType, invalidValue } = require('../util/errors');
const { MAX_INT, integer, optionalBoolean, optionsObject } = require('../util/validate');
const { demand } = require('../native/results');
const { int, native } = require('./checks');
const { checkObject } = require('./sockaddr');

const { constants } = native;

/** More descriptors than any system lets a process open. */
const MAX_POLLED = 1 << 24;
/** Commands of fcntl() whose argument is an int, and what it is by default; of the others it is unused. */
const COMMANDS = {
  F_GETFD: 0,
  F_SETFD: undefined,
  F_GETFL: 0,
  F_SETFL: undefined,
  F_DUPFD_CLOEXEC: 0,
  F_ADD_SEALS: undefined,
  F_GET_SEALS: 0,
};
const known = new Map(
  Object.entries(COMMANDS)
    .filter(([name]) => constants[name] !== undefined)
    .map(([name, otherwise]) => [constants[name], otherwise]),
);

/**
 * Closes a descriptor, close(2). A socket file stays: unlink it.
 *
 * @param {number} fd
 * @throws {Error} EBADF; EBUSY if an open socket of this package owns it: close that
 */
function close(fd) {
  demand(binding.closeFd(int(fd, 'fd')), 'close');
}

/**
 * Makes another descriptor of the same open file, close-on-exec: fcntl(2), F_DUPFD_CLOEXEC. Both share
 * its offset and its flags.
 *
 * @param {number} fd
 * @throws {Error} EBADF, EMFILE
 * @returns {number}
 */
function dup(fd) {
  return demand(native.fcntl(int(fd, 'fd'), constants.F_DUPFD_CLOEXEC, 0), 'fcntl');
}

/**
 * Asks for, or sets, the flags of a descriptor or of its open file, fcntl(2).
 *
 * @param {number} fd
 * @param {number} cmd - F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC; on Linux F_ADD_SEALS and
 *   F_GET_SEALS, too
 * @param {number} [arg] - what to set; of F_DUPFD_CLOEXEC the lowest number that will do, default: 0
 * @throws {TypeError} ERR_INVALID_ARG_VALUE for another command
 * @throws {Error} EBADF, EBUSY, EINVAL, EMFILE, EPERM
 * @returns {number} what was asked for; the new descriptor; 0
 */
function fcntl(fd, cmd, arg = known.get(cmd)) {
  int(fd, 'fd');
  int(cmd, 'cmd');
  if (!known.has(cmd)) {
    throw invalidValue('cmd', cmd, `must be one of ${Object.keys(COMMANDS).join(', ')}`);
  }
  return demand(native.fcntl(fd, cmd, int(arg, 'arg')), 'fcntl');
}

/**
 * Makes a pipe, pipe(2). Its ends block, unless that is asked for otherwise, and are close-on-exec.
 *
 * @param {object} [options]
 * @param {boolean} [options.nonblocking] - default: false
 * @throws {Error} EMFILE, ENFILE
 * @returns {[number, number]} the end to read from, the end to write to
 */
function pipe(options = undefined) {
  const { nonblocking } = optionsObject(options);
  const flag = +optionalBoolean(nonblocking, 'options.nonblocking', false);
  return demand(native.pipe(flag), 'pipe');
}

/** The pairs of numbers for poll(), lent to one call at a time. */
let spareWords = new Int32Array(16);

/**
 * Waits until a descriptor is ready, poll(2). Signals do not end it.
 *
 * @param {{ fd: number, events: number, revents?: number }[]} fds - `events`: POLLIN, POLLOUT …;
 *   `revents` is set on each, 0 if nothing happened. A negative `fd` is skipped
 * @param {number} [timeout] - in milliseconds; -1, the default, is for ever
 * @throws {Error} EINVAL (more than the process may open), ENOMEM
 * @returns {number} for how many something happened; 0 when the time has passed
 */
function poll(fds, timeout = -1) {
  if (!Array.isArray(fds)) throw invalidType('fds', 'an instance of Array', fds);
  integer(timeout, 'timeout', -1, MAX_INT);
  const count = integer(fds.length, 'fds.length', 0, MAX_POLLED);
  const words = spareWords.length >= 2 * count ? spareWords : new Int32Array(2 * count);
  // A getter of the user's may call poll() itself.
  spareWords = new Int32Array(0);
  try {
    for (let index = 0; index < count; index++) {
      const { fd, events } = checkObject(fds[index], `fds[${index}]`);
      words[2 * index] = int(fd, `fds[${index}].fd`);
      words[2 * index + 1] = integer(events, `fds[${index}].events`, 0, 0xffff);
    }
    const ready = demand(native.poll(words, count, timeout), 'poll');
    for (let index = 0; index < count; index++) fds[index].revents = words[2 * index + 1];
    return ready;
  } finally {
    spareWords = words;
  }
}

module.exports = { close, dup, fcntl, pipe, poll };
