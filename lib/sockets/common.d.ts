// Owns: the types that several classes have in common: names, messages, descriptors, options.

import type { Socket as UdpSocket } from 'node:dgram';
import type { ReadStream, WriteStream } from 'node:fs';
import type { Server as NetServer, Socket as NetSocket } from 'node:net';
import type { URL } from 'node:url';

/**
 * A socket's name: a path as string, Buffer or `file:` URL, at most 107 bytes; or, on Linux, a NUL
 * and an abstract name of at most 107 bytes.
 */
export type SocketPath = string | Uint8Array | URL;

/** The bytes of a message. A string is sent as UTF-8. */
export type MessageData = string | NodeJS.ArrayBufferView;

/**
 * A file descriptor, or an open object that has one: sockets and servers of `node:net`, sockets of
 * `node:dgram`, files and streams of `node:fs`, sockets and servers of this package.
 */
export type Descriptor =
  number | { readonly fd: number } | NetSocket | NetServer | UdpSocket | ReadStream | WriteStream;

/** A message with descriptors beside it. Without `data` it is empty. */
export interface MessageWithFds {
  /** Its bytes. */
  data?: MessageData | undefined;
  /** At most 253. They are yours to close as soon as the call returns. */
  fds?: readonly Descriptor[] | null | undefined;
}

/** Who is at the other end, as the kernel vouches for it. */
export interface Credentials {
  /** Process id; 0 where the system does not tell. */
  pid: number;
  /** User id. */
  uid: number;
  /** Group id. */
  gid: number;
}

/**
 * Gets the outcome of a send: exactly once, in the order of the sends to the same destination, never
 * before the call returns.
 */
export type SendCallback = (error?: Error) => void;

/** The same as {@link SendCallback}, under the name that node-unix-socket has for it. */
export type SendCb = SendCallback;

/** Gets told that something has happened. */
export type NotifyCb = () => void;

/** Options of every socket. */
export interface SocketOptions {
  /**
   * Adopt this open descriptor, which is then the socket's to close. EBADF, ENOTSOCK,
   * EAFNOSUPPORT, EPROTOTYPE or EEXIST if it does not suit; then it stays yours.
   */
  fd?: Descriptor | undefined;
  /** Receive descriptors that come with messages. Default: false, the kernel closes them. */
  receiveFds?: boolean | undefined;
  /** Receive the sender's credentials with each message (Linux). Default: false. */
  credentials?: boolean | undefined;
  /** How many received descriptors may wait to be taken. Default: 1024. */
  maxPendingFds?: number | undefined;
  /** SO_RCVBUF in bytes, see socket(7). */
  receiveBufferSize?: number | undefined;
  /** SO_SNDBUF in bytes, see socket(7): bounds a message's size and what is in flight. */
  sendBufferSize?: number | undefined;
  /** How many waiting bytes make sends return false. Default: 65536. */
  writableHighWaterMark?: number | undefined;
  /** Closes the socket when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** What may be said when a socket is bound or a server listens. */
export interface BindOptions {
  /** Permissions of the socket file, exactly these from its first moment on. Default: the umask's. */
  mode?: number | undefined;
}
