// Owns: descriptors as users give them: numbers, or objects that hold one.
'use strict';

const dgram = require('dgram');
const binding = require('./binding');
const { invalidType, outOfRange, systemError } = require('../util/errors');
const { memberOf } = require('../util/options');
const { MAX_INT, integer, isOptions, messageBytes } = require('../util/validate');

/** The kernel's limit of one message, SCM_MAX_FD. */
const MAX_FDS = 253;

const NO_FDS = Object.freeze([]);

/**
 * The descriptor of a number, a net.Socket, net.Server, dgram.Socket, FileHandle or a socket of
 * this package.
 *
 * @throws {TypeError} ERR_INVALID_ARG_TYPE where there is none
 * @throws {RangeError} ERR_OUT_OF_RANGE for a number that cannot be one
 * @returns {number}
 */
function descriptorOf(holder, name = 'fd') {
  if (typeof holder === 'number') return integer(holder, name, 0, MAX_INT);
  const fd = heldBy(holder);
  // An object that is closed has -1, or nothing.
  if (typeof fd === 'number' && fd >= 0) return integer(fd, `${name}.fd`, 0, MAX_INT);
  throw invalidType(name, 'a descriptor or an object that holds an open one', holder);
}

function heldBy(holder) {
  if (holder === undefined || holder === null) return undefined;
  if (holder instanceof dgram.Socket) return datagramDescriptor(holder);
  return memberOf(holder, '_handle')?.fd ?? memberOf(holder, 'fd');
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
  // Most messages have one, and that a number.
  const [only] = fds;
  if (fds.length === 1 && Number.isInteger(only) && only >= 0 && only <= MAX_INT) return [only];
  // No map(): that would skip holes, and make the array that a subclass asks for. No push(): that runs
  // setters that may have been put on Array.prototype, and keeps nothing.
  const length = { __proto__: null, length: fds.length };
  return Array.from(length, (_, index) => descriptorOf(fds[index], `${name}[${index}]`));
}

/**
 * A message as users give it, where it is no view: its bytes and its descriptors, if any.
 *
 * @param {string | { data, fds }} message
 * @returns {[Uint8Array, readonly number[] | undefined]}
 */
function messageParts(message, encoding) {
  if (isOptions(message)) {
    const data = memberOf(message, 'data', message.data);
    const fds = memberOf(message, 'fds', message.fds);
    if (data !== undefined || fds !== undefined) {
      const numbers = descriptorsOf(fds, 'message.fds');
      // Last: what holds a descriptor may run code that detaches the buffer.
      return [messageBytes(data === undefined ? '' : data, 'message.data', encoding), numbers];
    }
  }
  return [messageBytes(message, 'message', encoding), undefined];
}

/**
 * Closes a descriptor that came with a message, close(2). In a worker fs.closeSync() warns of
 * descriptors that fs did not open; this does not.
 *
 * @param {number} fd
 * @throws {Error} EBADF; EBUSY if an open socket of this package owns it: close that
 */
function closeFd(fd) {
  const status = binding.closeFd(integer(fd, 'fd', 0, MAX_INT));
  if (status < 0) throw systemError(status, 'close');
}

module.exports = { MAX_FDS, NO_FDS, closeFd, descriptorOf, descriptorsOf, messageParts };
