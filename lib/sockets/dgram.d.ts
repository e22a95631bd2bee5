// Owns: the types of DgramSocket.

import { EventEmitter } from 'node:events';
import type {
  BindOptions,
  Credentials,
  Descriptor,
  MessageData,
  MessageWithFds,
  SendCallback,
  SocketOptions,
  SocketPath,
} from './common.js';
import { EventfulEmitter, type BaseEvents } from './events.js';

/** How names of senders are given: as strings, or as Buffers, byte for byte. */
export type PathEncoding = 'utf8' | 'buffer';

/** A name in such an encoding. */
export type PathIn<Encoding extends PathEncoding> = Encoding extends 'buffer' ? Buffer : string;

/** Options of a {@link DgramSocket}. */
export interface DgramSocketOptions<Encoding extends PathEncoding = 'utf8'> extends SocketOptions {
  /** How names are given. Default: `'utf8'`. */
  pathEncoding?: Encoding | undefined;
}

/** What comes beside a datagram. */
export interface DgramMessageInfo {
  /** Received descriptors, which are yours to close, see {@link closeFd}. */
  fds: readonly number[];
  /** The sender, if the socket asks for `credentials`. */
  credentials: Credentials | undefined;
}

/** A datagram, as {@link DgramSocket} yields it in a loop. */
export interface DgramMessage<Encoding extends PathEncoding = 'utf8'> extends DgramMessageInfo {
  /** Its bytes. */
  data: Buffer;
  /** The sender's name; empty if it has none. */
  path: PathIn<Encoding>;
}

/** The events of a {@link DgramSocket}. */
export interface DgramSocketEvents<Encoding extends PathEncoding = 'utf8'> extends BaseEvents {
  /** A message. `path`: the sender's name, empty if it has none. */
  data: [data: Buffer, path: PathIn<Encoding>, info: DgramMessageInfo];
  /** The socket is bound. */
  listening: [];
  /** The socket is connected. */
  connect: [];
  /** After a send returned false: it is time to send again. */
  drain: [];
  /** What no callback was told of. The socket stays open. */
  error: [error: NodeJS.ErrnoException];
  /** The socket is closed. */
  close: [];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/**
 * A Unix datagram socket, unix(7): messages with boundaries, in order, without a connection. A full
 * receiver makes its sender wait, and nobody else.
 */
export declare class DgramSocket<Encoding extends PathEncoding = 'utf8'> extends EventfulEmitter<
  DgramSocketEvents<Encoding>
> {
  /**
   * @throws EMFILE and other errors of socket(2); EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or
   *   EEXIST for an unsuitable `fd`, which then stays open and yours
   */
  constructor(options?: DgramSocketOptions<Encoding>);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair<Encoding extends PathEncoding = 'utf8'>(
    options?: Omit<DgramSocketOptions<Encoding>, 'fd'>,
  ): [DgramSocket<Encoding>, DgramSocket<Encoding>];

  /**
   * Binds and starts to receive, bind(2). Synchronous; `'listening'` follows. A dead socket file is
   * replaced, nothing else. Without a path the kernel chooses an abstract name (Linux).
   *
   * @throws of bind(2), mostly EADDRINUSE; ERR_SOCKET_ALREADY_BOUND
   */
  bind(path?: SocketPath | null, options?: BindOptions): this;
  bind(options: BindOptions & { path?: SocketPath | null | undefined }): this;

  /**
   * Sets the peer, connect(2): send() goes to it, and messages come from it alone. Synchronous;
   * `'connect'` follows. The callback gets an error that would otherwise be thrown.
   *
   * @throws ECONNREFUSED, ENOENT, EPERM, EPROTOTYPE and others of connect(2)
   */
  connect(path: SocketPath, callback?: (error?: Error) => void): this;

  /**
   * Dissolves the connection.
   *
   * @throws ERR_SOCKET_DGRAM_NOT_CONNECTED
   */
  disconnect(): this;

  /**
   * Sends one message to a name. Where there is no room it waits, in order with the others for that
   * destination and without delaying any other.
   *
   * @returns false: `writableHighWaterMark` is reached, wait for `'drain'`
   */
  sendTo(message: MessageData, path: SocketPath, callback?: SendCallback): boolean;
  sendTo(
    message: MessageData,
    path: SocketPath,
    options: { fds?: readonly Descriptor[] | null | undefined } | undefined,
    callback?: SendCallback,
  ): boolean;
  sendTo(
    buffer: MessageData,
    offset: number,
    length: number,
    path: SocketPath,
    callback?: SendCallback,
  ): boolean;

  /** Sends one message to the connected peer; otherwise as sendTo(). ENOTCONN without a peer. */
  send(message: MessageData | MessageWithFds, callback?: SendCallback): boolean;

  /** Bytes that wait to be sent. */
  readonly writableLength: number;
  /** From this many waiting bytes on, sends return false. */
  readonly writableHighWaterMark: number;
  /** Whether a `'drain'` event is due. */
  readonly writableNeedDrain: boolean;

  /** The descriptor's number; -1 once closed. */
  readonly fd: number;
  /** The name the socket is bound to; empty while it has none. */
  address(): PathIn<Encoding>;
  /** The peer's name, empty if it has none; undefined while there is no peer. */
  readonly remoteAddress: PathIn<Encoding> | undefined;
  /** Whoever made the other end of a pair (SO_PEERCRED), otherwise undefined. */
  readonly peerCredentials: Credentials | undefined;

  /** SO_RCVBUF in bytes, as the kernel counts: Linux doubles what was set. */
  getRecvBufferSize(): number;
  /** Sets SO_RCVBUF. */
  setRecvBufferSize(size: number): void;
  /** SO_SNDBUF in bytes, as the kernel counts: Linux doubles what was set. */
  getSendBufferSize(): number;
  /** Sets SO_SNDBUF, which bounds a message's size. */
  setSendBufferSize(size: number): void;

  /** Lets the open socket keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the socket is open. */
  unref(): this;
  /** Whether the open socket keeps the process alive. */
  hasRef(): boolean;

  /** Closes at once; what waits fails with ECANCELED. Idempotent. The callback follows `'close'`. */
  close(callback?: () => void): this;
  /** close(), as a promise of `'close'`. */
  [Symbol.asyncDispose](): Promise<void>;

  /** Messages until the socket is closed. Throws what would be an `'error'` event. */
  [Symbol.asyncIterator](): AsyncGenerator<DgramMessage<Encoding>, void, undefined>;
}
