'use strict';

// Owns: mutations that survive because no test can tell, by file: the line they are in, what becomes of it, and why
// that is the same. Those of the list of planted faults, by name, are under `planted`.

module.exports = {
  planted: {
    'bytes-cost-nothing':
      'how much a flood brings in one wake-up depends on how fast the other process sends; the kernel holds less at ' +
      'once than the limit allows',
  },
};
