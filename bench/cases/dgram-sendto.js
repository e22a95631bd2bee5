'use strict';

/**
 * As dgram-oneway, but every message names its destination, in the C loop too. unix-dgram is not
 * here: it leaves a full destination of an unconnected socket to its user.
 */

const { roles, oneway, metrics, costs, per, faults } = require('./dgram-oneway');

module.exports = {
  name: 'dgram-sendto',
  about: 'As dgram-oneway, but every message names its destination, in the C loop too.',
  kind: 'dgram',
  implementations: ['afunix', 'node-unix-socket'],
  metrics: metrics.map((metric) => ({ ...metric, targets: undefined })),
  costs,
  per,
  faults,
  roles,
  measure: (trial) => oneway(trial, 0),
};
