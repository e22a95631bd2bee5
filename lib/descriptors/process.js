// Owns: processes as pidfds: whether they are alive, and waiting for their end.
'use strict';

const binding = require('../native/binding');
const { descriptorOf } = require('../native/fds');
const { demand } = require('../native/results');
const { closeId, kEnd, kError, kId, loading, own } = require('../native/sockets');
const { codedError, systemError } = require('../util/errors');
const check = require('../util/validate');

/**
 * Whether the process of a pidfd has not ended yet. Unlike a process id, a pidfd never comes to mean another process.
 *
 * @param {number | { fd: number }} pidfd - as of `peerPidfd`
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 * @throws {Error} EBADF: it is no pidfd; ENOSYS elsewhere than on Linux
 * @returns {boolean}
 */
function isAlive(pidfd) {
  return demand(binding.isAlive(descriptorOf(pidfd, 'pidfd'))) === 1;
}

/**
 * Waits until the process of a pidfd has ended: at once where it has. The descriptor stays yours, and may be closed
 * meanwhile. While it waits the process is kept alive.
 *
 * @param {number | { fd: number }} pidfd
 * @param {object} [options]
 * @param {AbortSignal} [options.signal] - gives up: the promise is rejected with an AbortError
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 * @throws {Error} EBADF, EMFILE; ENOSYS elsewhere than on Linux
 * @returns {Promise<void>}
 */
function waitForExit(pidfd, options = undefined) {
  const { signal } = check.optionsObject(options);
  check.optionalSignal(signal);
  return exitOf(descriptorOf(pidfd, 'pidfd'), signal);
}

async function exitOf(pidfd, signal) {
  if (signal?.aborted) throw abortError(signal);
  const id = demand(binding.watchProcess(loading, pidfd), 'pidfd_send_signal');
  let stop;
  try {
    await new Promise((resolve, reject) => {
      const fail = (errno) => reject(systemError(errno, 'poll'));
      own(id, { [kId]: id, [kEnd]: resolve, [kError]: fail });
      if (signal) stop = check.onAbort(signal, () => reject(abortError(signal)));
    });
  } finally {
    stop?.();
    closeId(id);
  }
}

/** As Node's own functions reject. */
function abortError({ reason }) {
  const error = codedError(Error, 'ABORT_ERR', 'The operation was aborted');
  return Object.assign(error, { name: 'AbortError', cause: reason });
}

module.exports = { isAlive, waitForExit };
