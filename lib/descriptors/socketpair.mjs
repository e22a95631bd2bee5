// The ESM face of socketpair.js.
import socketpair from './socketpair.js';

export const { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET } = socketpair;
export { socketpair };
export default socketpair;
