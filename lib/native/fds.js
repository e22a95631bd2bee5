// Owns: descriptors as users give them: numbers, or objects that hold one.
'use strict';

const dgram = require('dgram');
const { closeFd: closeNatively } = require('./binding');
const { invalidType, outOfRange, systemError } = require('../util/errors');
const { MAX_INT, integer, isOptions, messageBytes } = require('../util/validate');

/** The kernel's limit of one message, SCM_MAX_FD. */
const MAX_FDS = 253;

const NO_FDS = Object.freeze([]);

/**
 * The descriptor of a number, a net.Socket, net.Server, dgram.Socket, FileHandle or a socket of
 * this package.
 *
 * @throws {TypeError} ERR_INVALID_ARG_TYPE where there is none
 * @returns {number}
 */
function descriptorOf(holder, name = 'fd') {
  if (typeof holder === 'number') return integer(holder, name, 0, MAX_INT);
  const fd =
    holder instanceof dgram.Socket
      ? datagramDescriptor(holder)
      : (holder?._handle?.fd ?? holder?.fd);
  if (typeof fd === 'number' && fd >= 0) return fd;
  throw invalidType(name, 'a descriptor or an object that holds an open one', holder);
}

/** dgram.Socket keeps its handle under a symbol; its `_handle` is deprecated and warns. */
function datagramDescriptor(socket) {
  const isState = (symbol) => symbol.description === 'state symbol';
  const symbol = Object.getOwnPropertySymbols(socket).find(isState);
  return symbol && socket[symbol].handle?.fd;
}

/**
 * The numbers of a message's descriptors.
 *
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE; ERR_OUT_OF_RANGE beyond `max`
 * @returns {readonly number[]}
 */
function descriptorsOf(fds, name = 'fds', max = MAX_FDS) {
  if (fds === undefined || fds === null) return NO_FDS;
  if (!Array.isArray(fds)) throw invalidType(name, 'an instance of Array', fds);
  if (fds.length > max) throw outOfRange(`${name}.length`, `<= ${max}`, fds.length);
  // No map(): that would skip holes, and make the array that a subclass asks for.
  const numbers = [];
  for (let index = 0; index < fds.length; index++) {
    numbers.push(descriptorOf(fds[index], `${name}[${index}]`));
  }
  return numbers;
}

/**
 * A message as users give it, where it is no view: its bytes and its descriptors, if any.
 *
 * @param {string | { data, fds }} message
 * @returns {[ArrayBufferView, readonly number[] | undefined]}
 */
function messageParts(message, encoding) {
  if (isOptions(message) && (message.data !== undefined || message.fds !== undefined)) {
    const { data = '', fds } = message;
    return [messageBytes(data, 'message.data', encoding), descriptorsOf(fds, 'message.fds')];
  }
  return [messageBytes(message, 'message', encoding), undefined];
}

/**
 * Closes a descriptor that came with a message, close(2). In a worker fs.closeSync() warns of
 * descriptors that fs did not open; this does not.
 *
 * @param {number} fd
 * @throws {Error} EBADF
 */
function closeFd(fd) {
  const status = closeNatively(integer(fd, 'fd', 0, MAX_INT));
  if (status < 0) throw systemError(status, 'close');
}

module.exports = { MAX_FDS, NO_FDS, closeFd, descriptorOf, descriptorsOf, messageParts };
