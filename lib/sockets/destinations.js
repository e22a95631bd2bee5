// Owns: which native lane leads to which destination, see native/engine/send/message_queue.rs.
'use strict';

const check = require('../util/validate');

/** The native lane of the connected peer. */
const PEER = 0;
/** Destinations remembered by their native number before the table is made anew. */
const MAX_KNOWN_LANES = 1024;

/** The lanes of one socket. */
class Lanes {
  constructor() {
    /** Destination path → lane. Made with the first entry. */
    this.known = null;
    this.made = 0;
  }

  /**
   * @param {object} handle - of the socket
   * @param {string | Buffer | URL} path - the destination
   * @throws {TypeError} as check.pathBytes()
   * @returns {number} the lane, or a negative errno
   */
  of(handle, path) {
    const known = this.known?.get(path);
    if (known !== undefined) return known;
    const name = check.pathBytes(path, 'destPath');
    if (++this.made > MAX_KNOWN_LANES) {
      handle.sweepLanes();
      this.known?.clear();
      this.made = 1;
    }
    const lane = handle.lane(name);
    if (lane >= 0 && typeof path === 'string') {
      this.known ??= new Map();
      this.known.set(path, lane);
    }
    return lane;
  }
}

module.exports = { Lanes, PEER };
