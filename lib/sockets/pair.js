// Owns: making the two sockets of a pair, whatever their class.
'use strict';

const { Endpoint, demand } = require('../native/sockets');
const check = require('../util/validate');

/** An option between classes: the native handle, with its descriptor, that a socket is made for. */
const kAdoptHandle = Symbol('kAdoptHandle');

/**
 * Two sockets of a class, connected to each other, socketpair(2).
 *
 * @param {Function} Socket - takes options, kAdoptHandle among them
 * @param {number} type - SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET
 * @param {object} [options] - of the user, for both; without `fd` and `path`
 */
function makePair(Socket, type, options) {
  const rest = { ...check.optionsObject(options), fd: undefined, path: undefined };
  const ends = [new Endpoint(type), new Endpoint(type)];
  demand(ends[0].createPair(ends[1]), 'socketpair');
  try {
    return ends.map((end) => new Socket({ ...rest, [kAdoptHandle]: end }));
  } catch (error) {
    for (const end of ends) end.close();
    throw error;
  }
}

module.exports = { kAdoptHandle, makePair };
