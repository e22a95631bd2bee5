// Owns: what write() of a USocket may be given, and what it is in bytes and descriptors.
'use strict';

const { Buffer } = require('buffer');
const { descriptorsOf } = require('../native/fds');
const { runAlone } = require('../util/callback');
const { codedError, invalidType, show } = require('../util/errors');
const { memberOf } = require('../util/options');
const check = require('../util/validate');

const EMPTY = Buffer.alloc(0);
/** The most bytes that a UTF-16 unit becomes, in encodings that native code knows. */
const BYTES_EACH = { __proto__: null, utf8: 3, 'utf-8': 3, latin1: 1, binary: 1, ascii: 1 };

/** The parts of anything but a string or a Uint8Array; `callback` runs both of those given. */
function partsOf(message, encoding, callback) {
  const someOf = (fds, name) => {
    const numbers = descriptorsOf(fds, name, Infinity);
    return numbers.length > 0 ? numbers : undefined;
  };
  if (Array.isArray(message)) return { data: EMPTY, fds: someOf(message, 'message'), callback };
  if (ArrayBuffer.isView(message)) {
    return { data: check.messageBytes(message), callback };
  }
  const isObject = check.isOptions(message);
  const given = isObject ? memberOf(message, 'data', message.data) : undefined;
  const fds = isObject ? memberOf(message, 'fds', message.fds) : undefined;
  if ((given ?? fds) === undefined) {
    const expected = 'a string, a view, an array of descriptors or an object with data or fds';
    throw invalidType('message', expected, message);
  }
  const data = given ?? EMPTY;
  const own = memberOf(message, 'callback', message.callback) ?? undefined;
  const first = check.optionalCallback(own, 'message.callback');
  const both = (error) => {
    runAlone(first, error);
    callback(error);
  };
  const numbers = someOf(fds, 'message.fds');
  return {
    // Last: what holds a descriptor may run code that detaches the buffer.
    data: check.messageBytes(data, 'message.data', encoding),
    fds: numbers,
    callback: first && callback ? both : (first ?? callback),
  };
}

/** As Writable does: ERR_UNKNOWN_ENCODING. */
function checkEncoding(encoding) {
  if (typeof encoding === 'string') {
    if (BYTES_EACH[encoding] !== undefined || encoding === 'buffer') return;
    if (Buffer.isEncoding(encoding)) return;
  }
  throw codedError(TypeError, 'ERR_UNKNOWN_ENCODING', `Unknown encoding: ${show(encoding)}`);
}

function bufferOf(chunk, encoding) {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}

/** How many bytes a chunk has. */
function bytesIn(data, encoding) {
  return typeof data === 'string' ? Buffer.byteLength(data, encoding) : data.length;
}

module.exports = { BYTES_EACH, EMPTY, bufferOf, bytesIn, checkEncoding, partsOf };
