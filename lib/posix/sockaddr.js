// Owns: addresses of the synchronous calls (`sun_*`, `sin_*`, `sin6_*`, `sa_*` of other families, or the
// name of a Unix socket), and the slot in which they cross to native code, see native/sys/sockaddr.rs.
// The slot is one for all calls: whatever may run code of the user's (getters, setters) comes before
// it is written, or after it has been read.
'use strict';

const { Buffer, isUtf8 } = require('buffer');
const { isIPv4, isIPv6 } = require('net');
const { isUint8Array } = require('util').types;
const { invalidType, invalidValue, isUrl, systemError } = require('../util/errors');
const { membersOf } = require('../util/options');
const { integer, pathBytes } = require('../util/validate');

const MAX_PORT = 0xffff;
const MAX_UINT = 2 ** 32 - 1;
const NO_BYTES = new Uint8Array(0);
/** The slot's numbers, before its text. */
const [FAMILY, PORT, FLOW, SCOPE, LENGTH, WORDS] = [0, 1, 2, 3, 4, 5];
/** `sin6_family` in the documentation of posix-socket, where other systems than ours have it. */
const FOREIGN_AF_INET6 = 24;

/** The codec for an environment's slot. */
class SocketAddresses {
  /**
   * @param {number} size - of the slot in bytes
   * @param {object} constants - AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6
   */
  constructor(size, constants) {
    /** For native code. */
    this.slot = new ArrayBuffer(size);
    this.words = new Uint32Array(this.slot, 0, WORDS);
    this.text = Buffer.from(this.slot, WORDS * Uint32Array.BYTES_PER_ELEMENT);
    this.constants = constants;
  }

  /**
   * Writes an address object to the slot.
   *
   * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE
   */
  write(addr, name) {
    const { AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 } = this.constants;
    if (isName(addr)) {
      this.#fill(AF_UNIX, 0, 0, 0, pathBytes(addr, name));
      return;
    }
    addr = wellRead(checkObject(addr, name));
    const { sun_family, sin_family, sin6_family, sa_family } = addr;
    if ((sun_family ?? sin_family ?? sin6_family ?? sa_family) === AF_UNSPEC) {
      this.#fill(AF_UNSPEC, 0, 0, 0, NO_BYTES);
    } else if (sun_family !== undefined) {
      checkFamily(sun_family, AF_UNIX, `${name}.sun_family`, 'AF_UNIX');
      const path = addr.sun_path;
      const isUnnamed = path === undefined || path?.length === 0;
      const bytes = isUnnamed ? NO_BYTES : pathBytes(path, `${name}.sun_path`);
      this.#fill(AF_UNIX, 0, 0, 0, bytes);
    } else if (sin_family !== undefined) {
      checkFamily(sin_family, AF_INET, `${name}.sin_family`, 'AF_INET');
      const { sin_port, sin_addr } = addr;
      integer(sin_port, `${name}.sin_port`, 0, MAX_PORT);
      const bytes = hostBytes(sin_addr, isIPv4, `${name}.sin_addr`, 'an IPv4 address');
      this.#fill(AF_INET, sin_port, 0, 0, bytes);
    } else if (sin6_family !== undefined) {
      if (sin6_family !== FOREIGN_AF_INET6) {
        checkFamily(sin6_family, AF_INET6, `${name}.sin6_family`, 'AF_INET6');
      }
      const { sin6_port, sin6_addr, sin6_flowinfo = 0, sin6_scope_id = 0 } = addr;
      integer(sin6_port, `${name}.sin6_port`, 0, MAX_PORT);
      integer(sin6_flowinfo, `${name}.sin6_flowinfo`, 0, MAX_UINT);
      integer(sin6_scope_id, `${name}.sin6_scope_id`, 0, MAX_UINT);
      const isPlain = (text) => isIPv6(text) && !text.includes('%');
      const expected = 'an IPv6 address without a zone (see sin6_scope_id)';
      const bytes = hostBytes(sin6_addr, isPlain, `${name}.sin6_addr`, expected);
      this.#fill(AF_INET6, sin6_port, sin6_flowinfo, sin6_scope_id, bytes);
    } else if (sa_family !== undefined) {
      integer(sa_family, `${name}.sa_family`, 0, MAX_PORT);
      if ([AF_UNIX, AF_INET, AF_INET6].includes(sa_family)) {
        const fault = 'must not be a family that has members of its own (sun_*, sin_*, sin6_*)';
        throw invalidValue(`${name}.sa_family`, sa_family, fault);
      }
      const { sa_data } = addr;
      if (!isUint8Array(sa_data)) {
        throw invalidType(`${name}.sa_data`, 'an instance of Buffer or Uint8Array', sa_data);
      }
      this.#fill(sa_family, 0, 0, 0, sa_data);
    } else {
      const fault = 'must have sun_family, sin_family, sin6_family or sa_family';
      throw invalidValue(name, addr, fault);
    }
  }

  #fill(family, port, flow, scope, bytes) {
    const { words, text } = this;
    words[FAMILY] = family;
    words[PORT] = port;
    words[FLOW] = flow;
    words[SCOPE] = scope;
    // Native code sees by the length that a name does not fit.
    words[LENGTH] = bytes.length;
    text.set(bytes.length > text.length ? bytes.subarray(0, text.length) : bytes);
  }

  /** What native code wrote to the slot: an address object; undefined if there was no address. */
  read() {
    const { AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 } = this.constants;
    const { words } = this;
    const [family, port, flow] = [words[FAMILY], words[PORT], words[FLOW]];
    const [scope, length] = [words[SCOPE], words[LENGTH]];
    switch (family) {
      case AF_UNSPEC:
        return undefined;
      case AF_UNIX:
        return { sun_family: AF_UNIX, sun_path: pathOf(this.text.subarray(0, length)) };
      case AF_INET:
        return {
          sin_family: AF_INET,
          sin_port: port,
          sin_addr: this.text.latin1Slice(0, length),
        };
      case AF_INET6:
        return {
          sin6_family: AF_INET6,
          sin6_port: port,
          sin6_flowinfo: flow,
          sin6_addr: this.text.latin1Slice(0, length),
          sin6_scope_id: scope,
        };
      default:
        return { sa_family: family, sa_data: Buffer.from(this.text.subarray(0, length)) };
    }
  }
}

/** Whether an address is the name of a Unix socket, and no object. */
function isName(addr) {
  return typeof addr === 'string' || isUint8Array(addr) || isUrl(addr);
}

const { prototype: base } = Object;

/** An address object without what may have been put on Object.prototype. */
function wellRead(addr) {
  // Looked at one by one: this is on the way of every message.
  const isClean =
    base.sun_family === undefined &&
    base.sin_family === undefined &&
    base.sin6_family === undefined &&
    base.sa_family === undefined &&
    base.sun_path === undefined &&
    base.sin6_flowinfo === undefined &&
    base.sin6_scope_id === undefined;
  return isClean ? addr : membersOf(addr, [...FAMILIES, ...Object.values(MEMBERS).flat()]);
}

/** The first key of each kind of address object. */
const FAMILIES = ['sun_family', 'sin_family', 'sin6_family', 'sa_family'];
/** What else each kind has. */
const MEMBERS = {
  sun_family: ['sun_path'],
  sin_family: ['sin_port', 'sin_addr'],
  sin6_family: ['sin6_port', 'sin6_flowinfo', 'sin6_addr', 'sin6_scope_id'],
  sa_family: ['sa_data'],
};

/**
 * Fills the user's address object; members of another family than the address's go. A member that cannot
 * be set stays as it is: what came with the address must not be lost for it.
 */
function fillAddress(target, address) {
  if (address === undefined) return;
  for (const family of FAMILIES) {
    if (family in address || !(family in target)) continue;
    Reflect.deleteProperty(target, family);
    for (const member of MEMBERS[family]) Reflect.deleteProperty(target, member);
  }
  for (const member of Object.keys(address)) Reflect.set(target, member, address[member]);
}

/** An object. */
function checkObject(value, name) {
  if (value === null || typeof value !== 'object') throw invalidType(name, 'of type object', value);
  return value;
}

/** An object to be filled with an address. */
function checkFillable(value, name) {
  if (Object.isFrozen(checkObject(value, name))) throw invalidValue(name, value, 'is frozen');
  return value;
}

function checkFamily(family, expected, name, constant) {
  integer(family, name);
  if (family !== expected) throw invalidValue(name, family, `must be ${constant} (${expected})`);
}

function hostBytes(host, isValid, name, expected) {
  if (typeof host !== 'string') throw invalidType(name, 'of type string', host);
  if (!isValid(host)) throw invalidValue(name, host, `must be ${expected}`);
  return Buffer.from(host, 'latin1');
}

/** A name as a string; as a Buffer where a string would lose bytes. */
function pathOf(bytes) {
  return isUtf8(bytes) ? bytes.toString() : Buffer.from(bytes);
}

/** The Error for a call that failed with an address, as everywhere: with `path`, or `address` and `port`. */
function addressError(errno, syscall, addr) {
  if (isName(addr)) return systemError(errno, syscall, addr);
  addr = wellRead(addr);
  if (addr.sun_family !== undefined) return systemError(errno, syscall, addr.sun_path);
  const address = addr.sin_addr ?? addr.sin6_addr;
  if (address === undefined) return systemError(errno, syscall);
  const port = addr.sin_port ?? addr.sin6_port;
  const error = systemError(errno, syscall, `${address}:${port}`);
  delete error.path;
  return Object.assign(error, { address, port });
}

module.exports = { SocketAddresses, addressError, checkFillable, checkObject, fillAddress };
