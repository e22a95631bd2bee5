// Owns: the options that every socket has, checked and applied.
// May import: validate, handle.
'use strict';

const check = require('./validate');
const { demand } = require('./handle');

const MAX_INT = 2 ** 31 - 1;
const DEFAULT_MAX_PENDING_FDS = 1024;

/**
 * @param {object} options - as users give them
 * @returns {object} the same, checked and with defaults, for configure()
 */
function socketOptions(options) {
  const mark = options.maxPendingFds ?? DEFAULT_MAX_PENDING_FDS;
  return {
    receiveFds: check.optionalBoolean(options.receiveFds, 'options.receiveFds', false),
    credentials: check.optionalBoolean(options.credentials, 'options.credentials', false),
    maxPendingFds: check.integer(mark, 'options.maxPendingFds', 0, MAX_INT),
    receiveBufferSize: optionalSize(options.receiveBufferSize, 'options.receiveBufferSize'),
    sendBufferSize: optionalSize(options.sendBufferSize, 'options.sendBufferSize'),
  };
}

/** Bytes, or -1 for what the system has. */
function optionalSize(size, name) {
  return size === undefined ? -1 : check.integer(size, name, 1, MAX_INT);
}

/** Applies what socketOptions() returned to a handle that has its descriptor. */
function configure(handle, options) {
  const { receiveFds, credentials, maxPendingFds, receiveBufferSize, sendBufferSize } = options;
  if (receiveFds || credentials) {
    demand(handle.receiveBeside(+receiveFds, +credentials, maxPendingFds), 'setsockopt');
  }
  if (receiveBufferSize > 0) demand(handle.bufferSize(1, receiveBufferSize), 'setsockopt');
  if (sendBufferSize > 0) demand(handle.bufferSize(0, sendBufferSize), 'setsockopt');
}

module.exports = { configure, socketOptions };
