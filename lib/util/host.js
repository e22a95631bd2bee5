// Owns: what of the host is taken once, when this is loaded: test runners replace it later, or have none.
'use strict';

const { clearTimeout, setImmediate, setTimeout } = require('timers');

/** process.nextTick(), of which fake timers make another. */
const { nextTick } = process;

module.exports = { clearTimeout, nextTick, setImmediate, setTimeout };
