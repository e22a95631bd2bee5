'use strict';

// Owns: reasons that mutants of several files have for surviving.

const CLOSED = 'native code knows no socket of the number 0 either';

module.exports = { CLOSED };
