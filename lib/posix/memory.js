// Owns: the memory that the synchronous calls read and write: buffers of every kind, as native code
// takes them.
'use strict';

const { types } = require('util');
const { codedError, invalidType, invalidValue, outOfRange } = require('../util/errors');
const { number } = require('../util/validate');

const { isView } = ArrayBuffer;
const { isArrayBuffer, isDataView, isSharedArrayBuffer } = types;
const { apply, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;

// What a buffer says of itself is asked for by these, not by its own members: those may be the user's, and
// run code between two steps of a call.
const getterOf = (owner, name) => getOwnPropertyDescriptor(owner, name).get;
const typedArray = getPrototypeOf(Uint8Array.prototype);
const { keys } = typedArray;
const [ofTypedArray, ofDataView, ofArrayBuffer] = [
  typedArray,
  DataView.prototype,
  ArrayBuffer.prototype,
].map((owner) => getterOf(owner, 'byteLength'));
const { get: getView, set: setView } = WeakMap.prototype;

/** A view of each SharedArrayBuffer that was passed as it is. */
const sharedViews = new WeakMap();

/** A length in bytes that reaches not beyond the buffer. */
function checkLength(len, available) {
  number(len, 'len');
  if (!Number.isInteger(len)) throw outOfRange('len', 'an integer', len);
  if (len >= 0 && len <= available) return;
  const message = `"len" is outside of buffer bounds: ${len} of ${available} bytes`;
  throw codedError(RangeError, 'ERR_BUFFER_OUT_OF_BOUNDS', message);
}

/**
 * The bytes of a buffer, if it is one: slowly() looks at what has none. A DataView without memory throws
 * where it is asked.
 */
function lengthOf(value) {
  try {
    return value?.byteLength;
  } catch {
    return undefined;
  }
}

/**
 * How many bytes a view or an ArrayBuffer has. Runs no code of the user's.
 *
 * @throws {TypeError} where there is no memory any more: detached, or a view outside of what is left of
 *   its ArrayBuffer
 */
function sizeOf(memory) {
  // A DataView without memory throws where it is asked; the others have 0 bytes then.
  if (isDataView(memory)) return apply(ofDataView, memory, []);
  const isTypedArray = isView(memory);
  const size = apply(isTypedArray ? ofTypedArray : ofArrayBuffer, memory, []);
  if (size > 0) return size;
  if (isTypedArray) apply(keys, memory, []);
  else new Uint8Array(memory);
  return 0;
}

/**
 * What native code takes for the bytes of a buffer: a view, or an ArrayBuffer. Runs no code of the
 * user's.
 */
function memoryOf(value, name, also = '') {
  return measured(value, name, also)[0];
}

/** The same, and how many bytes it has. */
function measured(value, name, also = '') {
  let memory = value;
  if (isSharedArrayBuffer(value)) {
    memory = apply(getView, sharedViews, [value]);
    if (memory === undefined) {
      memory = new Uint8Array(value);
      apply(setView, sharedViews, [value, memory]);
    }
  } else if (!isView(value) && !isArrayBuffer(value)) {
    const buffers = 'an instance of Buffer, TypedArray, DataView, ArrayBuffer or SharedArrayBuffer';
    throw invalidType(name, also + buffers, value);
  }
  let size;
  try {
    size = sizeOf(memory);
  } catch {
    throw invalidValue(name, value, 'must not be a detached buffer');
  }
  return [memory, size];
}

/** Buffers as native code takes them. */
function vectorsOf(iov, name) {
  if (iov === undefined) return [];
  if (!Array.isArray(iov)) return [memoryOf(iov, name, 'an instance of Array, ')];
  return Array.from(iov, (part, index) => memoryOf(part, `${name}[${index}]`));
}

/** Where code of the user's has run since, it may have detached one of them. */
function checkVectors(memories, name) {
  for (const memory of memories) memoryOf(memory, name);
}

module.exports = { checkLength, checkVectors, lengthOf, measured, memoryOf, vectorsOf };
