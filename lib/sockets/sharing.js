// Owns: the place where cluster/ puts how the workers of a cluster listen together.
'use strict';

let shareInCluster = null;

/** @param {(server: object, plan: object, steps: object) => boolean} share - see share() */
function setSharing(share) {
  shareInCluster = share;
}

/**
 * Lets a server listen together with those of other processes.
 *
 * @param {object} server
 * @param {object} plan - of listen()
 * @param {{ open: Function, begin: Function }} steps - open a listening socket; go on with one
 * @returns {boolean} false: the server is to listen by itself, at once
 */
function share(server, plan, steps) {
  return shareInCluster !== null && shareInCluster(server, plan, steps);
}

module.exports = { setSharing, share };
