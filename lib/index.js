// Owns: what the package exports, and nothing else.
'use strict';

const { DgramSocket } = require('./dgram');
const { SeqpacketServer, SeqpacketSocket } = require('./seqpacket');

module.exports = { DgramSocket, SeqpacketServer, SeqpacketSocket };
