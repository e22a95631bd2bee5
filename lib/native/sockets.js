// Owns: sockets as numbers: who has the events of which, and the layout of what native code hands over.
//
// Native code knows a socket by its id. `owners` has the object that gets its events, by the id's index. A
// socket's object has these methods:
//   [kMessage](data, flags, words, at)   one message; `at` is its entry, for the functions below
//   [kSettled](outcomes)                 queued messages are done: ticket, 0 or a negative errno, ticket, …
//   [kWritten](status)                   of a stream: the write that waited is done, 0 or a negative errno
//   [kError](errno)                      an error of the socket itself
//   [kEnd]()                             the peer sends no more
//   [kFinished]()                        after finish(): the end has been sent
//   [kConnected]()                       after reportConnect(): the outcome of connecting is due
//   [kWritable]()                        after notifyWritable(): there is room to send to the peer
// and a server's [kError], and
//   [kAccepts]                           whether it wants connections now
//   [kConnection]()                      a connection was accepted: take it
//   [kShortage](errno)                   accepting pauses, for want of memory or descriptors
'use strict';

const { Buffer } = require('buffer');
const { markAsUntransferable } = require('worker_threads');
const binding = require('./binding');
const { codedError } = require('../util/errors');

binding.startSockets();

const { layout } = binding;
const { CURSOR, COUNT, NEW_SLABS, ID, PAIRS, ENTRY, NAMES, NAME_BYTES, INDEX_MASK } = layout;
const { OFFSET, LENGTH, FLAGS, BUFFER, PID, UID, GID, NAME_LENGTH } = layout;
const { EVENT_CONNECTED, EVENT_ERROR, EVENT_END, EVENT_FINISHED } = layout;
const { EVENT_SHORTAGE, EVENT_WRITTEN } = layout;

/** A socket's id, 0 while it has none. */
const kId = Symbol('kId');
const kMessage = Symbol('kMessage');
const kSettled = Symbol('kSettled');
const kError = Symbol('kError');
const kEnd = Symbol('kEnd');
const kFinished = Symbol('kFinished');
const kConnected = Symbol('kConnected');
const kWritable = Symbol('kWritable');
const kWritten = Symbol('kWritten');
const kAccepts = Symbol('kAccepts');
const kConnection = Symbol('kConnection');
const kShortage = Symbol('kShortage');
const kSenderName = Symbol('kSenderName');

/** What an entry's flags say. */
const flag = Object.freeze({
  NAME: layout.FLAG_NAME,
  FDS: layout.FLAG_FDS,
  CREDENTIALS: layout.FLAG_CREDENTIALS,
  TRUNCATED: layout.FLAG_TRUNCATED,
  FDS_LOST: layout.FLAG_FDS_LOST,
  FDS_REFUSED: layout.FLAG_FDS_REFUSED,
  INTO: layout.FLAG_INTO,
  PIDFD: layout.FLAG_PIDFD,
  WHOLE: layout.FLAG_WHOLE,
});

/** What makes a message an error: descriptors that came with it are gone. */
const FDS_MISSING = flag.FDS_LOST | flag.FDS_REFUSED;
/** What leaves a message without bytes of its own. */
const NO_BYTES = flag.TRUNCATED | flag.INTO;

/** Buffer's own class for views: a fraction of the cost of Buffer.from(). */
const FastBuffer = Buffer[Symbol.species];
const { isArray } = Array;

/** Index of an id → the object that gets the socket's events, null where nobody does. */
const owners = [];

/** Lets an object have the events of a socket. */
function own(id, owner) {
  const index = id & INDEX_MASK;
  for (let at = owners.length; at < index; at++) owners[at] = null;
  owners[index] = owner;
}

/** Closes a socket: no event follows. */
function closeId(id) {
  owners[id & INDEX_MASK] = null;
  binding.close(id);
}

/** Gives a socket up; see detach() of sockets. `[fd, …]`, or a negative errno. */
function detachId(id) {
  const result = binding.detach(id);
  if (typeof result !== 'number') owners[id & INDEX_MASK] = null;
  return result;
}

/** Gives up a socket that is of no use after all. A descriptor that was adopted is the caller's again. */
function giveUpId(id, isAdopted) {
  if (isAdopted) detachId(id);
  else closeId(id);
}

/** The sender's name in bytes, a copy. Nothing that users can replace sees `words`. */
function senderName(words, index, length) {
  const name = new FastBuffer(length);
  const from = new FastBuffer(words.buffer, NAMES * 4 + NAME_BYTES * index, length);
  for (let at = 0; at < length; at++) name[at] = from[at];
  return name;
}

/** Of the words of a batch that is being handed over: its buffers, and the words of the batch that this one interrupts. */
const kBuffers = Symbol('kBuffers');
const kOuter = Symbol('kOuter');

/** The words of the innermost batch that is being handed over. One whose handler threw is that until native code goes on. */
let current = null;

/**
 * Hands the messages of a batch to the owner: `words[COUNT]` of them, noting in `words[CURSOR]` how far it
 * came. After an exception native code reports that and calls again for the rest.
 */
function onMessages(words, buffers) {
  const id = words[ID];
  if (current !== words) words[kOuter] = current;
  words[kBuffers] = buffers;
  current = words;
  // Many messages share a slab: as with Node's own pool, none may take it away from the others.
  for (let slabs = words[NEW_SLABS], at = 0; slabs !== 0; slabs >>>= 1, at++) {
    if (slabs & 1) markAsUntransferable(isArray(buffers) ? buffers[at] : buffers);
  }
  handOver(id, owners[id & INDEX_MASK], words, buffers);
  current = words[kOuter];
  words[kBuffers] = undefined;
}

function handOver(id, owner, words, buffers) {
  const several = isArray(buffers);
  let buffer = several ? undefined : buffers;
  const count = words[COUNT];
  // The cursor may have moved: who gives the socket up takes the rest.
  for (let index = words[CURSOR]; index < count; index = words[CURSOR]) {
    words[CURSOR] = index + 1;
    // Closed by the handler of a message before.
    if (owner === null || owner[kId] !== id) return;
    const at = ENTRY * (index + 1);
    const length = words[at + LENGTH];
    const flags = words[at + FLAGS];
    if (flags & flag.NAME) owner[kSenderName] = senderName(words, index, words[at + NAME_LENGTH]);
    if (several) buffer = buffers[words[at + BUFFER] & 0xff];
    let data;
    if (flags & flag.WHOLE) data = buffer;
    else if (length === 0 || flags & NO_BYTES) data = new FastBuffer(0);
    else data = new FastBuffer(buffer, words[at + OFFSET], length);
    owner[kMessage](data, flags, words, at);
  }
}

/** Hands over at once what is left of a batch of that socket, to whose handler this is a call: nobody else has it. */
function handOverRest(id, owner) {
  for (let words = current; words !== null; words = words[kOuter]) {
    if (words[ID] === id) handOver(id, owner, words, words[kBuffers]);
  }
}

/** Gives the outcomes of queued sends to the owner, as one list: what it does with one cannot change another. */
function onSettled(words) {
  const id = words[ID];
  const owner = owners[id & INDEX_MASK];
  const count = words[COUNT];
  // No array: nothing that others put on Array.prototype runs here.
  const outcomes = new Int32Array(2 * count);
  for (let at = 0; at < outcomes.length; at++) outcomes[at] = words[PAIRS + at];
  words[CURSOR] = count;
  if (owner !== null && owner[kId] === id) owner[kSettled](outcomes);
}

/** Hands accepted connections to the owner, which takes them from the listener one by one. */
function onConnections(id, count) {
  const owner = owners[id & INDEX_MASK];
  // Closed or paused by a handler: native code keeps, or closes, the others.
  for (let index = 0; index < count; index++) {
    if (owner === null || owner[kId] !== id || !owner[kAccepts]) return;
    owner[kConnection]();
  }
}

function onEvent(id, kind, value) {
  const owner = owners[id & INDEX_MASK];
  if (owner === null || owner[kId] !== id) return;
  if (kind === EVENT_WRITTEN) owner[kWritten](value);
  else if (kind === EVENT_ERROR) owner[kError](value);
  else if (kind === EVENT_END) owner[kEnd]();
  else if (kind === EVENT_FINISHED) owner[kFinished]();
  else if (kind === EVENT_CONNECTED) owner[kConnected]();
  else if (kind === EVENT_SHORTAGE) owner[kShortage](value);
  else owner[kWritable]();
}

/** Native code's number for this loading of the package; sockets have their events here and nowhere else. */
const loading = binding.attach(onMessages, onSettled, onConnections, onEvent);

/** How many bytes a message has. */
function lengthAt(words, at) {
  return words[at + LENGTH];
}

/** The token to take a message's descriptors with; of a stream, how many came. */
function fdsToken(words, at) {
  return words[at + BUFFER] >>> 8;
}

/** The sender's credentials. */
function credentialsAt(words, at) {
  return { pid: words[at + PID] | 0, uid: words[at + UID], gid: words[at + GID] };
}

/** The Error for flags with FDS_MISSING. */
function descriptorError(flags) {
  if (flags & flag.FDS_LOST) {
    const message = 'Descriptors of a message were lost: the process may not open any more';
    return codedError(Error, 'ERR_AFUNIX_FDS_LOST', message);
  }
  const message =
    'More descriptors arrived than may wait, by maxPendingFds or for this process; they were closed';
  return codedError(Error, 'ERR_AFUNIX_TOO_MANY_FDS', message);
}

/** `{ pid, uid, gid }` of a socket's peer, if it has one. */
function peerCredentials(id) {
  const found = binding.peerCredentials(id);
  if (typeof found === 'number') return undefined;
  const [pid, uid, gid] = found;
  return { pid, uid, gid };
}

module.exports = {
  FDS_MISSING,
  FastBuffer,
  closeId,
  credentialsAt,
  descriptorError,
  detachId,
  fdsToken,
  flag,
  giveUpId,
  handOverRest,
  kAccepts,
  kConnected,
  kConnection,
  kEnd,
  kFinished,
  kError,
  kId,
  kMessage,
  kSenderName,
  kSettled,
  kShortage,
  kWritable,
  kWritten,
  lengthAt,
  loading,
  own,
  peerCredentials,
};
