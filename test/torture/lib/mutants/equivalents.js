'use strict';

// Owns: mutations that survive because nothing can be told from them, by file: the line they are in, what becomes of
// it, and why that is the same.

module.exports = {};
