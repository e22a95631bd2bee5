'use strict';

/** As seq-oneway with messages of 8 KiB. */

const seqOneway = require('./seq-oneway');

const { metrics, oneway } = seqOneway;

const SIZE = 8192;

module.exports = {
  ...seqOneway,
  name: 'seq-oneway-8k',
  about: 'As seq-oneway with messages of 8 KiB.',
  metrics: metrics.map((metric) => ({ ...metric, targets: [{ to: 'c', atLeast: 0.6 }] })),
  measure: (trial) => oneway(trial, { size: SIZE }),
};
