// Owns: the types of `afunix/socketpair`.

/**
 * Makes two Unix sockets that are connected to each other, socketpair(2). Both are nonblocking and
 * close-on-exec, and yours to close.
 *
 * @param type `socketpair.SOCK_STREAM` (default), `SOCK_DGRAM` or `SOCK_SEQPACKET` (Linux), or its name
 * @returns their descriptors
 * @throws EMFILE, ENFILE, EPROTONOSUPPORT
 */
declare function socketpair(type?: number | 'stream' | 'dgram' | 'seqpacket'): [number, number];

declare namespace socketpair {
  /** A byte stream. */
  const SOCK_STREAM: number;
  /** Messages without a connection: the end of the peer is not told. */
  const SOCK_DGRAM: number;
  /** A connection that keeps message boundaries. */
  const SOCK_SEQPACKET: number;
}

export = socketpair;
