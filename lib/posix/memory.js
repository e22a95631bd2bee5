// Owns: the memory that the synchronous calls read and write: buffers of every kind, as native code
// takes them.
'use strict';

const { types } = require('util');
const { codedError, invalidType, invalidValue, outOfRange } = require('../util/errors');
const { hasMemory } = require('../util/validate');

const { isView } = ArrayBuffer;

/** A view of each SharedArrayBuffer that was passed as it is. */
const sharedViews = new WeakMap();

/** A length in bytes that reaches not beyond the buffer. */
function checkLength(len, available) {
  if (typeof len !== 'number') throw invalidType('len', 'of type number', len);
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

/** What native code takes for the bytes of a buffer: a view, or an ArrayBuffer. */
function memoryOf(value, name, also = '') {
  if (types.isSharedArrayBuffer(value)) {
    let view = sharedViews.get(value);
    if (view === undefined) sharedViews.set(value, (view = new Uint8Array(value)));
    return view;
  }
  if (!isView(value) && !types.isArrayBuffer(value)) {
    const buffers = 'an instance of Buffer, TypedArray, DataView, ArrayBuffer or SharedArrayBuffer';
    throw invalidType(name, also + buffers, value);
  }
  if (!(lengthOf(value) > 0) && !hasMemory(value)) {
    throw invalidValue(name, value, 'must not be a detached buffer');
  }
  return value;
}

/** Buffers as native code takes them. */
function vectorsOf(iov, name) {
  if (iov === undefined) return [];
  if (!Array.isArray(iov)) return [memoryOf(iov, name, 'an instance of Array, ')];
  return Array.from(iov, (part, index) => memoryOf(part, `${name}[${index}]`));
}

module.exports = { checkLength, lengthOf, memoryOf, vectorsOf };
