'use strict';

/** Adapter for posix-socket; see afunix.js for the interface. */

const { version } = require('posix-socket/package.json');
const { posixAdapter } = require('../lib/posix');

module.exports = { version, posix: posixAdapter(require('posix-socket')) };
