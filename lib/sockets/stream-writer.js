// Owns: how the bytes and descriptors of a USocket go out.
'use strict';

const { Buffer } = require('buffer');
const { Duplex } = require('stream');
const { isUint8Array } = require('util').types;
const { ENOTCONN, EBADF } = require('os').constants.errno;
const { write: writeNatively, writeMany, writeString } = require('../native/binding');
const { keepContext, runAlone } = require('../util/callback');
const connected = require('./connected');
const { codedError, invalidType, show, systemError } = require('../util/errors');
const { MAX_FDS, descriptorsOf } = require('../native/fds');
const { FastBuffer, kHandle, numberOf } = require('../native/sockets');
const { kState } = require('./members');
const check = require('../util/validate');

const { kDieAfter, kTouch } = connected;

const EMPTY = Buffer.alloc(0);
/** The longest string, in bytes, that native code takes: as in native/api/sockets.rs. */
const MAX_STRING = 16 * 1024;
/** The most bytes that a UTF-16 unit becomes, in encodings that native code knows. */
const BYTES_EACH = { __proto__: null, utf8: 3, 'utf-8': 3, latin1: 1, binary: 1, ascii: 1 };

/** A socket's record of this file. */
const kWrites = Symbol('kWrites');
/** On a Buffer: how many of the queued descriptors go with it. */
const kErrands = Symbol('kErrands');

/** The record of a new socket. */
function newWrites() {
  return {
    connectCallback: null,
    /** What the kernel has not taken yet: Writable's callback, and Buffers from before 'connect'. */
    callback: null,
    deferred: null,
    final: null,
    /** What an attempt that write() made before Writable's turn came to. */
    attempt: undefined,
    /** Groups of descriptors that wait for bytes to travel with. */
    groups: null,
  };
}

/** The parts of what is no string and no Uint8Array; `callback` runs both of those given. */
function partsOf(message, encoding, callback) {
  const someOf = (fds, name) => {
    const numbers = descriptorsOf(fds, name, Infinity);
    return numbers.length > 0 ? numbers : undefined;
  };
  if (Array.isArray(message)) return { data: EMPTY, fds: someOf(message, 'message'), callback };
  if (ArrayBuffer.isView(message)) {
    return { data: bytesOf(check.messageBytes(message)), callback };
  }
  const isParts = check.isOptions(message) && (message.data ?? message.fds) !== undefined;
  if (!isParts) {
    const expected = 'a string, a view, an array of descriptors or an object with data or fds';
    throw invalidType('message', expected, message);
  }
  const data = message.data ?? EMPTY;
  const first = check.optionalCallback(message.callback ?? undefined, 'message.callback');
  const both = (error) => {
    runAlone(first, error);
    callback(error);
  };
  return {
    data: bytesOf(check.messageBytes(data, 'message.data', encoding)),
    fds: someOf(message.fds, 'message.fds'),
    callback: first && callback ? both : (first ?? callback),
  };
}

function bytesOf(view) {
  if (isUint8Array(view)) return view;
  return new FastBuffer(view.buffer, view.byteOffset, view.byteLength);
}

/** As Writable does: ERR_UNKNOWN_ENCODING. */
function checkEncoding(encoding) {
  if (typeof encoding === 'string') {
    if (BYTES_EACH[encoding] !== undefined || encoding === 'buffer') return;
    if (Buffer.isEncoding(encoding)) return;
  }
  throw codedError(TypeError, 'ERR_UNKNOWN_ENCODING', `Unknown encoding: ${show(encoding)}`);
}

function bytesIn(data, encoding) {
  return typeof data === 'string' ? Buffer.byteLength(data, encoding) : data.length;
}

/**
 * Gives bytes to the kernel.
 *
 * @returns {number} 0: all are sent; 1: the rest waits; below: a negative errno
 */
function attempt(socket, handle, data, fds) {
  socket[kTouch]();
  const number = numberOf(handle);
  if (fds === undefined) return writeNatively(number, data);
  const result = writeNatively(number, data, fds);
  if (result === -EBADF) throw systemError(result, 'sendmsg');
  return result;
}

/** The same for a string. Short ones in a usual encoding need no Buffer. */
function attemptString(socket, handle, text, encoding) {
  const bytesEach = BYTES_EACH[encoding];
  if (bytesEach === undefined || text.length * bytesEach > MAX_STRING) {
    return attempt(socket, handle, Buffer.from(text, encoding));
  }
  socket[kTouch]();
  const number = numberOf(handle);
  const result = writeString(number, text, bytesEach === 1 ? 1 : 0);
  return result > 0 ? 0 : result || 1;
}

/** Queues bytes, perhaps none, with the descriptors that wait for bytes and these. */
function writeWithFds(socket, handle, data, fds, callback) {
  const writes = socket[kWrites];
  callback = keepContext(callback);
  writes.groups ??= [];
  if (fds !== undefined) {
    const token = handle.keepFds(fds);
    if (token === -EBADF) throw systemError(token, 'dup');
    if (token < 0) {
      // What is written behind it must not arrive without it.
      const error = systemError(token, 'dup');
      if (callback) process.nextTick(callback, error);
      socket.destroy(error);
      return true;
    }
    writes.groups.push({ token, left: fds.length, callback });
    if (data.length === 0) return true;
    callback = undefined;
  }
  socket[kState].bytesWritten += data.length;
  let going = 0;
  const done = [];
  let room = data.length * MAX_FDS;
  while (writes.groups.length > 0 && room > 0) {
    const [group] = writes.groups;
    const count = Math.min(group.left, room);
    going += count;
    room -= count;
    group.left -= count;
    if (group.left > 0) break;
    if (group.callback) done.push(group.callback);
    writes.groups.shift();
  }
  if (writes.groups.length === 0) writes.groups = null;
  if (callback) done.push(callback);
  // Another object for each write: the user may write one Buffer twice.
  const chunk = new FastBuffer(data.buffer, data.byteOffset, data.byteLength);
  chunk[kErrands] = going;
  return Duplex.prototype.write.call(socket, chunk, (error) => {
    for (const tell of done) tell(error);
  });
}

/** Writable's turn: entries are `{ chunk, encoding }`. */
function startWrite(socket, entries, callback) {
  const writes = socket[kWrites];
  const handle = socket[kHandle];
  if (socket.connecting) {
    writes.deferred = entries;
    writes.callback = callback;
    return;
  }
  const result = writes.attempt ?? (handle === null ? -ENOTCONN : submit(socket, handle, entries));
  writes.attempt = undefined;
  if (result === 0) {
    callback();
  } else if (result > 0 || (handle !== null && connected.isFatal(result))) {
    writes.callback = callback;
    if (result < 0) socket[kDieAfter](result);
  } else {
    callback(systemError(result, 'write'));
  }
}

function submit(socket, handle, entries) {
  const buffers = [];
  const counts = [];
  const full = entries.filter(({ chunk }) => chunk.length > 0);
  if (full.length === 0) return 0;
  if (full.length === 1) {
    const [{ chunk, encoding }] = full;
    if (typeof chunk === 'string') return attemptString(socket, handle, chunk, encoding);
    if (chunk[kErrands] === undefined) return attempt(socket, handle, chunk);
  }
  for (const { chunk, encoding } of full) {
    counts.push(chunk[kErrands] ?? 0);
    buffers.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
  }
  socket[kTouch]();
  return writeMany(numberOf(handle), buffers, counts);
}

function unsentError() {
  const message = 'The descriptors were not sent: no bytes were written for them to travel with';
  return codedError(Error, 'ERR_AFUNIX_FDS_UNSENT', message);
}

/**
 * Descriptors that wait for bytes will not be sent: closes the duplicates, and tells their callbacks.
 *
 * @returns {Error | undefined} the error, if there was somebody without a callback
 */
function failGroups(socket, makeError) {
  const writes = socket[kWrites];
  const { groups } = writes;
  if (groups === null) return undefined;
  writes.groups = null;
  let untold;
  for (const { token, callback } of groups) {
    // Also where the socket lives on: it may receive for long after its end.
    socket[kHandle]?.dropKept(token);
    const error = makeError();
    if (callback) process.nextTick(callback, error);
    else untold = error;
  }
  return untold;
}

module.exports = {
  attempt,
  attemptString,
  bytesIn,
  checkEncoding,
  failGroups,
  kWrites,
  newWrites,
  partsOf,
  startWrite,
  unsentError,
  writeWithFds,
};
