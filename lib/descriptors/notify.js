// Owns: telling systemd, or whoever speaks its protocol, how this process is: sd_notify(3).
'use strict';

const { descriptorsOf } = require('../native/fds');
const posix = require('../posix');
const { codedError, invalidValue } = require('../util/errors');
const check = require('../util/validate');

/** Waits until the manager has worked off what came before: has to be alone in its message. */
const BARRIER = 'BARRIER=1';
/** Milliseconds that the manager may take. */
const DEFAULT_TIMEOUT = 5000;
/** Nobody is at the socket. */
const ABSENT = ['ECONNREFUSED', 'ENOENT'];

/**
 * Notifies the service manager, sd_notify(3), before it returns: it may be called right before the
 * process ends.
 *
 * @param {string} state - lines like `READY=1`, `STATUS=…`, `RELOADING=1`, `STOPPING=1`, `WATCHDOG=1`,
 *   `FDSTORE=1`, `FDNAME=…`, with line feeds between them. `BARRIER=1` alone waits until the manager has
 *   worked off all that was sent before
 * @param {object} [options]
 * @param {(number | object)[]} [options.fds] - descriptors for the manager to store, with FDSTORE=1;
 *   they stay yours
 * @param {number} [options.timeout] - milliseconds to wait for a manager that does not read; default 5000
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE
 * @throws {Error} ERR_AFUNIX_NOTIFY_SOCKET for a variable that makes no sense; EAGAIN for a manager that
 *   does not read, ETIMEDOUT for one that does not answer BARRIER=1; EACCES, EBADF, EMSGSIZE
 * @returns {boolean} false if there is no manager: no NOTIFY_SOCKET, or nobody listens there
 */
function sdNotify(state, options = undefined) {
  check.string(state, 'state');
  if (state === '' || state.includes('\0')) {
    throw invalidValue('state', state, 'must not be empty, nor have null bytes');
  }
  const { fds: holders, timeout = DEFAULT_TIMEOUT } = check.optionsObject(options);
  const fds = descriptorsOf(holders, 'options.fds');
  check.integer(timeout, 'options.timeout', 1, check.MAX_INT);
  const address = managerAddress();
  if (address === undefined) return false;
  const isBarrier = state.trim() === BARRIER && fds.length === 0;
  return isBarrier ? passBarrier(address, timeout) : notify(address, state, fds, timeout);
}

/** Where the manager listens, as an address of Unix sockets; undefined without one. */
function managerAddress() {
  const { NOTIFY_SOCKET } = process.env;
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '') return undefined;
  if (!/^[/@]./s.test(NOTIFY_SOCKET)) {
    const fault = 'is neither a path nor an abstract name';
    const message = `The environment variable NOTIFY_SOCKET ${fault}: ${JSON.stringify(NOTIFY_SOCKET)}`;
    throw codedError(Error, 'ERR_AFUNIX_NOTIFY_SOCKET', message);
  }
  return NOTIFY_SOCKET.replace(/^@/, '\0');
}

function notify(address, state, fds, timeout) {
  const socket = posix.socket('unix', 'dgram');
  try {
    // struct timeval: two longs.
    const limit = new BigInt64Array([
      BigInt(Math.floor(timeout / 1000)),
      BigInt((timeout % 1000) * 1000),
    ]);
    posix.setsockopt(socket, posix.SOL_SOCKET, posix.SO_SNDTIMEO, limit);
    posix.sendmsg(socket, { iov: Buffer.from(state), fds, address });
    return true;
  } catch (error) {
    if (ABSENT.includes(error.code)) return false;
    throw error;
  } finally {
    posix.close(socket);
  }
}

/** The manager closes the descriptor that it gets, once it has come to this message. */
function passBarrier(address, timeout) {
  const [ours, theirs] = posix.pipe();
  try {
    try {
      if (!notify(address, BARRIER, [theirs], timeout)) return false;
    } finally {
      posix.close(theirs);
    }
    if (posix.poll([{ fd: ours, events: 0 }], timeout) > 0) return true;
    const message = `ETIMEDOUT: the manager has not come to BARRIER=1 in ${timeout} ms`;
    throw Object.assign(codedError(Error, 'ETIMEDOUT', message), { syscall: 'poll' });
  } finally {
    posix.close(ours);
  }
}

module.exports = { sdNotify };
