// Owns: how the bytes and descriptors of a USocket come in.
'use strict';

const connected = require('./connected');
const { invalidType } = require('../util/errors');
const { flag, kHandle } = require('../native/sockets');
const { kState } = require('./members');
const check = require('../util/validate');

/** A socket's record of this file. */
const kReads = Symbol('kReads');

/** The record of a new socket: descriptors that wait to be taken, and who reads by `onread`. */
function newReads(onread) {
  return { fds: 0, groups: null, onread: onreadOf(onread) };
}

/**
 * Descriptors came with a chunk that ends with the byte at `last`. The kernel puts bytes that were
 * written before in front of those that have descriptors, but none behind: only of its last byte it
 * is certain that it was written with them.
 */
function queueFds(socket, count, last) {
  const reads = socket[kReads];
  reads.fds += count;
  reads.groups ??= [];
  reads.groups.push({ count, last });
  emitFds(socket);
}

/** All that wait, to whoever listens. */
function emitFds(socket) {
  const { fds } = socket[kReads];
  if (fds > 0 && socket[kHandle] !== null && socket.listenerCount('fds') > 0) {
    socket.emit('fds', takeFds(socket, fds));
  }
}

/** How many descriptors came with bytes that have been read. */
function fdsUpTo(socket) {
  const { fds, groups } = socket[kReads];
  // Characters are not bytes.
  if (socket.readableEncoding !== null) return fds;
  const position = socket[kState].bytesRead - socket.readableLength;
  let total = 0;
  for (const { count, last } of groups ?? []) {
    if (last >= position) break;
    total += count;
  }
  return total;
}

function takeFds(socket, count) {
  const reads = socket[kReads];
  reads.fds -= count;
  for (let left = count; left > 0;) {
    const [group] = reads.groups;
    const some = Math.min(group.count, left);
    group.count -= some;
    left -= some;
    if (group.count === 0) reads.groups.shift();
  }
  return count === 0 ? [] : socket[kHandle].takeNextFds(count);
}

/** The option as net has it: where bytes go, and who is told. */
function onreadOf(onread) {
  if (onread === undefined || onread === null) return null;
  if (!check.isOptions(onread)) throw invalidType('options.onread', 'of type object', onread);
  const { buffer, callback } = onread;
  if (typeof callback !== 'function') {
    throw invalidType('options.onread.callback', 'of type function', callback);
  }
  if (!(buffer instanceof Uint8Array) && typeof buffer !== 'function') {
    throw invalidType('options.onread.buffer', 'a function or an instance of Uint8Array', buffer);
  }
  return { buffer, callback, current: undefined };
}

function nextBuffer(onread) {
  const { buffer } = onread;
  onread.current = typeof buffer === 'function' ? buffer() : buffer;
  return onread.current;
}

function deliverBytes(socket, data, flags, length) {
  if (flags & flag.INTO) deliverInto(socket, length);
  else connected.deliver(socket, data);
}

/** Bytes are in the user's buffer. */
function deliverInto(socket, length) {
  const { onread } = socket[kReads];
  const goesOn = onread.callback(length, onread.current);
  const handle = socket[kHandle];
  if (handle === null) return;
  if (typeof onread.buffer === 'function') handle.setTarget(nextBuffer(onread));
  if (goesOn === false) {
    socket[kState].reading = false;
    handle.setReading(0);
  }
}

function resumeInto(socket) {
  const state = socket[kState];
  if (state.reading || state.ended || !socket[connected.kIsConnected]) return;
  connected.startReading(socket);
}

module.exports = {
  deliverBytes,
  emitFds,
  fdsUpTo,
  kReads,
  newReads,
  nextBuffer,
  queueFds,
  resumeInto,
  takeFds,
};
