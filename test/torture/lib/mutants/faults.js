'use strict';

// Owns: the list of planted faults, of all parts of the project.

module.exports = [
  ...require('./faults-messages.js'),
  ...require('./faults-streams.js'),
  ...require('./faults-engine.js'),
  ...require('./faults-traffic.js'),
];
