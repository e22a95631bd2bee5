// Owns: the numbers that native code knows sockets by, and how its batches of messages and settled
// sends become calls on the objects that own them.
// A socket's owner has these methods:
//   [kMessage](data, flags, words, at)   one message; `at` is its entry, see below
//   [kSettled](ticket, status)           a queued send is done: 0 or a negative errno
//   [kError](errno)                      an error of the socket itself
//   [kEnd]()                             the peer sends no more
//   [kRoom]()                            after tellRoom(): there is room to send to the peer
//
// A listener's owner has [kError], and
//   [kAccepts]                           whether it wants connections just now
//   [kConnection]()                      a connection was accepted: take it
//   [kShortage](errno)                   accepting pauses, for want of memory or descriptors
'use strict';

const { Buffer } = require('buffer');
const { markAsUntransferable } = require('worker_threads');
const binding = require('./binding');
const { codedError, systemError } = require('../util/errors');

const { SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, layout } = binding;
const { CURSOR, COUNT, NEW_SLABS, ID, PAIRS, ENTRY, NAMES, NAME_BYTES, INDEX_MASK } = layout;
const { OFFSET, LENGTH, FLAGS, BUFFER, PID, UID, GID, NAME_LENGTH } = layout;

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

/** What an entry's flags say. */
const flag = Object.freeze({
  NAME: layout.FLAG_NAME,
  FDS: layout.FLAG_FDS,
  CREDENTIALS: layout.FLAG_CREDENTIALS,
  TRUNCATED: layout.FLAG_TRUNCATED,
  FDS_LOST: layout.FLAG_FDS_LOST,
  FDS_REFUSED: layout.FLAG_FDS_REFUSED,
  INTO: layout.FLAG_INTO,
});

/** Owners of open sockets, by the index in their number. */
const owners = [];

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
 * Hands the messages of a batch to the owner, noting how far it came. After an exception native
 * code reports that and calls again for the rest.
 */
function onMessages(words, buffers) {
  const owner = owners[words[ID] & INDEX_MASK];
  const count = words[COUNT];
  const several = Array.isArray(buffers);
  let buffer = several ? undefined : buffers;
  // Many messages share a slab: as with Node's own pool, none may take it away from the others.
  for (let slabs = words[NEW_SLABS], at = 0; slabs !== 0; slabs >>>= 1, at++) {
    if (slabs & 1) markAsUntransferable(several ? buffers[at] : buffer);
  }
  for (let index = words[CURSOR]; index < count; index++) {
    words[CURSOR] = index + 1;
    // Closed by the handler of a message before.
    if (owner === undefined || owner[kHandle] === null) return;
    const at = ENTRY * (index + 1);
    const length = words[at + LENGTH];
    const flags = words[at + FLAGS];
    if (flags & flag.NAME) owner[kSenderName] = senderName(words, index, words[at + NAME_LENGTH]);
    if (several) buffer = buffers[words[at + BUFFER] & 0xff];
    const data =
      length === 0 || flags & (flag.TRUNCATED | flag.INTO)
        ? new FastBuffer(0)
        : new FastBuffer(buffer, words[at + OFFSET], length);
    owner[kMessage](data, flags, words, at);
  }
}

/** Reports settled sends to the owner; `words` as above. */
function onSettled(words) {
  const owner = owners[words[ID] & INDEX_MASK];
  const count = words[COUNT];
  for (let index = words[CURSOR]; index < count; index++) {
    words[CURSOR] = index + 1;
    owner?.[kSettled](words[PAIRS + 2 * index], words[PAIRS + 1 + 2 * index] | 0);
  }
}

/** Hands accepted connections to the owner, which takes them from the listener one by one. */
function onConnections(id, count) {
  const owner = owners[id & INDEX_MASK];
  // Closed or paused by a handler: native code keeps, or closes, the others.
  for (let index = 0; index < count && owner?.[kAccepts]; index++) owner[kConnection]();
}

function onEvent(id, kind, value) {
  const owner = owners[id & INDEX_MASK];
  if (owner === undefined) return;
  if (kind === layout.EVENT_ERROR) owner[kError](value);
  else if (kind === layout.EVENT_END) owner[kEnd]();
  else if (kind === layout.EVENT_SHORTAGE) owner[kShortage](value);
  else owner[kRoom]();
}

const loading = binding.attach(onMessages, onSettled, onConnections, onEvent);

/** A socket's number under the names that lib/sockets has for what is done with it. */
class Handle {
  constructor(type) {
    this.type = type;
    /** 0 until there is a descriptor. */
    this.id = 0;
  }

  get owner() {
    return owners[this.id & INDEX_MASK];
  }

  set owner(owner) {
    owners[this.id & INDEX_MASK] = owner;
  }

  /** Takes the number that native code returned, unless that is an errno. */
  take(result) {
    if (result < 0) return result;
    this.id = result;
    return 0;
  }

  setRef(on) {
    return binding.setRef(this.id, on);
  }

  fd() {
    return binding.fd(this.id);
  }

  localAddress() {
    return binding.localAddress(this.id);
  }

  close() {
    if (binding.close(this.id) === 0) owners[this.id & INDEX_MASK] = undefined;
    return 0;
  }
}

class Endpoint extends Handle {
  constructor(type) {
    super(type);
    /** Tokens of keepFds(); the descriptors themselves are first in, first out. */
    this.lastToken = 0;
  }

  create() {
    return this.take(binding.create(loading, this.type));
  }

  createPair(other) {
    const pair = binding.createPair(loading, this.type);
    if (typeof pair === 'number') return pair;
    other.take(pair[1]);
    return this.take(pair[0]);
  }

  adopt(fd) {
    return this.take(binding.adopt(loading, this.type, fd));
  }

  acceptFrom(listener) {
    return this.take(binding.accept(listener.id));
  }

  bind(name, mode) {
    return binding.bind(this.id, name, mode, -1, -1, 1);
  }

  connect(name) {
    const result = binding.connect(this.id, name);
    return result === 0 ? [] : result;
  }

  disconnect() {
    return binding.disconnect(this.id);
  }

  receiveBeside(fds, credentials, maxPending) {
    return binding.configure(this.id, fds, credentials, maxPending, -1, -1);
  }

  setHolding(on) {
    return binding.setCorked(this.id, on);
  }

  fail(errno) {
    return binding.fail(this.id, errno);
  }

  detach() {
    return binding.detach(this.id);
  }

  receiveNow() {
    return binding.receiveNow(this.id);
  }

  queuedBytes() {
    return binding.queuedBytes(this.id);
  }

  shutDownSending() {
    return binding.shutDownSending(this.id);
  }

  setReading(on) {
    return binding.setReading(this.id, on);
  }

  tellRoom() {
    return binding.notifyWritable(this.id);
  }

  lane(name) {
    return binding.destination(this.id, name);
  }

  sweepLanes() {
    return binding.sweepDestinations(this.id);
  }

  takeFds(token) {
    return binding.takeFds(this.id, token);
  }

  dropFds(token) {
    return binding.dropFds(this.id, token);
  }

  takeNextFds(count) {
    return binding.takeNextFds(this.id, count);
  }

  putBackFds(fds) {
    return binding.putBackFds(this.id, fds);
  }

  setTarget(buffer) {
    return binding.setTarget(this.id, buffer);
  }

  keepFds(fds) {
    const status = binding.queueFds(this.id, fds);
    return status < 0 ? status : ++this.lastToken;
  }

  dropKept() {
    return binding.dropQueuedFds(this.id);
  }

  peerAddress() {
    return binding.peerAddress(this.id);
  }

  peerCredentials() {
    return binding.peerCredentials(this.id);
  }

  bufferSize(receive, size) {
    return binding.bufferSize(this.id, receive, size);
  }
}

class Listener extends Handle {
  listen(name, backlog, mode) {
    const created = this.take(binding.createListener(loading, this.type));
    if (created < 0) return created;
    const status = binding.listen(this.id, name, backlog, mode, -1, -1, 1);
    if (status < 0) this.close();
    return status;
  }

  adopt(fd) {
    return this.take(binding.adoptListener(loading, this.type, fd));
  }

  setAccepting(on) {
    return binding.setAccepting(this.id, on);
  }
}

/** The number by which native functions know an Endpoint. */
function numberOf(handle) {
  return handle.id;
}

/** The token to take a message's descriptors with. */
function fdsToken(words, at) {
  return words[at + BUFFER] >>> 8;
}

/** The sender's credentials. */
function credentialsAt(words, at) {
  return { pid: words[at + PID] | 0, uid: words[at + UID], gid: words[at + GID] };
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
