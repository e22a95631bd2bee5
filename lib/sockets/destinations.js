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
   * @param {Uint8Array} view - the message
   * @param {string} viewName - as the caller's argument is called
   * @throws {TypeError} as check.pathBytes(); for a view that the path's own code has detached
   * @returns {number} the destination, or a negative errno
   */
  of(id, path, view, viewName) {
    const known = this.known?.get(path);
    if (known !== undefined) return known;
    const name = check.addressBytes(path, 'destPath');
    // What only looks like a URL may have code of its own.
    if (view.length === 0) check.messageBytes(view, viewName);
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
