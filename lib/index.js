// Owns: what the package exports, and nothing else.
'use strict';

require('./cluster');
const { listenFds } = require('./descriptors/activation');
const { createSocket } = require('./compat/unix-dgram');
const { fdType } = require('./descriptors/describe');
const { DgramSocket } = require('./sockets/dgram');
const { closeFd } = require('./native/fds');
const { fromFd } = require('./descriptors/from-fd');
const { memfd } = require('./descriptors/memfd');
const { serve } = require('./net/serve');
const { createReuseportFd, drainServer } = require('./descriptors/reuseport');
const { SeqpacketServer, SeqpacketSocket } = require('./sockets/seqpacket');
const socketpair = require('./descriptors/socketpair');
const { UServer } = require('./sockets/userver');
const { USocket } = require('./sockets/usocket');

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
  serve,
  socketpair,
};
