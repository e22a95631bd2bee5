// Owns: the types of USocket and UServer.

import type { Credentials, Descriptor, MessageData, NotifyCb, SocketPath } from './common.js';
import { ConnectedSocket, type ConnectedEvents, type ConnectedOptions } from './connected.js';
import type { Arguments, Name } from './events.js';
import { SocketServer, type PauseOption, type ServerEvents, type ServerOptions } from './server.js';

/** Where net's `onread` puts received bytes. */
export interface OnReadOptions {
  /** Memory for them, used again and again; or a function that makes it, for each time. */
  buffer: Uint8Array | (() => Uint8Array);
  /** Gets each chunk: its length, and the buffer it is in. False pauses, as pause() does. */
  callback(bytesWritten: number, buffer: Uint8Array): boolean | void;
}

/** Options of a {@link USocket}. */
export interface USocketOptions extends ConnectedOptions {
  /** Connect to this name, as connect() does. */
  path?: SocketPath | null | undefined;
  /** Receive descriptors. Default: true. Without it the kernel closes them. */
  receiveFds?: boolean | undefined;
  /** Receive into memory of yours instead of emitting `'data'`. */
  onread?: OnReadOptions | null | undefined;
  /** As setTimeout(), in milliseconds. Default: none. */
  timeout?: number | undefined;
  /** Both marks, in bytes. Default: 65536. */
  highWaterMark?: number | undefined;
  /** How many bytes may wait for the reader. Default: `highWaterMark`. */
  readableHighWaterMark?: number | undefined;
}

/** What write() and end() of a {@link USocket} take besides bytes. */
export interface StreamMessage {
  /** Bytes. */
  data?: MessageData | null | undefined;
  /** Any number. They are yours to close as soon as the call returns. */
  fds?: readonly Descriptor[] | null | undefined;
  /** As the callback of write(). */
  callback?: StreamCallback | undefined;
}

/** Gets the outcome of a write: exactly once, in order, never before the call returns. */
export type StreamCallback = (error?: Error | null) => void;

/** Bytes and descriptors, as `read(size, fdCount)` returns them. */
export interface StreamPart {
  /** Null: only descriptors were asked for. A string after setEncoding(). */
  data: StreamChunk | null;
  /** They are yours to close, see closeFd(). */
  fds: number[];
}

/** Received bytes, with what was asked for beside them. */
export interface StreamChunk extends Buffer {
  /** With `credentials`: their sender. */
  credentials?: Credentials;
}

/** The events of a {@link USocket}. */
export interface USocketEvents extends ConnectedEvents<StreamChunk> {
  /** Received descriptors, which are the listener's to close. */
  fds: [fds: number[]];
  /** The socket is connected: emitted if anybody listens to it, instead of `'connect'`. */
  connected: [];
}

/**
 * A Unix stream socket that passes descriptors, unix(7): a Duplex that stands in for net.Socket and
 * for usocket's USocket.
 */
export declare class USocket extends ConnectedSocket<USocketEvents> {
  /**
   * @param options - or a path to connect to, or a descriptor to adopt
   * @param callback - as of connect()
   * @throws EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or EEXIST for an unsuitable `fd`
   */
  constructor(options?: SocketPath | number | USocketOptions | null, callback?: NotifyCb);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair(options?: Omit<USocketOptions, 'fd' | 'path'> & PauseOption): [USocket, USocket];

  /**
   * Connects, connect(2), or adopts a connected descriptor. Failures are `'error'` events. The
   * callback runs first; then comes `'connected'` if anybody listens to that, `'connect'` otherwise.
   *
   * @throws EISCONN, ERR_STREAM_DESTROYED; for `fd` as the constructor
   */
  connect(
    options: SocketPath | { path: SocketPath } | { fd: Descriptor },
    callback?: NotifyCb,
  ): this;

  /**
   * Sends bytes, descriptors, or both. Descriptors without bytes travel with the next bytes.
   *
   * @returns false: `writableHighWaterMark` is reached, wait for `'drain'`
   * @throws EBADF: a descriptor is not open; nothing is sent then
   */
  write(
    message: MessageData | readonly Descriptor[] | StreamMessage,
    callback?: StreamCallback,
  ): boolean;
  write(
    message: MessageData | readonly Descriptor[] | StreamMessage,
    encoding?: BufferEncoding | undefined,
    callback?: StreamCallback,
  ): boolean;
  /** `write({ data: bytes, fds })`, under the name that dbus-native has for it. */
  writeWithFds(bytes: MessageData, fds: readonly Descriptor[]): boolean;

  /** Sends a last message, if there is one, and the end, shutdown(2): the peer still may send. */
  end(callback?: NotifyCb): this;
  end(
    message: MessageData | readonly Descriptor[] | StreamMessage | null | undefined,
    callback?: NotifyCb,
  ): this;
  end(
    message: MessageData | readonly Descriptor[] | StreamMessage | null | undefined,
    encoding?: BufferEncoding | undefined,
    callback?: NotifyCb,
  ): this;

  /** As of Readable: the bytes, or null. */
  read(size?: number): StreamChunk | null;
  /**
   * Bytes and descriptors at once, or null if there are not enough of either.
   *
   * @param size - bytes; null: what there is
   * @param fdCount - descriptors; null: those of messages that are read to their end now
   */
  read(size: number | null | undefined, fdCount: number | null): StreamPart | null;

  /**
   * Puts bytes back, and descriptors, which are the socket's again.
   *
   * @throws EBADF, EEXIST (a socket has it), ENOBUFS (more than `maxPendingFds`), ENOTCONN
   */
  unshift(chunk: any, encoding?: BufferEncoding): boolean;
  unshift(chunk: MessageData | null, fds: readonly Descriptor[]): boolean;

  /** Whether descriptors can be passed: true. Libraries that negotiate it set it. */
  supportsUnixFd: boolean;

  /** Does nothing: there is no Nagle's algorithm here. */
  setNoDelay(noDelay?: boolean): this;
  /** Does nothing: the kernel knows when a local peer is gone. */
  setKeepAlive(enable?: boolean, initialDelay?: number): this;
  /** destroy(): a Unix socket has no RST. */
  resetAndDestroy(): this;
  /** `writableLength`, under its older name. */
  readonly bufferSize: number;

  [Symbol.asyncIterator](): NodeJS.AsyncIterator<StreamChunk>;

  emit<E extends Name<USocketEvents>>(event: E, ...args: Arguments<USocketEvents, E>): boolean;
}

/** Options of a {@link UServer}: those of its connections; `signal` closes the server. */
export type UServerOptions = Omit<USocketOptions, 'fd' | 'path'> & ServerOptions;

/** The events of a {@link UServer}. */
export interface UServerEvents extends ServerEvents<USocket> {}

/** A server of {@link USocket}s; stands in for net.Server and for usocket's UServer. */
export declare class UServer extends SocketServer<USocket, UServerOptions> {}
