// Owns: the members that classes of sockets and servers have alike, whatever they inherit from.
'use strict';

const { kHandle, peerCredentials } = require('../native/sockets');

/** The record of a socket or server: `referenced`, and what its class adds. */
const kState = Symbol('kState');
/** A server's method for a connection that has closed. */
const kConnectionClosed = Symbol('kConnectionClosed');
/** A socket's Outbox. */
const kOutbox = Symbol('kOutbox');

/** Never made: members are copied, since one class is an EventEmitter, the others Duplexes. */
class OutboxMembers {
  /** Bytes that wait to be sent. */
  get writableLength() {
    return this[kOutbox].length;
  }

  /** From this many waiting bytes on, sending returns false. */
  get writableHighWaterMark() {
    return this[kOutbox].highWaterMark;
  }

  /** True while a `'drain'` event is due. */
  get writableNeedDrain() {
    return this[kOutbox].needDrain;
  }
}

/** The same for whatever can have a peer. */
class PeerMembers {
  /** `{ pid, uid, gid }` of whoever made the peer (SO_PEERCRED); undefined without one. */
  get peerCredentials() {
    return peerCredentials(this[kHandle]);
  }
}

/** The same for whatever has a native handle. */
class HandleMembers {
  /** The descriptor's number; -1 while there is none. */
  get fd() {
    return this[kHandle] === null ? -1 : this[kHandle].fd();
  }

  /** Lets the open socket, or listening server, keep the process alive: the default. @returns {this} */
  ref() {
    this[kState].referenced = true;
    this[kState].connectTimer?.ref();
    this[kHandle]?.setRef(1);
    return this;
  }

  /** Lets the process end although it is open. @returns {this} */
  unref() {
    this[kState].referenced = false;
    this[kState].connectTimer?.unref();
    this[kHandle]?.setRef(0);
    return this;
  }

  /** Whether it is open and keeps the process alive. */
  hasRef() {
    return this[kHandle] !== null && this[kState].referenced;
  }
}

/** Gives a class the members of another. */
function copyMembers(Target, Source) {
  const { constructor, ...members } = Object.getOwnPropertyDescriptors(Source.prototype);
  void constructor;
  Object.defineProperties(Target.prototype, members);
}

/** Gives a class what every socket and server has. */
function shareHandleMembers(Target) {
  copyMembers(Target, HandleMembers);
}

/** Gives a class what every socket has. */
function shareMembers(Target) {
  shareHandleMembers(Target);
  copyMembers(Target, PeerMembers);
}

/** Gives a class what shows how much waits in its Outbox. */
function shareOutboxMembers(Target) {
  copyMembers(Target, OutboxMembers);
}

module.exports = {
  kConnectionClosed,
  kOutbox,
  kState,
  shareHandleMembers,
  shareMembers,
  shareOutboxMembers,
};
