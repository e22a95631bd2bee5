// Owns: what the package exports, and nothing else.
'use strict';

const { DgramSocket } = require('./dgram');

module.exports = { DgramSocket };
