// Owns: the types of SeqpacketSocket and SeqpacketServer.

import type {
  Credentials,
  MessageData,
  MessageWithFds,
  NotifyCb,
  PidfdOption,
  ReceivedFds,
  SendCallback,
  SocketPath,
} from './common.js';
import { ConnectedSocket, type ConnectedEvents, type ConnectedOptions } from './connected.js';
import type { Arguments, Name } from './events.js';
import { SocketServer, type ServerEvents, type ServerOptions } from './server.js';

/** Options of a {@link SeqpacketSocket}. */
export interface SeqpacketSocketOptions<Fds extends boolean = boolean>
  extends ConnectedOptions, PidfdOption {
  /** Receive descriptors that come with messages. Default: false, the kernel closes them. */
  receiveFds?: Fds | undefined;
  /** How many messages may wait for the reader. Default: 64. */
  readableHighWaterMark?: number | undefined;
}

/**
 * A received message: a Buffer, with its descriptors and credentials if those were asked for.
 * `SeqpacketMessage<true>` is that of a socket with `receiveFds: true`.
 */
export type SeqpacketMessage<Fds extends boolean = boolean> = Buffer & {
  /** With `credentials`: its sender. */
  credentials?: Credentials;
  /**
   * With `pidfd`: its sender's, yours to close once you have looked here; undefined where the system gives none.
   *
   * @throws ERR_AFUNIX_FDS_CLOSED: the first look comes after the socket was closed
   */
  readonly pidfd?: number | undefined;
} & (Fds extends true
    ? {
        /**
         * Its descriptors: yours to close once you have looked here.
         *
         * @throws ERR_AFUNIX_FDS_CLOSED: the first look comes after the socket was closed
         */
        readonly fds: ReceivedFds;
      }
    : { readonly fds?: undefined });

/** The events of a {@link SeqpacketSocket}. */
export interface SeqpacketSocketEvents<Fds extends boolean = boolean> extends ConnectedEvents<
  SeqpacketMessage<Fds>
> {}

/**
 * A Unix socket that is connected like a stream and keeps messages apart like datagrams, unix(7): a
 * Duplex whose chunks are whole messages, also empty ones. Linux only.
 */
export declare class SeqpacketSocket<Fds extends boolean = boolean> extends ConnectedSocket<
  SeqpacketSocketEvents<Fds>,
  SeqpacketMessage<Fds>[]
> {
  /**
   * @param options - or a descriptor to adopt
   * @throws EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or EEXIST for an unsuitable `fd`
   */
  constructor(options?: number | SeqpacketSocketOptions<Fds>);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair<Fds extends boolean = boolean>(
    options?: Omit<SeqpacketSocketOptions<Fds>, 'fd'>,
  ): [SeqpacketSocket<Fds>, SeqpacketSocket<Fds>];

  /**
   * Connects, connect(2); a socket that was closed can be connected again. The outcome follows in a
   * later turn: `'connect'`, for which the callback is, or an `'error'` (ECONNREFUSED, ENOENT,
   * EPROTOTYPE …). While the server's backlog is full it is tried again, up to `connectTimeout`
   * (ETIMEDOUT). Writes meanwhile are queued.
   *
   * @throws EISCONN: the socket is connected, or about to be
   */
  connect(path: SocketPath | { path: SocketPath }, callback?: NotifyCb): this;

  /**
   * Sends one message, sendmsg(2): a view, a string, part of either in bytes, or with descriptors.
   *
   * A failure goes to the callback, or else to `'error'`. EMSGSIZE (larger than the send buffer
   * allows): this message alone fails, and with neither callback nor listener that is a process
   * warning. EPIPE, ECONNRESET: the peer is gone, and the socket is destroyed.
   *
   * @returns false: `writableHighWaterMark` or `maxWaitingFds` is reached, wait for `'drain'`
   * @throws EBADF: a descriptor is not open; nothing is sent then
   */
  write(message: MessageData | MessageWithFds, callback?: SendCallback): boolean;
  write(
    message: MessageData | MessageWithFds,
    encoding?: BufferEncoding | undefined,
    callback?: SendCallback,
  ): boolean;
  write(buffer: MessageData, offset?: number, length?: number, callback?: SendCallback): boolean;

  /**
   * Sends a last message, if there is one, and the end, shutdown(2): the peer still may send. The callback is for
   * `'finish'`, or gets the error for which that does not come: ERR_STREAM_DESTROYED behind destroy().
   */
  end(callback?: SendCallback): this;
  end(message: MessageData | MessageWithFds | null | undefined, callback?: SendCallback): this;
  end(
    message: MessageData | MessageWithFds | null | undefined,
    encoding?: BufferEncoding | undefined,
    callback?: SendCallback,
  ): this;

  /** The next message; null if none waits. */
  read(size?: number): SeqpacketMessage<Fds> | null;

  /** The peer's name, getpeername(2), empty if it has none; undefined while there is no peer. */
  readonly remoteAddress: string | undefined;
  /** The largest message that can be sent, in bytes, as SO_SNDBUF allows; undefined while there is no descriptor. */
  readonly maxMessageSize: number | undefined;
  /** Sets SO_SNDBUF, in bytes, socket(7): what bounds a message's size. Linux doubles it. */
  setSendBufferSize(size: number): void;
  /** Sets SO_RCVBUF, in bytes, socket(7). Linux doubles it. */
  setRecvBufferSize(size: number): void;
  /** Kept for node-unix-socket: messages are whole whatever it says. */
  getInternalReadBufferSize(): number;
  /** Kept for node-unix-socket: messages are whole whatever it says. */
  setInternalReadBufferSize(size: number): void;

  [Symbol.asyncIterator](): NodeJS.AsyncIterator<SeqpacketMessage<Fds>>;

  emit<E extends Name<SeqpacketSocketEvents<Fds>>>(
    event: E,
    ...args: Arguments<SeqpacketSocketEvents<Fds>, E>
  ): boolean;
}

/** Options of a {@link SeqpacketServer}: those of its connections; `signal` closes the server. */
export type SeqpacketServerOptions<Fds extends boolean = boolean> = Omit<
  SeqpacketSocketOptions<Fds>,
  'fd' | 'signal' | 'localPath'
> &
  ServerOptions;

/** The events of a {@link SeqpacketServer}. */
export interface SeqpacketServerEvents<Fds extends boolean = boolean> extends ServerEvents<
  SeqpacketSocket<Fds>
> {}

/** A server of {@link SeqpacketSocket}s. Linux only. */
export declare class SeqpacketServer<Fds extends boolean = boolean> extends SocketServer<
  SeqpacketSocket<Fds>,
  SeqpacketServerOptions<Fds>
> {}
