// Owns: the types of `afunix/descriptors`.

export type { Descriptor, MessageData } from '../sockets/common.js';
export {
  closeFd,
  dup,
  fdType,
  fileHandle,
  listenFds,
  memfd,
  sdNotify,
  socketpair,
} from './functions.js';
export type {
  FdType,
  ListenFd,
  ListenFdsOptions,
  MemfdOptions,
  SdNotifyOptions,
} from './functions.js';
