// Owns: the members that classes of sockets and servers have alike, whatever they inherit from.
'use strict';

const { EBADF, ENOPROTOOPT, ENOTCONN } = require('os').constants.errno;
const binding = require('../native/binding');
const { demand } = require('../native/results');
const { kId, peerCredentials } = require('../native/sockets');
const check = require('../util/validate');

/** The record of a socket or server: `referenced`, of a connection `referencedNext`, `backlog`; what its class adds. */
const kState = Symbol('kState');
/** A server's method for a connection that has closed. */
const kConnectionClosed = Symbol('kConnectionClosed');
/** What a socket sends with: a MessageWriter; of a USocket a StreamWriter, or null before its first use. */
const kWriter = Symbol('kWriter');

/** Never made: members are copied, since one class is an EventEmitter, the others Duplexes. */
class MessageMembers {
  /** Bytes that wait to be sent. */
  get writableLength() {
    return this[kWriter]?.length;
  }

  /** From this many waiting bytes on, sending returns false. */
  get writableHighWaterMark() {
    return this[kWriter]?.highWaterMark;
  }

  /** True while a `'drain'` event is due. */
  get writableNeedDrain() {
    return this[kWriter]?.needDrain;
  }

  /** The largest message that can be sent, in bytes, as SO_SNDBUF allows; undefined once closed. */
  get maxMessageSize() {
    const size = this.sendBufferSize;
    return size === undefined ? undefined : Math.max(0, size - MESSAGE_COST);
  }
}

/** What the kernel adds to a message when it compares its size with SO_SNDBUF. */
const MESSAGE_COST = 32;

/** The same for whatever has a peer and buffers. */
class SocketMembers {
  /** `{ pid, uid, gid }` of whoever made the peer (SO_PEERCRED); undefined without one. */
  get peerCredentials() {
    return this[kId] > 0 ? peerCredentials(this[kId]) : undefined;
  }

  /**
   * The process that made the peer, as a pidfd (SO_PEERPIDFD, Linux 6.5): a new descriptor each time, yours to close.
   * Undefined without a peer, and where the system does not say. Throws ESRCH where an older kernel knows that the
   * process has ended; EMFILE, ENFILE.
   */
  get peerPidfd() {
    return peerFact(this[kId], binding.peerPidfd);
  }

  /** The supplementary groups of whoever made the peer (SO_PEERGROUPS); undefined as above. */
  get peerGroups() {
    return peerFact(this[kId], binding.peerGroups);
  }

  /** The security label of whoever made the peer (SO_PEERSEC); undefined as above, and where there are no labels. */
  get peerLabel() {
    return peerFact(this[kId], binding.peerLabel)?.toString();
  }

  /** SO_SNDBUF in bytes, as the kernel counts (Linux doubles what was set); undefined once closed. */
  get sendBufferSize() {
    return bufferSize(this[kId], 0);
  }

  /** SO_RCVBUF in bytes, as the kernel counts (Linux doubles what was set); undefined once closed. */
  get receiveBufferSize() {
    return bufferSize(this[kId], 1);
  }
}

/** The same for whatever has a descriptor. */
class DescriptorMembers {
  /** The descriptor's number; -1 while there is none. */
  get fd() {
    return this[kId] > 0 ? binding.fd(this[kId]) : -1;
  }

  /** Lets the open socket, or listening server, keep the process alive: the default. @returns {this} */
  ref() {
    return setReferenced(this, true);
  }

  /** Lets the process end although it is open. What a stream still has to send keeps it alive. @returns {this} */
  unref() {
    return setReferenced(this, false);
  }

  /** Whether it is open and keeps the process alive. */
  hasRef() {
    return this[kId] > 0 && this[kState].referenced;
  }
}

function setReferenced(owner, referenced) {
  const state = owner[kState];
  state.referenced = referenced;
  if (owner[kId] > 0) binding.setRef(owner[kId], +referenced);
  // As in net: of a socket that is closed, or was never opened, the one that connects next is meant.
  else if (state.referencedNext !== undefined) state.referencedNext = referenced;
  // Where a connection waits for room in a server's backlog.
  state.backlog?.updateRef();
  return owner;
}

/** No peer, or a system that does not say. */
const UNKNOWN = new Set([-EBADF, -ENOTCONN, -ENOPROTOOPT]);

/** What the system says of a peer: nothing is undefined, and a failure never looks like nothing. */
function peerFact(id, ask) {
  const found = id > 0 ? ask(id) : -EBADF;
  return UNKNOWN.has(found) ? undefined : demand(found, 'getsockopt');
}

function bufferSize(id, isReceive) {
  const size = id > 0 ? binding.bufferSize(id, isReceive, -1) : -1;
  return size < 0 ? undefined : size;
}

/** Sets SO_RCVBUF or SO_SNDBUF, in bytes. */
function setBufferSize(id, isReceive, size) {
  demand(
    binding.bufferSize(id, isReceive, check.integer(size, 'size', 1, check.MAX_INT)),
    'setsockopt',
  );
}

/** Gives a class the members of another that it does not have in its own way. */
function copyMembers(Target, Source) {
  for (const name of Object.getOwnPropertyNames(Source.prototype)) {
    if (Object.getOwnPropertyDescriptor(Target.prototype, name) !== undefined) continue;
    const member = Object.getOwnPropertyDescriptor(Source.prototype, name);
    Object.defineProperty(Target.prototype, name, member);
  }
}

/** Gives a class what every socket and server has. */
function shareDescriptorMembers(Target) {
  copyMembers(Target, DescriptorMembers);
}

/** Gives a class what every socket has. */
function shareSocketMembers(Target) {
  shareDescriptorMembers(Target);
  copyMembers(Target, SocketMembers);
}

/** Gives a class what shows how much waits in its MessageWriter. */
function shareMessageMembers(Target) {
  copyMembers(Target, MessageMembers);
}

module.exports = {
  MESSAGE_COST,
  kConnectionClosed,
  kState,
  kWriter,
  setBufferSize,
  shareDescriptorMembers,
  shareMessageMembers,
  shareSocketMembers,
};
