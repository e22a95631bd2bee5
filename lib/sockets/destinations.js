// Owns: which number native code gives to which destination, see native/engine/send/message_queue.rs.
'use strict';

const binding = require('../native/binding');
const check = require('../util/validate');

/** The number of the connected peer. */
const PEER = 0;
/** Destinations remembered by their native number before the table is made anew. */
const MAX_KNOWN = 1024;

/** The destinations of one socket. */
class Destinations {
  constructor() {
    /** Path → number. Made with the first entry. */
    this.known = null;
    this.made = 0;
  }

  /**
   * @param {number} id - of the socket
   * @param {string | Buffer | URL} path
   * @throws {TypeError} as check.pathBytes()
   * @returns {number} the destination, or a negative errno
   */
  of(id, path) {
    const known = this.known?.get(path);
    if (known !== undefined) return known;
    const name = check.addressBytes(path, 'destPath');
    if (++this.made > MAX_KNOWN) {
      binding.sweepDestinations(id);
      this.known?.clear();
      this.made = 1;
    }
    const number = binding.destination(id, name);
    if (number >= 0 && typeof path === 'string' && isLasting(path)) {
      this.known ??= new Map();
      this.known.set(path, number);
    }
    return number;
  }
}

/** Whether a name always means the same. */
function isLasting(path) {
  return path[0] === '\0' || (path[0] === '/' && !path.startsWith('/proc/'));
}

module.exports = { Destinations, PEER };
