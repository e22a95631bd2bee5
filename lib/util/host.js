// Owns: what of the host is taken once, when this is loaded: test runners replace it later, or have none.
'use strict';

const { clearTimeout, setImmediate, setTimeout } = require('timers');
const { runInThisContext } = require('vm');

/** Node's own process: Jest's sandboxes have a copy, whose nextTick() may be a fake when this is loaded. */
const { nextTick } = runInThisContext('process');

module.exports = { clearTimeout, nextTick, setImmediate, setTimeout };
