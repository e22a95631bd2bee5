// Owns: what the package exports, and nothing else.
'use strict';

const { DgramSocket } = require('./dgram');
const { closeFd } = require('./fds');
const { SeqpacketServer, SeqpacketSocket } = require('./seqpacket');

module.exports = { DgramSocket, SeqpacketServer, SeqpacketSocket, closeFd };
