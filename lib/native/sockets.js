// Owns: the glue between native handles and their owners: how batches of messages and settled
// sends, as native/engine/batch.rs lays them out, become calls on the owner.
// A native `Endpoint` has an `owner`, which has these methods:
//   [kMessage](data, flags, words, at)   one message; `at` is its entry, see below
//   [kSettled](ticket, status)           a queued send is done: 0 or a negative errno
//   [kError](errno)                      an error of the socket itself
//   [kEnd]()                             the peer sends no more
//   [kRoom]()                            after tellRoom(): there is room to send to the peer
//
// A native `Listener` has an `owner` with [kError], and
//   [kAccepts]                           whether it wants connections just now
//   [kConnection]()                      a connection was accepted: take it
//   [kShortage](errno)                   accepting pauses, for want of memory or descriptors
'use strict';

const { Buffer } = require('buffer');
const { markAsUntransferable } = require('worker_threads');
const binding = require('./binding');
const { codedError, systemError } = require('../util/errors');

const { Endpoint, Listener, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, setHooks } = binding;

const kHandle = Symbol('kHandle');
const kMessage = Symbol('kMessage');
const kSettled = Symbol('kSettled');
const kError = Symbol('kError');
const kEnd = Symbol('kEnd');
const kRoom = Symbol('kRoom');
const kAccepts = Symbol('kAccepts');
const kConnection = Symbol('kConnection');
const kShortage = Symbol('kShortage');
const kSenderName = Symbol('kSenderName');

/** What an entry's flags say, as in native/engine/batch.rs. */
const flag = Object.freeze({
  NAME: 1,
  FDS: 2,
  CREDENTIALS: 4,
  TRUNCATED: 8,
  FDS_LOST: 16,
  FDS_REFUSED: 32,
  INTO: 64,
});

// Words of an entry: offset, length, flags, buffer | token << 8, pid, uid, gid, length of the name.
const ENTRY = 8;
const RECEIVE_BATCH = 32;
const NAMES = ENTRY * (RECEIVE_BATCH + 1);
const NAME_BYTES = process.platform === 'linux' ? 108 : 104;

/** Buffer's own class for views: a fraction of the cost of Buffer.from(). */
const FastBuffer = Buffer[Symbol.species];

/** The bytes of the number array a name is in; one view for the life of the array. */
const nameBytes = new WeakMap();

function senderName(words, index, length) {
  let bytes = nameBytes.get(words);
  if (bytes === undefined) {
    bytes = Buffer.from(words.buffer, NAMES * 4);
    nameBytes.set(words, bytes);
  }
  const start = NAME_BYTES * index;
  return Buffer.from(bytes.subarray(start, start + length));
}

/**
 * Hands the messages of a batch to the owner: `words[1]` of them, noting in `words[0]` how far it
 * came. After an exception native code reports that and calls again for the rest.
 */
function onMessages(words, buffers) {
  const { owner } = this;
  const count = words[1];
  const several = Array.isArray(buffers);
  let buffer = several ? undefined : buffers;
  // Many messages share a slab: as with Node's own pool, none may take it away from the others.
  for (let slabs = words[2], at = 0; slabs !== 0; slabs >>>= 1, at++) {
    if (slabs & 1) markAsUntransferable(several ? buffers[at] : buffer);
  }
  for (let index = words[0]; index < count; index++) {
    words[0] = index + 1;
    // Closed by the handler of a message before.
    if (owner[kHandle] === null) return;
    const at = ENTRY * (index + 1);
    const length = words[at + 1];
    const flags = words[at + 2];
    if (flags & flag.NAME) owner[kSenderName] = senderName(words, index, words[at + 7]);
    if (several) buffer = buffers[words[at + 3] & 0xff];
    const data =
      length === 0 || flags & (flag.TRUNCATED | flag.INTO)
        ? new FastBuffer(0)
        : new FastBuffer(buffer, words[at], length);
    owner[kMessage](data, flags, words, at);
  }
}

/** Tells the owner of settled sends; `words` as above. */
function onSettled(words) {
  const { owner } = this;
  const count = words[1];
  for (let index = words[0]; index < count; index++) {
    words[0] = index + 1;
    owner[kSettled](words[2 + 2 * index], words[3 + 2 * index] | 0);
  }
}

/** Hands accepted connections to the owner, which takes them from the listener one by one. */
function onConnections(count) {
  const { owner } = this;
  // Closed or paused by a handler: native code keeps, or closes, the others.
  for (let index = 0; index < count && owner[kAccepts]; index++) owner[kConnection]();
}

const EVENT_ERROR = 0;
const EVENT_END = 1;
const EVENT_SHORTAGE = 2;

function onEvent(kind, value) {
  const { owner } = this;
  if (kind === EVENT_ERROR) owner[kError](value);
  else if (kind === EVENT_END) owner[kEnd]();
  else if (kind === EVENT_SHORTAGE) owner[kShortage](value);
  else owner[kRoom]();
}

setHooks(onMessages, onSettled, onConnections, onEvent);

/** The number by which native functions know an Endpoint; asked for once. */
function numberOf(handle) {
  return (handle.ownNumber ??= handle.number());
}

/** The token to take a message's descriptors with. */
function fdsToken(words, at) {
  return words[at + 3] >>> 8;
}

/** The sender's credentials. */
function credentialsAt(words, at) {
  return { pid: words[at + 4] | 0, uid: words[at + 5], gid: words[at + 6] };
}

/** What makes a message an error: descriptors that came with it are gone. */
const FDS_MISSING = flag.FDS_LOST | flag.FDS_REFUSED;

/** The Error for flags with FDS_MISSING. */
function descriptorError(flags) {
  if (flags & flag.FDS_LOST) {
    const message = 'Descriptors of a message were lost: the process may not open any more';
    return codedError(Error, 'ERR_AFUNIX_FDS_LOST', message);
  }
  const message = 'More descriptors arrived than maxPendingFds allows; they were closed';
  return codedError(Error, 'ERR_AFUNIX_TOO_MANY_FDS', message);
}

/** `{ pid, uid, gid }` of the peer of a handle, if it has one. */
function peerCredentials(handle) {
  const found = handle?.peerCredentials();
  if (!Array.isArray(found)) return undefined;
  const [pid, uid, gid] = found;
  return { pid, uid, gid };
}

/**
 * A result of native code that is not a negative errno.
 *
 * @throws {Error} for a negative errno
 */
function demand(result, syscall, path) {
  if (typeof result === 'number' && result < 0) throw systemError(result, syscall, path);
  return result;
}

module.exports = {
  Endpoint,
  FDS_MISSING,
  FastBuffer,
  Listener,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  credentialsAt,
  demand,
  descriptorError,
  fdsToken,
  flag,
  kAccepts,
  kConnection,
  kEnd,
  kError,
  kHandle,
  kMessage,
  kRoom,
  kSenderName,
  kSettled,
  kShortage,
  numberOf,
  peerCredentials,
};
