// Owns: the types that several classes have in common: names, messages, descriptors, options.

import type { Socket as UdpSocket } from 'node:dgram';
import type { ReadStream, WriteStream } from 'node:fs';
import type { Server as NetServer, Socket as NetSocket } from 'node:net';
import type { URL } from 'node:url';

/**
 * A socket's name: a path as string, Buffer or `file:` URL; or, on Linux, a NUL and an abstract name of at most 107
 * bytes. See unix(7). On Linux paths of more than 107 bytes work, but not for bind() of a datagram socket. A relative
 * path means what it means at the call, whatever `process.chdir()` follows.
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

/** Descriptors that were received. They are close-on-exec, and yours to close: see {@link closeFd}. */
export type ReceivedFds = readonly number[];

/** A message with descriptors. Without `data` it is empty. */
export interface MessageWithFds {
  /** Its bytes. */
  data?: MessageData | undefined;
  /** At most 253. They are yours to close as soon as the call returns. */
  fds?: readonly Descriptor[] | null | undefined;
}

/** Who is at the other end, as the kernel vouches for it. */
export interface Credentials {
  /** Process id; 0 where the system does not say. */
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
export type SendCallback = (error?: NodeJS.ErrnoException) => void;

/** The same as {@link SendCallback}, under the name that node-unix-socket has for it. */
export type SendCb = SendCallback;

/** Is called when something has happened. */
export type NotifyCb = () => void;

/** Options of every socket. Only an object's own properties count. */
export interface SocketOptions {
  /**
   * Adopt this open descriptor, which is then the socket's to close. It becomes nonblocking and
   * close-on-exec. EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE, or EEXIST (a socket of this package has
   * it) if it does not suit; then it stays open and yours.
   */
  fd?: Descriptor | undefined;
  /** Receive descriptors that come with messages. Default: false, the kernel closes them. */
  receiveFds?: boolean | undefined;
  /** Receive the sender's credentials with each message (SO_PASSCRED, Linux). Default: false. */
  credentials?: boolean | undefined;
  /**
   * How many received descriptors may wait to be taken. More are closed, which is an `'error'`
   * (ERR_AFUNIX_TOO_MANY_FDS); so are those beyond half of what the process may open, for all sockets
   * together, unless 16 or fewer wait for this one. Default: 1024.
   */
  maxPendingFds?: number | undefined;
  /** How many descriptors that wait to be sent make sends return false. Default: 256. */
  maxWaitingFds?: number | undefined;
  /** SO_RCVBUF in bytes, see socket(7); Linux doubles it. Default: the system's. */
  receiveBufferSize?: number | undefined;
  /** The same as `receiveBufferSize`, under the name that `node:dgram` has for it. */
  recvBufferSize?: number | undefined;
  /**
   * SO_SNDBUF in bytes, see socket(7); Linux doubles it. Bounds a message's size and what is in
   * flight. Default: the system's.
   */
  sendBufferSize?: number | undefined;
  /** How many waiting bytes make sends return false. Default: 65536. */
  writableHighWaterMark?: number | undefined;
  /** Closes the socket when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** An option of sockets that receive messages. */
export interface PidfdOption {
  /**
   * Receive the sender's pidfd with each message (SO_PASSPIDFD, Linux 6.5): a descriptor, yours to close as the
   * others, and closed with the socket if nobody takes it. Default: false.
   */
  pidfd?: boolean | undefined;
}

/** How a socket file is made, and what becomes of it. */
export interface BindOptions {
  /** Permissions of the file, exactly these from its first moment on. Not for abstract names. Default: the umask's. */
  mode?: number | undefined;
  /** Who owns it, chown(2), before anybody can connect. Not for abstract names. Default: this process's user. */
  uid?: number | undefined;
  /** The same for its group. Default: this process's group. */
  gid?: number | undefined;
  /**
   * Remove the file on close(), if it is still the one that was made. False leaves it to whoever has
   * the socket next. Default: true.
   */
  unlinkOnClose?: boolean | undefined;
}

/** What detach() gives: the descriptor and all that was received through it, yours from then on. */
export interface Detached<Data> {
  /** The descriptor. */
  fd: number;
  /** What was received and not read; null if nothing was. */
  data: Data;
  /** Received descriptors that nobody has taken. */
  fds: number[];
}
