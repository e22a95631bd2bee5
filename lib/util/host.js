// Owns: what of the host is taken once, when this is loaded: test runners replace it later, or have none.
'use strict';

const { clearTimeout, setImmediate, setTimeout } = require('timers');
const { runInThisContext } = require('vm');

/** Node's own process: Jest's sandboxes have a copy, whose functions may be fakes when this is loaded. */
const { hrtime, nextTick } = runInThisContext('process');

/** Before Node 20.13 a Writable that is destroyed calls back for end() only where _final() does. */
const forgetsEnd = /^20\.(\d|1[0-2])\./.test(process.versions.node);

module.exports = { clearTimeout, forgetsEnd, hrtime, nextTick, setImmediate, setTimeout };
