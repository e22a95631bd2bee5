// Owns: the options that every socket has, checked and applied.
'use strict';

const check = require('../util/validate');
const { demand } = require('../native/sockets');

/** As in native/engine/receive/inbox.rs. */
const DEFAULT_MAX_PENDING_FDS = 1024;

/**
 * @param {object} options - as users give them
 * @param {boolean} [receiveFds=false] - the default of that option
 * @returns {object} the same, checked and with defaults, for configure()
 */
function socketOptions(options, receiveFds = false) {
  const mark = options.maxPendingFds ?? DEFAULT_MAX_PENDING_FDS;
  const checked = {
    receiveFds: check.optionalBoolean(options.receiveFds, 'options.receiveFds', receiveFds),
    credentials: check.optionalBoolean(options.credentials, 'options.credentials', false),
    maxPendingFds: check.integer(mark, 'options.maxPendingFds', 0, check.MAX_INT),
    isUsual: true,
    receiveBufferSize: optionalSize(options.receiveBufferSize, 'options.receiveBufferSize'),
    sendBufferSize: optionalSize(options.sendBufferSize, 'options.sendBufferSize'),
  };
  // Then native code has them already: most connections need no call at all.
  checked.isUsual =
    checked.receiveFds === receiveFds &&
    !checked.credentials &&
    checked.maxPendingFds === DEFAULT_MAX_PENDING_FDS &&
    checked.receiveBufferSize < 0 &&
    checked.sendBufferSize < 0;
  return checked;
}

/** Bytes, or -1 for what the system has. */
function optionalSize(size, name) {
  return size === undefined ? -1 : check.integer(size, name, 1, check.MAX_INT);
}

/** Applies what socketOptions() returned to a handle that has its descriptor. */
function configure(handle, options) {
  if (options.isUsual) return;
  const { receiveFds, credentials, maxPendingFds, receiveBufferSize, sendBufferSize } = options;
  demand(handle.receiveBeside(+receiveFds, +credentials, maxPendingFds), 'setsockopt');
  if (receiveBufferSize > 0) demand(handle.bufferSize(1, receiveBufferSize), 'setsockopt');
  if (sendBufferSize > 0) demand(handle.bufferSize(0, sendBufferSize), 'setsockopt');
}

module.exports = { configure, socketOptions };
