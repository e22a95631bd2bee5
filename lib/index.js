// Owns: what the package exports, and nothing else.
'use strict';

require('./cluster');
const { listenFds } = require('./descriptors/activation');
const { createSocket } = require('./compat/unix-dgram');
const { fdType } = require('./descriptors/describe');
const { DgramSocket } = require('./sockets/dgram');
const { dup, fileHandle } = require('./descriptors/duplicate');
const { closeFd } = require('./native/fds');
const { fromFd } = require('./descriptors/from-fd');
const { memfd } = require('./descriptors/memfd');
const { serve } = require('./net/serve');
const { sdNotify } = require('./descriptors/notify');
const { isAlive, waitForExit } = require('./descriptors/process');
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
  dup,
  fdType,
  fileHandle,
  fromFd,
  isAlive,
  listenFds,
  memfd,
  serve,
  sdNotify,
  socketpair,
  waitForExit,
};
