// Owns: what the package exports, and nothing else.
// May import: activation, describe, dgram, fds, from-fd, memfd, reuseport, seqpacket, socketpair,
// unix-dgram, usocket.
'use strict';

const { listenFds } = require('./activation');
const { createSocket } = require('./compat/unix-dgram');
const { fdType } = require('./describe');
const { DgramSocket } = require('./dgram');
const { closeFd } = require('./fds');
const { fromFd } = require('./from-fd');
const { memfd } = require('./memfd');
const { createReuseportFd, drainServer } = require('./reuseport');
const { SeqpacketServer, SeqpacketSocket } = require('./seqpacket');
const socketpair = require('./socketpair');
const { UServer, USocket } = require('./usocket');

module.exports = {
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  closeFd,
  createReuseportFd,
  createSocket,
  drainServer,
  fdType,
  fromFd,
  listenFds,
  memfd,
  socketpair,
};
