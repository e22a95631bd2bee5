// Owns: the types of SeqpacketSocket and SeqpacketServer.

import type {
  Credentials,
  MessageData,
  MessageWithFds,
  NotifyCb,
  SendCallback,
  SocketPath,
} from './common.js';
import { ConnectedSocket, type ConnectedEvents, type ConnectedOptions } from './connected.js';
import type { Arguments, Name } from './events.js';
import { SocketServer, type PauseOption, type ServerEvents, type ServerOptions } from './server.js';

/** Options of a {@link SeqpacketSocket}. */
export interface SeqpacketSocketOptions extends ConnectedOptions {
  /** How many messages may wait for the reader. Default: 64. */
  readableHighWaterMark?: number | undefined;
}

/** A received message: a Buffer, with what was asked for beside it. */
export interface SeqpacketMessage extends Buffer {
  /** With `receiveFds`: its descriptors, which are yours to close, see closeFd(). */
  readonly fds?: number[];
  /** With `credentials`: its sender. */
  credentials?: Credentials;
}

/** The events of a {@link SeqpacketSocket}. */
export interface SeqpacketSocketEvents extends ConnectedEvents<SeqpacketMessage> {}

/**
 * A Unix socket that is connected like a stream and keeps messages apart like datagrams, unix(7): a
 * Duplex whose chunks are whole messages, also empty ones. Linux only.
 */
export declare class SeqpacketSocket extends ConnectedSocket<SeqpacketSocketEvents> {
  /**
   * @param options - or a descriptor to adopt
   * @throws EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or EEXIST for an unsuitable `fd`
   */
  constructor(options?: number | SeqpacketSocketOptions);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair(
    options?: Omit<SeqpacketSocketOptions, 'fd'> & PauseOption,
  ): [SeqpacketSocket, SeqpacketSocket];

  /** Connects, connect(2). Failures are `'error'` events; the callback is for `'connect'`. */
  connect(path: SocketPath | { path: SocketPath }, callback?: NotifyCb): this;

  /**
   * Sends one message. A failure goes to the callback, or else to `'error'`.
   *
   * @returns false: `writableHighWaterMark` is reached, wait for `'drain'`
   */
  write(message: MessageData | MessageWithFds, callback?: SendCallback): boolean;
  write(
    message: MessageData | MessageWithFds,
    encoding?: BufferEncoding | undefined,
    callback?: SendCallback,
  ): boolean;
  write(buffer: MessageData, offset?: number, length?: number, callback?: SendCallback): boolean;

  /** Sends a last message, if there is one, and the end, shutdown(2): the peer still may send. */
  end(callback?: NotifyCb): this;
  end(message: MessageData | MessageWithFds | null | undefined, callback?: NotifyCb): this;
  end(
    message: MessageData | MessageWithFds | null | undefined,
    encoding?: BufferEncoding | undefined,
    callback?: NotifyCb,
  ): this;

  /** The next message; null if none waits. */
  read(size?: number): SeqpacketMessage | null;

  /** Kept for node-unix-socket: messages are whole whatever it says. */
  getInternalReadBufferSize(): number;
  /** Kept for node-unix-socket: messages are whole whatever it says. */
  setInternalReadBufferSize(size: number): void;

  [Symbol.asyncIterator](): NodeJS.AsyncIterator<SeqpacketMessage>;

  emit<E extends Name<SeqpacketSocketEvents>>(
    event: E,
    ...args: Arguments<SeqpacketSocketEvents, E>
  ): boolean;
}

/** Options of a {@link SeqpacketServer}: those of its connections; `signal` closes the server. */
export type SeqpacketServerOptions = Omit<SeqpacketSocketOptions, 'fd'> & ServerOptions;

/** The events of a {@link SeqpacketServer}. */
export interface SeqpacketServerEvents extends ServerEvents<SeqpacketSocket> {}

/** A server of {@link SeqpacketSocket}s. Linux only. */
export declare class SeqpacketServer extends SocketServer<
  SeqpacketSocket,
  SeqpacketServerOptions
> {}
