// Owns: the types of DgramSocket.

import { EventEmitter } from 'node:events';
import type {
  BindOptions,
  Credentials,
  Descriptor,
  Detached,
  MessageData,
  MessageWithFds,
  NotifyCb,
  PidfdOption,
  ReceivedFds,
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
export interface DgramSocketOptions<Encoding extends PathEncoding = 'utf8'>
  extends SocketOptions, PidfdOption {
  /** How names are given. Default: `'utf8'`. */
  pathEncoding?: Encoding | undefined;
  /**
   * What becomes of a message for which there is no room: `'wait'` queues it; `'fail'` gives it up,
   * with EAGAIN to its callback or `'error'`, and counts it in `dropped`. Default: `'wait'`.
   */
  whenFull?: 'wait' | 'fail' | undefined;
}

/** What comes with a datagram. */
export interface DgramMessageInfo {
  /** Its descriptors, with `receiveFds`; otherwise none. */
  fds: ReceivedFds;
  /** The sender, if the socket asks for `credentials`. */
  credentials: Credentials | undefined;
  /**
   * The sender's pidfd, if the socket asks for `pidfd`, yours to close: see {@link closeFd}. Undefined where the system
   * gives none.
   */
  pidfd?: number | undefined;
}

/** What comes with a datagram, as the listeners of `node:dgram` know it. */
export interface DgramRemoteInfo<Encoding extends PathEncoding = 'utf8'> extends DgramMessageInfo {
  /** The sender's name; empty if it has none. */
  address: PathIn<Encoding>;
  /** The same. */
  path: PathIn<Encoding>;
  /** The message's size in bytes. */
  size: number;
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
  /** The same message, after `'data'`, as `node:dgram` has it. */
  message: [message: Buffer, remote: DgramRemoteInfo<Encoding>];
  /** The socket is bound. */
  listening: [];
  /** The socket is connected. */
  connect: [];
  /** After a send returned false: it is time to send again. */
  drain: [];
  /** A send without a callback failed, or receiving did. The socket stays open. */
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
   * A new socket, socket(2), or one that adopts `fd`. Anything but an object is ignored.
   *
   * @throws EMFILE and other errors of socket(2); EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or
   *   EEXIST for an unsuitable `fd`, which then stays open and yours
   */
  constructor(options?: DgramSocketOptions<Encoding>);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair<Encoding extends PathEncoding = 'utf8'>(
    options?: Omit<DgramSocketOptions<Encoding>, 'fd'>,
  ): [DgramSocket<Encoding>, DgramSocket<Encoding>];

  /**
   * Binds and starts to receive, bind(2). Synchronous; `'listening'`, for which the callback is,
   * follows in the next tick. A dead socket file is replaced, nothing else. Without a path the kernel
   * chooses an abstract name (Linux).
   *
   * @throws of bind(2), mostly EADDRINUSE; ERR_SOCKET_ALREADY_BOUND
   */
  bind(path?: SocketPath | null, options?: BindOptions, callback?: NotifyCb): this;
  bind(path: SocketPath | null | undefined, callback: NotifyCb): this;
  bind(options: BindOptions & { path?: SocketPath | null | undefined }, callback?: NotifyCb): this;
  bind(callback: NotifyCb): this;

  /**
   * Sets the peer, connect(2): send() goes to it, and messages come from it alone. Synchronous;
   * `'connect'` follows in the next tick. The callback gets an error that would otherwise be thrown.
   * If the peer's receiver is closed and another takes its name, one send fails, and the next finds
   * the new one.
   *
   * @throws ECONNREFUSED, ENOENT, EPERM (the peer is connected to another), EPROTOTYPE and others of
   *   connect(2)
   */
  connect(path: SocketPath, callback?: (error?: NodeJS.ErrnoException) => void): this;

  /**
   * Dissolves the connection: the socket receives from everybody again.
   *
   * @throws ERR_SOCKET_DGRAM_NOT_CONNECTED
   */
  disconnect(): this;

  /**
   * Sends one message to a name, sendmsg(2): a view, a string, part of either in bytes, or with
   * descriptors. Where there is no room it waits, in order with the others for that destination and
   * without delaying any other, unless `whenFull` says otherwise.
   *
   * A failure goes to the callback, or else to `'error'`; it never closes the socket. ECONNREFUSED,
   * ENOENT: nobody there; EMSGSIZE: larger than the send buffer allows; ECANCELED: the socket was closed.
   *
   * @returns false: `writableHighWaterMark` or `maxWaitingFds` is reached, wait for `'drain'`
   * @throws ERR_SOCKET_DGRAM_NOT_RUNNING
   */
  sendTo(message: MessageData | MessageWithFds, path: SocketPath, callback?: SendCallback): boolean;
  sendTo(
    message: MessageData | MessageWithFds,
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

  /**
   * Sends one message to the connected peer, or with a path as sendTo(); otherwise as that.
   * ENOTCONN without a peer.
   */
  send(message: MessageData | MessageWithFds, callback?: SendCallback): boolean;
  send(
    message: MessageData | MessageWithFds,
    path: SocketPath | undefined,
    callback?: SendCallback,
  ): boolean;

  /** How many messages were given up because there was no room, with `whenFull: 'fail'`. */
  readonly dropped: number;
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
  /** SO_SNDBUF in bytes, as the kernel counts: Linux doubles what was set. Undefined once closed. */
  readonly sendBufferSize: number | undefined;
  /** SO_RCVBUF in bytes, as the kernel counts: Linux doubles what was set. Undefined once closed. */
  readonly receiveBufferSize: number | undefined;
  /** The largest message that can be sent, in bytes, as SO_SNDBUF allows; undefined once closed. */
  readonly maxMessageSize: number | undefined;
  /** Whoever made the other end of a pair (SO_PEERCRED), otherwise undefined. */
  readonly peerCredentials: Credentials | undefined;
  /**
   * The process that made the other end of a pair, as a pidfd (SO_PEERPIDFD, Linux 6.5): a new descriptor each time, yours to
   * close. Unlike a process id it never comes to mean another process. Undefined without a peer, and where the
   * system does not say.
   *
   * @throws ESRCH: an older kernel knows that the process has ended; EMFILE, ENFILE
   */
  readonly peerPidfd: number | undefined;
  /** The supplementary groups of whoever that was (SO_PEERGROUPS, Linux 4.13), otherwise undefined. */
  readonly peerGroups: readonly number[] | undefined;
  /** The security label of whoever that was (SO_PEERSEC: SELinux, AppArmor, Smack), otherwise undefined. */
  readonly peerLabel: string | undefined;

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

  /**
   * Sends what waits, and then closes: nothing is received meanwhile, and nothing more can be sent.
   * Where a receiver does not read that takes as long; close() ends it. The callback follows `'close'`.
   */
  end(callback?: NotifyCb): this;
  /**
   * Closes at once: what waits fails with ECANCELED, and the socket file is removed if it is still
   * ours. Idempotent. The callback follows `'close'`.
   */
  close(callback?: NotifyCb): this;
  /** end(), as a promise of `'close'`. */
  [Symbol.asyncDispose](): Promise<void>;
  /**
   * Gives the descriptor up, for another process or another object; its file stays. `data`: messages that were received
   * and not emitted yet, if there are any: called by a listener or in a loop, when several have come at once.
   *
   * @throws EBUSY: messages wait to be sent; ERR_SOCKET_DGRAM_NOT_RUNNING
   */
  detach(): Detached<DgramMessage<Encoding>[] | null>;

  /** Messages until the socket is closed. Throws what would be an `'error'` event. */
  [Symbol.asyncIterator](): AsyncGenerator<DgramMessage<Encoding>, void, undefined>;
}
