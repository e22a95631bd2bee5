// Owns: the types of USocket.

import type { Socket as NetSocket, SocketConnectOpts } from 'node:net';
import type {
  Credentials,
  Descriptor,
  MessageData,
  NotifyCb,
  ReceivedFds,
  SocketPath,
} from './common.js';
import { ConnectedSocket, type ConnectedEvents, type ConnectedOptions } from './connected.js';
import type { Arguments, Name } from './events.js';

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
  /**
   * Chunks have the descriptors that came with them, as their property `fds`, however they are read: `'data'`,
   * read(), a loop. A chunk ends where descriptors came. No `'fds'` event then, no read(size, fdCount), no
   * setEncoding(), no `onread`. Default: false.
   */
  fdsWithData?: boolean | undefined;
  /** Receive into memory of yours instead of emitting `'data'`. */
  onread?: OnReadOptions | null | undefined;
  /** As setTimeout(), in milliseconds. Default: none. */
  timeout?: number | undefined;
  /** Both marks, in bytes. Default: 65536. */
  highWaterMark?: number | undefined;
  /** How many bytes may wait for the reader. Default: `highWaterMark`. */
  readableHighWaterMark?: number | undefined;
}

/** What write() and end() of a {@link USocket} take apart from bytes. */
export interface StreamMessage {
  /** Bytes. */
  data?: MessageData | null | undefined;
  /** Any number. They are yours to close as soon as the call returns. */
  fds?: readonly Descriptor[] | null | undefined;
  /** As the callback of write(). */
  callback?: StreamCallback | undefined;
}

/** Gets the outcome of a write: exactly once, in order, never before the call returns. */
export type StreamCallback = (error?: NodeJS.ErrnoException | null) => void;

/** Bytes and descriptors, as `read(size, fdCount)` returns them. */
export interface StreamPart {
  /** Null: only descriptors were asked for. A string after setEncoding(). */
  data: StreamChunk | null;
  /** Empty if there are none. */
  fds: ReceivedFds;
}

/** Received bytes, with their sender's credentials if those were asked for. */
export interface StreamChunk extends Buffer {
  /** With `credentials`: their sender. */
  credentials?: Credentials;
  /**
   * With `fdsWithData`: the descriptors that came with its bytes, of which the last is one that they were written
   * with; empty if there are none. Yours to close once you have looked here; others are closed with the socket.
   *
   * @throws ERR_AFUNIX_FDS_CLOSED: the first look comes after the socket was closed
   */
  readonly fds?: ReceivedFds;
}

/** The events of a {@link USocket}. */
export interface USocketEvents extends ConnectedEvents<StreamChunk> {
  /** Received descriptors. Without a listener they wait for read(), up to `maxPendingFds`. */
  fds: [fds: ReceivedFds];
  /**
   * The socket is connected: before `'connect'`, which follows. Where `supportsUnixFd` was assigned,
   * as dbus libraries do, `'connect'` does not follow for those who listen to this one.
   */
  connected: [];
  /** Never emitted: for the types of `net.Socket`, whose TCP connections have it. */
  lookup: [error: Error | null, address: string, family: number | string | null, host: string];
  /** Never emitted, as `lookup`. */
  connectionAttempt: [ip: string, port: number, family: number];
  /** Never emitted, as `lookup`. */
  connectionAttemptFailed: [ip: string, port: number, family: number, error: Error];
  /** Never emitted, as `lookup`. */
  connectionAttemptTimeout: [ip: string, port: number, family: number];
}

/** What `net.Socket` has for TCP alone, as far as the installed types of Node know it. */
type OfTcp = Pick<
  NetSocket,
  Extract<
    keyof NetSocket,
    | 'autoSelectFamilyAttemptedAddresses'
    | 'localAddress'
    | 'localFamily'
    | 'localPort'
    | 'remoteFamily'
    | 'remotePort'
    | 'server'
  >
>;

/** A Unix socket has none of what TCP alone has: all of these are undefined. */
export interface USocket extends OfTcp {}

/**
 * A Unix stream socket that passes descriptors, unix(7): a Duplex that stands in for `net.Socket` and
 * for usocket's USocket.
 */
export declare class USocket extends ConnectedSocket<USocketEvents, Buffer | string | null> {
  /**
   * @param options - or a path to connect to, or a descriptor to adopt
   * @param callback - as of connect()
   * @throws EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or EEXIST for an unsuitable `fd`
   */
  constructor(options?: SocketPath | number | USocketOptions | null, callback?: NotifyCb);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair(options?: Omit<USocketOptions, 'fd' | 'path'>): [USocket, USocket];

  /**
   * Connects, connect(2), or adopts a connected descriptor; a socket that was closed can be connected
   * again. The outcome follows in a later turn: the callback runs first, then `'connected'`,
   * `'connect'` and `'ready'` are emitted; or an `'error'` (ECONNREFUSED, ENOENT, EPROTOTYPE …; for `fd`
   * as the constructor). While the server's backlog is full it is tried again, up to `connectTimeout`
   * (ETIMEDOUT). Writes meanwhile are queued. A socket that is connected already, or about to be, is
   * destroyed with EISCONN, as in net.
   *
   * @throws EISCONN: `fd`, and the socket is connected, or about to be; ERR_MISSING_ARGS: neither path nor
   *   `fd`; ERR_INVALID_ARG_VALUE: a host or port
   */
  connect(
    options: SocketPath | { path: SocketPath } | { fd: Descriptor },
    callback?: NotifyCb,
  ): this;
  connect(options: SocketConnectOpts, callback?: NotifyCb): this;
  /** @deprecated throws ERR_INVALID_ARG_VALUE: a Unix socket has no port */
  connect(port: number, host?: string | NotifyCb, callback?: NotifyCb): never;

  /**
   * Sends bytes, descriptors, or both. A stream cannot carry descriptors alone: those without bytes
   * travel with the next bytes written. At most 253 go with one byte; more are spread over the bytes in
   * order. The kernel may deliver bytes that were written before together with descriptors, never bytes
   * that were written behind them.
   *
   * An error destroys the socket: EPIPE, ECONNRESET, ERR_STREAM_DESTROYED; ERR_AFUNIX_FDS_UNSENT: no
   * bytes came for the descriptors to travel with.
   *
   * @returns false: `writableHighWaterMark` or `maxWaitingFds` is reached, wait for `'drain'`
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

  /**
   * Sends a last message, if there is one, and the end, shutdown(2): the peer still may send. The callback is for
   * `'finish'`, or gets the error for which that does not come: ERR_STREAM_DESTROYED behind destroy().
   */
  end(callback?: StreamCallback): this;
  end(
    message: MessageData | readonly Descriptor[] | StreamMessage | null | undefined,
    callback?: StreamCallback,
  ): this;
  end(
    message: MessageData | readonly Descriptor[] | StreamMessage | null | undefined,
    encoding?: BufferEncoding | undefined,
    callback?: StreamCallback,
  ): this;

  /** As of Readable: the bytes, or null. */
  read(size?: number): StreamChunk | null;
  /**
   * Bytes and descriptors at once, or null if there are not enough of either. Of a connection that was reset: what is
   * left.
   *
   * @param size - bytes; null: what there is
   * @param fdCount - descriptors; null: those of messages that are read to their end now, or all of
   *   them with a `size` of 0
   */
  read(size: number | null | undefined, fdCount: number | null): StreamPart | null;

  /**
   * Puts bytes back, and descriptors, which are the socket's again.
   *
   * @throws EBADF, EEXIST (a socket has it), ENOBUFS (more than `maxPendingFds`), ENOTCONN
   */
  unshift(chunk: any, encoding?: BufferEncoding): boolean;
  unshift(chunk: MessageData | null, fds: readonly Descriptor[]): boolean;

  /**
   * Whether descriptors can be passed: true. Libraries that negotiate it assign it, and then hear
   * `'connected'` alone.
   */
  supportsUnixFd: boolean;

  /** The peer's name, getpeername(2); undefined if it has none, as in `net`, and while there is no peer. */
  readonly remoteAddress: string | undefined;
  /** Does nothing: there is no Nagle's algorithm here. */
  setNoDelay(noDelay?: boolean): this;
  /** Does nothing: the kernel knows when a local peer is gone. */
  setKeepAlive(enable?: boolean | object, initialDelay?: number): this;
  /**
   * Keeps the value and does no more: no IP packet leaves a Unix socket.
   *
   * @param tos - from 0 to 255
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  setTypeOfService(tos: number): this;
  /** What setTypeOfService() was given, or 0. */
  getTypeOfService(): number;
  /** destroy(): a Unix socket has no RST. */
  resetAndDestroy(): this;
  /** `writableLength`, under its older name; undefined while there is no connection. */
  readonly bufferSize: number;

  [Symbol.asyncIterator](): NodeJS.AsyncIterator<StreamChunk>;

  emit<E extends Name<USocketEvents>>(event: E, ...args: Arguments<USocketEvents, E>): boolean;
}

export {};
