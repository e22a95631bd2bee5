// Owns: the types of `afunix/socketpair` for ESM consumers.

import socketpair from './socketpair.js';

export const SOCK_STREAM: typeof socketpair.SOCK_STREAM;
export const SOCK_DGRAM: typeof socketpair.SOCK_DGRAM;
export const SOCK_SEQPACKET: typeof socketpair.SOCK_SEQPACKET;
export { socketpair };
export default socketpair;
