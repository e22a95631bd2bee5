'use strict';

/** As seq-oneway with messages of 8 KiB. */

const { kind, implementations, metrics, faults, roles, oneway } = require('./seq-oneway');

const SIZE = 8192;

module.exports = {
  name: 'seq-oneway-8k',
  about: 'As seq-oneway with messages of 8 KiB.',
  kind,
  implementations,
  metrics: metrics.map((metric) => ({ ...metric, target: { of: 'ratio', atLeast: 0.6 } })),
  faults,
  roles,
  measure: (trial) => oneway(trial, { size: SIZE }),
};
