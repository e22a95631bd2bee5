// The ESM face of index.js: the same functions under the same names.
import descriptors from './index.js';

export const { closeFd, dup, fdType, fileHandle, listenFds, memfd, sdNotify, socketpair } =
  descriptors;
export default descriptors;
