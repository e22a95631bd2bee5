// Owns: the place where cluster/ puts how the workers of a cluster listen together.
'use strict';

/** Until then each server listens by itself. */
let shareInCluster = () => false;

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
  return shareInCluster(server, plan, steps);
}

module.exports = { setSharing, share };
