// Owns: argument checks. Each returns the checked value in the form native code takes.
'use strict';

const { Buffer } = require('buffer');
const { isUint8Array } = require('util').types;
const { fileURLToPath } = require('url');
const { nextTick } = require('./host');
const { codedError, invalidType, invalidValue, isUrl, outOfRange } = require('./errors');

/** The largest int of C, and the longest time of a timer, in milliseconds. */
const MAX_INT = 2 ** 31 - 1;

/**
 * The bytes of a socket path: a string, Buffer or `file:` URL; a leading NUL makes an abstract
 * name. Lengths are the kernel's affair (ENAMETOOLONG).
 *
 * @throws {TypeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE (empty, or a NUL inside a path)
 * @returns {Uint8Array}
 */
function pathBytes(path, name = 'path') {
  let bytes;
  if (typeof path === 'string') bytes = Buffer.from(path);
  else if (isUint8Array(path)) bytes = path;
  else if (isUrl(path)) bytes = Buffer.from(fileURLToPath(path));
  else throw invalidType(name, 'of type string or an instance of Buffer or URL', path);
  if (bytes.length === 0) throw invalidValue(name, path, 'must not be empty');
  if (bytes[0] !== 0 && bytes.includes(0)) {
    throw invalidValue(name, path, 'must be a path without null bytes, or start with one');
  }
  if (bytes[0] === 0 && process.platform !== 'linux') {
    throw invalidValue(name, path, 'must not be an abstract name: only Linux has them');
  }
  return bytes;
}

const SLASH = 0x2f;

/** The same for a name that is used later, too: a relative one becomes absolute, and means the same after chdir(). */
function addressBytes(path, name) {
  const bytes = pathBytes(path, name);
  if (bytes[0] === 0 || bytes[0] === SLASH) return bytes;
  try {
    return Buffer.concat([Buffer.from(`${process.cwd()}/`), bytes]);
  } catch {
    // The current folder has been removed: the kernel says what that means for the name.
    return bytes;
  }
}

/** The bytes of a message: a Uint8Array is taken as it is, a string becomes UTF-8. */
function messageBytes(message, name = 'message', encoding = 'utf8') {
  // Of a Uint8Array `length` is asked for everywhere: V8 calls a function for `byteLength`, in all that runs on Node 20.
  if (isUint8Array(message) && message.length > 0) return message;
  if (ArrayBuffer.isView(message)) {
    const bytes = viewOf(message);
    if (bytes === null) throw invalidValue(name, message, 'must not be a detached buffer');
    return isUint8Array(message) ? message : bytes;
  }
  if (typeof message === 'string') return Buffer.from(message, encoding);
  throw invalidType(
    name,
    'of type string or an instance of Buffer, TypedArray, or DataView',
    message,
  );
}

/** The bytes of a view, or null of one that was detached: asking that throws, or lies. */
function viewOf(view) {
  try {
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  } catch {
    return null;
  }
}

/** A number. */
function number(value, name) {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
}

/** An integer from `min` to `max`. */
function integer(value, name, min = 0, max = Number.MAX_SAFE_INTEGER) {
  number(value, name);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} and <= ${max}`, value);
  return value;
}

/** An integer from 0 to `max`, or nothing, which native code knows as -1. */
function optionalNumber(value, name, max) {
  return value === undefined ? -1 : integer(value, name, 0, max);
}

/** A number of milliseconds for a timer; one beyond what timers can do is the longest, as in net. */
function duration(value, name) {
  number(value, name);
  if (!(value >= 0 && value < Infinity)) {
    throw outOfRange(name, 'a non-negative finite number', value);
  }
  return Math.min(value, MAX_INT);
}

/**
 * The part of a Uint8Array from `offset` on, `length` bytes long.
 *
 * @throws {RangeError} ERR_OUT_OF_RANGE, ERR_BUFFER_OUT_OF_BOUNDS
 * @returns {number} the length
 */
function partLength(view, offset, length) {
  integer(offset, 'offset');
  integer(length, 'length');
  if (offset > view.length || length > view.length - offset) {
    const name = offset > view.length ? 'offset' : 'length';
    const message = `"${name}" is outside of buffer bounds`;
    throw codedError(RangeError, 'ERR_BUFFER_OUT_OF_BOUNDS', message);
  }
  return length;
}

/** A string. */
function string(value, name) {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  return value;
}

/** A function or nothing. */
function optionalCallback(callback, name = 'callback') {
  if (callback !== undefined && typeof callback !== 'function') {
    throw invalidType(name, 'of type function', callback);
  }
  return callback;
}

/** Whether a value is an object that can hold options: no array, view, URL, Date … */
function isOptions(value) {
  if (value === null || typeof value !== 'object') return false;
  return Object.prototype.toString.call(value) === '[object Object]';
}

/**
 * An object or nothing: a copy of what it has itself, so that nothing that was put on Object.prototype
 * becomes an option.
 */
function optionsObject(options, name = 'options') {
  if (options === undefined) return { __proto__: null };
  if (!isOptions(options)) throw invalidType(name, 'of type object', options);
  return { __proto__: null, ...options };
}

/** A boolean or nothing. */
function optionalBoolean(value, name, otherwise) {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
  return value;
}

/** An AbortSignal or nothing. */
function optionalSignal(signal, name = 'options.signal') {
  if (signal === undefined) return undefined;
  const isSignal = typeof signal?.aborted === 'boolean';
  if (!isSignal || typeof signal.addEventListener !== 'function') {
    throw invalidType(name, 'an instance of AbortSignal', signal);
  }
  return signal;
}

/**
 * Calls `react` when the signal is aborted, in the next tick if it is already.
 *
 * @returns {(() => void) | null} stops listening
 */
function onAbort(signal, react) {
  if (signal.aborted) {
    nextTick(react);
    return null;
  }
  signal.addEventListener('abort', react, { once: true });
  return () => signal.removeEventListener('abort', react);
}

module.exports = {
  MAX_INT,
  addressBytes,
  duration,
  integer,
  isOptions,
  messageBytes,
  number,
  onAbort,
  optionalBoolean,
  optionalCallback,
  optionalNumber,
  optionalSignal,
  optionsObject,
  partLength,
  pathBytes,
  string,
};
