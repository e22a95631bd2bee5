// The ESM face of index.js: the same objects under the same names.
import afunix from './index.js';

export const {
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
} = afunix;
export default afunix;
