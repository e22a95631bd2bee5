// Owns: making the two sockets of a pair, whatever their class.
'use strict';

const binding = require('../native/binding');
const { demand } = require('../native/results');
const { closeId, loading } = require('../native/sockets');

/**
 * Two sockets of a class, connected to each other, socketpair(2).
 *
 * @param {Function} Socket - is made from a plan
 * @param {object} plan - of the class, for both
 */
function makePair(Socket, plan) {
  const ids = demand(binding.createPair(loading, plan.type), 'socketpair');
  const made = [];
  try {
    for (const id of ids) {
      if (!plan.isUsual) plan.configure(id);
      plan.id = id;
      made.push(new Socket(plan));
    }
    plan.id = 0;
    return made;
  } catch (error) {
    for (const id of ids) closeId(id);
    throw error;
  }
}

module.exports = { makePair };
