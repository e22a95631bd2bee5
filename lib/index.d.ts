// Owns: the types of what the package exports. Behaviour is described in full in docs/.

import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram';
import type { ReadStream, WriteStream } from 'node:fs';
import type { Server as NetServer, Socket as NetSocket } from 'node:net';
import type { URL } from 'node:url';
import pairOfSockets = require('./socketpair.js');

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

/** An event emitter's events: name → arguments of its listeners. */
interface BaseEvents {
  newListener: [event: string | symbol, listener: (...args: any[]) => void];
  removeListener: [event: string | symbol, listener: (...args: any[]) => void];
}

type Listener<Events, Event extends keyof Events> = (
  ...args: Events[Event] extends unknown[] ? Events[Event] : never
) => void;

type Arguments<Events, Event extends keyof Events> = Events[Event] extends unknown[]
  ? Events[Event]
  : never;

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

/** How names of senders are given: as strings, or as Buffers, byte for byte. */
export type PathEncoding = 'utf8' | 'buffer';

/** A name in such an encoding. */
export type PathIn<Encoding extends PathEncoding> = Encoding extends 'buffer' ? Buffer : string;

/** Options of a {@link DgramSocket}. */
export interface DgramSocketOptions<Encoding extends PathEncoding = 'utf8'> extends SocketOptions {
  /** How names are given. Default: `'utf8'`. */
  pathEncoding?: Encoding | undefined;
}

/** What may be said when a socket is bound or a server listens. */
export interface BindOptions {
  /** Permissions of the socket file, exactly these from its first moment on. Default: the umask's. */
  mode?: number | undefined;
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
export class DgramSocket<Encoding extends PathEncoding = 'utf8'> extends EventEmitter {
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

  on<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    listener: Listener<DgramSocketEvents<Encoding>, E>,
  ): this;
  once<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    listener: Listener<DgramSocketEvents<Encoding>, E>,
  ): this;
  off<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    listener: Listener<DgramSocketEvents<Encoding>, E>,
  ): this;
  addListener<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    listener: Listener<DgramSocketEvents<Encoding>, E>,
  ): this;
  removeListener<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    listener: Listener<DgramSocketEvents<Encoding>, E>,
  ): this;
  prependListener<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    listener: Listener<DgramSocketEvents<Encoding>, E>,
  ): this;
  prependOnceListener<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    listener: Listener<DgramSocketEvents<Encoding>, E>,
  ): this;
  emit<E extends keyof DgramSocketEvents<Encoding>>(
    event: E,
    ...args: Arguments<DgramSocketEvents<Encoding>, E>
  ): boolean;
}

/** Options of a {@link SeqpacketSocket}. */
export interface SeqpacketSocketOptions extends SocketOptions {
  /** Do not end when the peer ends. Default: false. */
  allowHalfOpen?: boolean | undefined;
  /** Milliseconds to go on trying while the server's backlog is full. Default: 10000. */
  connectTimeout?: number | undefined;
  /** How many messages may wait for the reader. Default: 64. */
  readableHighWaterMark?: number | undefined;
}

/** A received message: a Buffer, with what was asked for beside it. */
export interface SeqpacketMessage extends Buffer {
  /** With `receiveFds`: its descriptors, which are yours to close, see {@link closeFd}. */
  readonly fds?: number[];
  /** With `credentials`: its sender. */
  credentials?: Credentials;
}

/** The events of a {@link SeqpacketSocket}. */
export interface SeqpacketSocketEvents extends BaseEvents {
  /** One whole message. */
  data: [message: SeqpacketMessage];
  /** The socket is connected. */
  connect: [];
  /** After `'connect'`: the socket can be used. */
  ready: [];
  /** No traffic for as long as setTimeout() says. The socket stays open. */
  timeout: [];
  /** After write() returned false: it is time to write again. */
  drain: [];
  /** The peer sends no more. */
  end: [];
  /** Everything was sent, and the end too. */
  finish: [];
  /** What no callback was told of, or what destroys the socket. */
  error: [error: NodeJS.ErrnoException];
  /** The socket is closed. */
  close: [hadError: boolean];
  readable: [];
  pause: [];
  resume: [];
  pipe: [source: import('node:stream').Readable];
  unpipe: [source: import('node:stream').Readable];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/**
 * A Unix socket that is connected like a stream and keeps messages apart like datagrams, unix(7): a
 * Duplex whose chunks are whole messages, also empty ones. Linux only.
 */
export class SeqpacketSocket extends Duplex {
  /**
   * @param options - or a descriptor to adopt
   * @throws EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or EEXIST for an unsuitable `fd`
   */
  constructor(options?: number | SeqpacketSocketOptions);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair(options?: Omit<SeqpacketSocketOptions, 'fd'>): [SeqpacketSocket, SeqpacketSocket];

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

  /** Emits `'timeout'` after so many milliseconds without traffic; 0: never. */
  setTimeout(milliseconds: number, callback?: NotifyCb): this;
  /** What setTimeout() was given. */
  readonly timeout: number;

  /** Whether a connection is being made. */
  readonly connecting: boolean;
  /** Not connected yet. */
  readonly pending: boolean;
  /** As in `net.Socket`. */
  readonly readyState: 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed';
  /** Bytes of all messages received. */
  readonly bytesRead: number;
  /** Bytes of all messages accepted by write(). */
  readonly bytesWritten: number;

  /** The descriptor's number; -1 while there is none. */
  readonly fd: number;
  /** The name this end is bound to; empty if it has none. */
  address(): string;
  /** The peer's name, empty if it has none; undefined while there is no peer. */
  readonly remoteAddress: string | undefined;
  /** Whoever connected or listened (SO_PEERCRED); undefined without a peer. */
  readonly peerCredentials: Credentials | undefined;

  /** Lets the open socket keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the socket is open. */
  unref(): this;
  /** Whether the open socket keeps the process alive. */
  hasRef(): boolean;

  /** destroy(), under the name that node-unix-socket has for it. The callback follows `'close'`. */
  close(callback?: NotifyCb): this;
  /** Destroys the socket once everything written is sent. */
  destroySoon(): void;

  /** Kept for node-unix-socket: messages are whole whatever it says. */
  getInternalReadBufferSize(): number;
  setInternalReadBufferSize(size: number): void;

  [Symbol.asyncIterator](): NodeJS.AsyncIterator<SeqpacketMessage>;

  on<E extends keyof SeqpacketSocketEvents>(
    event: E,
    listener: Listener<SeqpacketSocketEvents, E>,
  ): this;
  once<E extends keyof SeqpacketSocketEvents>(
    event: E,
    listener: Listener<SeqpacketSocketEvents, E>,
  ): this;
  off<E extends keyof SeqpacketSocketEvents>(
    event: E,
    listener: Listener<SeqpacketSocketEvents, E>,
  ): this;
  addListener<E extends keyof SeqpacketSocketEvents>(
    event: E,
    listener: Listener<SeqpacketSocketEvents, E>,
  ): this;
  removeListener<E extends keyof SeqpacketSocketEvents>(
    event: E,
    listener: Listener<SeqpacketSocketEvents, E>,
  ): this;
  prependListener<E extends keyof SeqpacketSocketEvents>(
    event: E,
    listener: Listener<SeqpacketSocketEvents, E>,
  ): this;
  prependOnceListener<E extends keyof SeqpacketSocketEvents>(
    event: E,
    listener: Listener<SeqpacketSocketEvents, E>,
  ): this;
  emit<E extends keyof SeqpacketSocketEvents>(
    event: E,
    ...args: Arguments<SeqpacketSocketEvents, E>
  ): boolean;
}

/** Options of every server. */
export interface ServerOptions {
  /**
   * Asked before `'connection'`: anything but true closes the connection at once, and emits
   * `'drop'`.
   */
  allow?: ((peer: Credentials) => boolean) | undefined;
  /** Connections start paused: nothing is read before resume(). Default: false. */
  pauseOnConnect?: boolean | undefined;
}

/** Options of a {@link SeqpacketServer}: those of its connections; `signal` closes the server. */
export type SeqpacketServerOptions = Omit<SeqpacketSocketOptions, 'fd'> & ServerOptions;

/** Where a server listens. */
export interface ListenOptions extends BindOptions {
  /** Without it the kernel chooses an abstract name (Linux). */
  path?: SocketPath | null | undefined;
  /** Adopt this listening socket. */
  fd?: Descriptor | undefined;
  /** How many connections may wait to be accepted. Default: 511; net.core.somaxconn bounds it. */
  backlog?: number | undefined;
}

/** The events of a {@link SeqpacketServer}. */
export interface SeqpacketServerEvents extends BaseEvents {
  /** The server listens. */
  listening: [];
  /** A connection. `path`: the server's name. */
  connection: [socket: SeqpacketSocket, path: string];
  /** A connection beyond `maxConnections`, or not allowed, was closed. */
  drop: [];
  /** Accepting pauses for want of descriptors or memory, and goes on by itself. */
  warning: [error: NodeJS.ErrnoException];
  error: [error: NodeJS.ErrnoException];
  /** The server is closed and its last connection has ended. */
  close: [];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/** A server of {@link SeqpacketSocket}s. Linux only. */
export class SeqpacketServer extends EventEmitter {
  constructor(
    options?: SeqpacketServerOptions,
    connectionListener?: (socket: SeqpacketSocket, path: string) => void,
  );
  constructor(connectionListener: (socket: SeqpacketSocket, path: string) => void);

  /**
   * Starts to listen. Synchronous; `'listening'` follows. A dead socket file is replaced, nothing
   * else.
   *
   * @throws of bind(2) and listen(2), mostly EADDRINUSE; ERR_SERVER_ALREADY_LISTEN
   */
  listen(path?: SocketPath | ListenOptions | null, backlog?: number, callback?: NotifyCb): this;
  listen(path: SocketPath | ListenOptions | null | undefined, callback?: NotifyCb): this;
  listen(callback: NotifyCb): this;

  /** Whether the server accepts connections. */
  readonly listening: boolean;
  /** The descriptor's number; -1 while there is none. */
  readonly fd: number;
  /** Above this many connections new ones are closed at once. */
  maxConnections: number | undefined;
  /** The name the server listens at; null while it does not. */
  address(): string | null;
  /** How many connections are open. */
  getConnections(callback: (error: null, count: number) => void): this;

  /** Accepts no more until resume(): connections wait in the backlog. */
  pause(): this;
  /** Accepts again. */
  resume(): this;
  /** Lets the listening server keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the server listens. */
  unref(): this;
  /** Whether the listening server keeps the process alive. */
  hasRef(): boolean;

  /** Stops listening at once; connections stay, and `'close'` follows the end of the last. */
  close(callback?: (error?: Error) => void): this;
  /** close(), as a promise of `'close'`. */
  [Symbol.asyncDispose](): Promise<void>;

  /** Connections until the server is closed. */
  [Symbol.asyncIterator](): AsyncGenerator<SeqpacketSocket, void, undefined>;

  on<E extends keyof SeqpacketServerEvents>(
    event: E,
    listener: Listener<SeqpacketServerEvents, E>,
  ): this;
  once<E extends keyof SeqpacketServerEvents>(
    event: E,
    listener: Listener<SeqpacketServerEvents, E>,
  ): this;
  off<E extends keyof SeqpacketServerEvents>(
    event: E,
    listener: Listener<SeqpacketServerEvents, E>,
  ): this;
  addListener<E extends keyof SeqpacketServerEvents>(
    event: E,
    listener: Listener<SeqpacketServerEvents, E>,
  ): this;
  removeListener<E extends keyof SeqpacketServerEvents>(
    event: E,
    listener: Listener<SeqpacketServerEvents, E>,
  ): this;
  prependListener<E extends keyof SeqpacketServerEvents>(
    event: E,
    listener: Listener<SeqpacketServerEvents, E>,
  ): this;
  prependOnceListener<E extends keyof SeqpacketServerEvents>(
    event: E,
    listener: Listener<SeqpacketServerEvents, E>,
  ): this;
  emit<E extends keyof SeqpacketServerEvents>(
    event: E,
    ...args: Arguments<SeqpacketServerEvents, E>
  ): boolean;
}

/** Where net's `onread` puts received bytes. */
export interface OnReadOptions {
  /** Memory for them, used again and again; or a function that makes it, for each time. */
  buffer: Uint8Array | (() => Uint8Array);
  /** Gets each chunk: its length, and the buffer it is in. False pauses, as pause() does. */
  callback(bytesWritten: number, buffer: Uint8Array): boolean | void;
}

/** Options of a {@link USocket}. */
export interface USocketOptions extends SocketOptions {
  /** Connect to this name, as connect() does. */
  path?: SocketPath | null | undefined;
  /** Do not end when the peer ends. Default: false. */
  allowHalfOpen?: boolean | undefined;
  /** Milliseconds to go on trying while the server's backlog is full. Default: 10000. */
  connectTimeout?: number | undefined;
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
  /** They are yours to close, see {@link closeFd}. */
  fds: number[];
}

/** Received bytes, with what was asked for beside them. */
export interface StreamChunk extends Buffer {
  /** With `credentials`: their sender. */
  credentials?: Credentials;
}

/** The events of a {@link USocket}. */
export interface USocketEvents extends BaseEvents {
  /** Received bytes; strings after setEncoding(). */
  data: [chunk: StreamChunk];
  /** Received descriptors, which are the listener's to close. */
  fds: [fds: number[]];
  /** The socket is connected: emitted if anybody listens to it, instead of `'connect'`. */
  connected: [];
  /** The socket is connected, and nobody listens to `'connected'`. */
  connect: [];
  /** After either: the socket can be used. */
  ready: [];
  /** No traffic for as long as setTimeout() says. The socket stays open. */
  timeout: [];
  /** After write() returned false: it is time to write again. */
  drain: [];
  /** The peer sends no more. */
  end: [];
  /** Everything was sent, and the end too. */
  finish: [];
  /** What destroys the socket. */
  error: [error: NodeJS.ErrnoException];
  /** The socket is closed. */
  close: [hadError: boolean];
  readable: [];
  pause: [];
  resume: [];
  pipe: [source: import('node:stream').Readable];
  unpipe: [source: import('node:stream').Readable];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/**
 * A Unix stream socket that passes descriptors, unix(7): a Duplex that stands in for net.Socket and
 * for usocket's USocket.
 */
export class USocket extends Duplex {
  /**
   * @param options - or a path to connect to, or a descriptor to adopt
   * @param callback - as of connect()
   * @throws EBADF, ENOTSOCK, EAFNOSUPPORT, EPROTOTYPE or EEXIST for an unsuitable `fd`
   */
  constructor(options?: SocketPath | number | USocketOptions | null, callback?: NotifyCb);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair(
    options?: Omit<USocketOptions, 'fd' | 'path'> & Pick<ServerOptions, 'pauseOnConnect'>,
  ): [USocket, USocket];

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

  /** Emits `'timeout'` after so many milliseconds without traffic; 0: never. */
  setTimeout(milliseconds: number, callback?: NotifyCb): this;
  /** What setTimeout() was given. */
  readonly timeout: number;
  /** Does nothing: there is no Nagle's algorithm here. */
  setNoDelay(noDelay?: boolean): this;
  /** Does nothing: the kernel knows when a local peer is gone. */
  setKeepAlive(enable?: boolean, initialDelay?: number): this;

  /** Whether a connection is being made. */
  readonly connecting: boolean;
  /** Not connected yet, or not any more. */
  readonly pending: boolean;
  /** As in `net.Socket`. */
  readonly readyState: 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed';
  /** Bytes received. */
  readonly bytesRead: number;
  /** Bytes accepted by write(). */
  readonly bytesWritten: number;
  /** `writableLength`, under its older name. */
  readonly bufferSize: number;

  /** The descriptor's number; -1 while there is none. */
  readonly fd: number;
  /** The name this end is bound to; empty if it has none. */
  address(): string;
  /** The peer's name, empty if it has none; undefined while there is no peer. */
  readonly remoteAddress: string | undefined;
  /** Whoever connected or listened (SO_PEERCRED); undefined without a peer. */
  readonly peerCredentials: Credentials | undefined;

  /** Lets the open socket keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the socket is open. */
  unref(): this;
  /** Whether the open socket keeps the process alive. */
  hasRef(): boolean;

  /** destroy(), with a callback that follows `'close'`. */
  close(callback?: NotifyCb): this;
  /** Destroys the socket once everything written is sent. */
  destroySoon(): void;
  /** destroy(): a Unix socket has no RST. */
  resetAndDestroy(): this;

  [Symbol.asyncIterator](): NodeJS.AsyncIterator<StreamChunk>;

  on<E extends keyof USocketEvents>(event: E, listener: Listener<USocketEvents, E>): this;
  once<E extends keyof USocketEvents>(event: E, listener: Listener<USocketEvents, E>): this;
  off<E extends keyof USocketEvents>(event: E, listener: Listener<USocketEvents, E>): this;
  addListener<E extends keyof USocketEvents>(event: E, listener: Listener<USocketEvents, E>): this;
  removeListener<E extends keyof USocketEvents>(
    event: E,
    listener: Listener<USocketEvents, E>,
  ): this;
  prependListener<E extends keyof USocketEvents>(
    event: E,
    listener: Listener<USocketEvents, E>,
  ): this;
  prependOnceListener<E extends keyof USocketEvents>(
    event: E,
    listener: Listener<USocketEvents, E>,
  ): this;
  emit<E extends keyof USocketEvents>(event: E, ...args: Arguments<USocketEvents, E>): boolean;
}

/** Options of a {@link UServer}: those of its connections; `signal` closes the server. */
export type UServerOptions = Omit<USocketOptions, 'fd' | 'path'> & ServerOptions;

/** The events of a {@link UServer}. */
export interface UServerEvents extends BaseEvents {
  /** The server listens. */
  listening: [];
  /** A connection. `path`: the server's name. */
  connection: [socket: USocket, path: string];
  /** A connection beyond `maxConnections`, or not allowed, was closed. */
  drop: [];
  /** Accepting pauses for want of descriptors or memory, and goes on by itself. */
  warning: [error: NodeJS.ErrnoException];
  /** listen() failed, or accepting did. */
  error: [error: NodeJS.ErrnoException];
  /** The server is closed and its last connection has ended. */
  close: [];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/** A server of {@link USocket}s; stands in for net.Server and for usocket's UServer. */
export class UServer extends EventEmitter {
  constructor(
    options?: UServerOptions,
    connectionListener?: (socket: USocket, path: string) => void,
  );
  constructor(connectionListener: (socket: USocket, path: string) => void);

  /**
   * Starts to listen; `'listening'` follows. What the system refuses is an `'error'` event, mostly
   * EADDRINUSE. A dead socket file is replaced, nothing else.
   *
   * @throws ERR_SERVER_ALREADY_LISTEN
   */
  listen(path?: SocketPath | ListenOptions | null, backlog?: number, callback?: NotifyCb): this;
  listen(path: SocketPath | ListenOptions | null | undefined, callback?: NotifyCb): this;
  listen(callback: NotifyCb): this;

  /** Whether the server accepts connections. */
  readonly listening: boolean;
  /** The descriptor's number; -1 while there is none. */
  readonly fd: number;
  /** Above this many connections new ones are closed at once. */
  maxConnections: number | undefined;
  /** The name the server listens at; null while it does not. */
  address(): string | null;
  /** How many connections are open. */
  getConnections(callback: (error: null, count: number) => void): this;

  /** Accepts no more until resume(): connections wait in the backlog. */
  pause(): this;
  /** Accepts again. */
  resume(): this;
  /** Lets the listening server keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the server listens. */
  unref(): this;
  /** Whether the listening server keeps the process alive. */
  hasRef(): boolean;

  /** Stops listening at once; connections stay, and `'close'` follows the end of the last. */
  close(callback?: (error?: Error) => void): this;
  /** close(), as a promise of `'close'`. */
  [Symbol.asyncDispose](): Promise<void>;

  /** Connections until the server is closed. */
  [Symbol.asyncIterator](): AsyncGenerator<USocket, void, undefined>;

  on<E extends keyof UServerEvents>(event: E, listener: Listener<UServerEvents, E>): this;
  once<E extends keyof UServerEvents>(event: E, listener: Listener<UServerEvents, E>): this;
  off<E extends keyof UServerEvents>(event: E, listener: Listener<UServerEvents, E>): this;
  addListener<E extends keyof UServerEvents>(event: E, listener: Listener<UServerEvents, E>): this;
  removeListener<E extends keyof UServerEvents>(
    event: E,
    listener: Listener<UServerEvents, E>,
  ): this;
  prependListener<E extends keyof UServerEvents>(
    event: E,
    listener: Listener<UServerEvents, E>,
  ): this;
  prependOnceListener<E extends keyof UServerEvents>(
    event: E,
    listener: Listener<UServerEvents, E>,
  ): this;
  emit<E extends keyof UServerEvents>(event: E, ...args: Arguments<UServerEvents, E>): boolean;
}

/**
 * Closes a descriptor that came with a message, close(2). In a worker, `fs.closeSync()` would warn.
 *
 * @throws EBADF
 */
export function closeFd(fd: number): void;

/** A descriptor that was handed over to this process. Pass it to `listen()`, or its `fd` to a constructor. */
export interface ListenFd {
  fd: number;
  /** As of `FileDescriptorName=` in systemd.socket(5); `'unknown'` without one. */
  name: string;
}

export interface ListenFdsOptions {
  /** Removes the variables from `process.env`, so that children do not see them. Default false. */
  unset?: boolean | undefined;
}

/**
 * The descriptors that systemd handed over to this process, sd_listen_fds(3), made close-on-exec:
 * none if that did not happen. With names, only those, in the order of the names.
 *
 * @throws ERR_AFUNIX_LISTEN_FDS for variables that make no sense
 */
export function listenFds(
  names?: string | readonly string[],
  options?: ListenFdsOptions,
): ListenFd[];
export function listenFds(options: ListenFdsOptions): ListenFd[];

export interface MemfdOptions {
  /** To be seen in /proc/PID/fd; no address. At most 249 bytes, default `'afunix'`. */
  name?: string | undefined;
  /** Nobody can change content or size any more. Default false. */
  seal?: boolean | undefined;
}

/**
 * Makes an anonymous file in memory, memfd_create(2), with these bytes in it and its offset at 0.
 * The descriptor is close-on-exec and yours to close. Linux only.
 *
 * @throws EMFILE, ENFILE, ENOMEM, ENOSPC; ENOSYS elsewhere than on Linux
 */
export function memfd(data?: MessageData, options?: MemfdOptions): number;

/** What a descriptor can be of. */
export type FdType =
  | 'unix-stream'
  | 'unix-seqpacket'
  | 'unix-dgram'
  | 'tcp'
  | 'udp'
  | 'socket'
  | 'pipe'
  | 'file'
  | 'directory'
  | 'tty'
  | 'character-device'
  | 'block-device'
  | 'symlink'
  | 'unknown';

/**
 * What kind of thing a descriptor is of.
 *
 * @throws EBADF
 */
export function fdType(fd: Descriptor): FdType;

/** What {@link fromFd} makes. */
export type FromFd =
  | USocket
  | UServer
  | SeqpacketSocket
  | SeqpacketServer
  | DgramSocket
  | NetSocket
  | NetServer
  | UdpSocket
  | ReadStream
  | WriteStream;

/**
 * The object that fits a descriptor, usually one that another process passed; it owns the
 * descriptor from here on. Servers listen already: add a `'connection'` listener in the same turn.
 *
 * The type parameter is what you know it to be: `fromFd<net.Socket>(fd)`.
 *
 * @param fd - on an exception it is still yours
 * @param options - for the object's constructor
 * @throws ERR_AFUNIX_FD_TYPE: nothing fits; EBADF
 */
export function fromFd<T extends FromFd = FromFd>(fd: Descriptor, options?: object): T;

export interface ReuseportOptions {
  /** Default `'tcp'`. */
  type?: 'tcp' | 'udp' | undefined;
  /** An IPv6 socket takes no IPv4. Default false. */
  ipv6Only?: boolean | undefined;
}

/**
 * Makes a socket bound to a port that others may be bound to as well (SO_REUSEPORT): for
 * `net.Server.listen({ fd })`, or with `type: 'udp'` for `dgram.Socket.bind({ fd })`.
 *
 * @param port default 0: the system chooses one
 * @param host an IP address, default `'0.0.0.0'`; `'::'` takes IPv4 as well
 * @returns a nonblocking close-on-exec descriptor that is yours
 * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE
 */
export function createReuseportFd(
  port?: number | string,
  host?: string,
  options?: ReuseportOptions,
): number;

export interface DrainOptions {
  /** Milliseconds for handshakes that have begun: 0 to 60000, default 500. */
  grace?: number | undefined;
}

/**
 * Closes a TCP server that shares its port without resetting the connections that wait in its queue.
 *
 * @returns resolved once it does not listen any more; its `'close'` follows when its connections
 *   have ended
 */
export function drainServer(server: NetServer, options?: DrainOptions): Promise<void>;

/** socketpair(2); also the only export of `afunix/socketpair`. */
export const socketpair: typeof pairOfSockets;

/** An error of a {@link UnixDgramSocket}. */
export interface UnixDgramError extends Error {
  /** The same as `errno`; 1 for congestion. */
  code: number;
  /** The error number, negative; undefined for congestion. */
  errno?: number;
  /** `'socket'`, `'bind'`, `'connect'`, `'send'` or `'recv'`. */
  syscall?: string;
  path?: string;
}

/** What comes beside a message of a {@link UnixDgramSocket}. */
export interface UnixDgramInfo {
  /** Bytes. */
  size: number;
  /** Always empty. */
  address: {};
  /** The sender's name; null if it has none. */
  path: string | null;
}

/** Gets the outcome of a send, exactly once. */
export type UnixDgramCallback = (error?: UnixDgramError) => void;

/** The events of a {@link UnixDgramSocket}. */
export interface UnixDgramEvents extends BaseEvents {
  message: [message: Buffer, info: UnixDgramInfo];
  /** Within bind(). */
  listening: [];
  /** Within connect(). */
  connect: [];
  /** The connected peer had no room for this message, which was not sent. */
  congestion: [message: MessageData];
  /** The connected peer has room again. */
  writable: [];
  /** What no callback was told of. */
  error: [error: UnixDgramError];
  [EventEmitter.errorMonitor]: [error: UnixDgramError];
}

/**
 * A Unix datagram socket with the interface of the package unix-dgram: what a call does is told
 * before it returns. Made by {@link createSocket}.
 */
export interface UnixDgramSocket extends EventEmitter {
  readonly type: 'unix_dgram';
  /** The descriptor's number; -1 once closed. */
  readonly fd: number;
  /** Whether connect() succeeded at some time. */
  connected: boolean;

  /** Binds and starts to receive, bind(2): `'listening'` or `'error'`. */
  bind(path?: SocketPath | null): void;
  /** Sets the peer, connect(2): `'connect'` or `'error'`. */
  connect(path: SocketPath): void;
  /** Sends to the connected peer. Congestion: error code 1, or `'congestion'`. */
  send(message: MessageData, callback?: UnixDgramCallback | null): void;
  /** Sends to a name. Where there is no room the message waits. */
  send(
    message: MessageData,
    offset: number,
    length: number,
    path: SocketPath,
    callback?: UnixDgramCallback | null,
  ): void;
  sendto(
    message: MessageData,
    offset: number,
    length: number,
    path: SocketPath,
    callback?: UnixDgramCallback | null,
  ): void;
  /** Closes at once, without an event. Idempotent. */
  close(): void;
  [Symbol.asyncDispose](): Promise<void>;
  /** The name the socket is bound to; empty while it has none. */
  address(): string;
  /** Lets the open socket keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the socket is open. */
  unref(): this;

  /** @deprecated throws ERR_METHOD_NOT_IMPLEMENTED */
  setTTL(ttl: number): never;
  /** @deprecated throws ERR_METHOD_NOT_IMPLEMENTED */
  setBroadcast(flag: boolean): never;
  /** @deprecated throws ERR_METHOD_NOT_IMPLEMENTED */
  setMulticastTTL(ttl: number): never;
  /** @deprecated throws ERR_METHOD_NOT_IMPLEMENTED */
  setMulticastLoopback(flag: boolean): never;
  /** @deprecated throws ERR_METHOD_NOT_IMPLEMENTED */
  addMembership(multicastAddress: string, multicastInterface?: string): never;
  /** @deprecated throws ERR_METHOD_NOT_IMPLEMENTED */
  dropMembership(multicastAddress: string, multicastInterface?: string): never;

  on<E extends keyof UnixDgramEvents>(event: E, listener: Listener<UnixDgramEvents, E>): this;
  once<E extends keyof UnixDgramEvents>(event: E, listener: Listener<UnixDgramEvents, E>): this;
  off<E extends keyof UnixDgramEvents>(event: E, listener: Listener<UnixDgramEvents, E>): this;
  addListener<E extends keyof UnixDgramEvents>(
    event: E,
    listener: Listener<UnixDgramEvents, E>,
  ): this;
  removeListener<E extends keyof UnixDgramEvents>(
    event: E,
    listener: Listener<UnixDgramEvents, E>,
  ): this;
  prependListener<E extends keyof UnixDgramEvents>(
    event: E,
    listener: Listener<UnixDgramEvents, E>,
  ): this;
  prependOnceListener<E extends keyof UnixDgramEvents>(
    event: E,
    listener: Listener<UnixDgramEvents, E>,
  ): this;
  emit<E extends keyof UnixDgramEvents>(event: E, ...args: Arguments<UnixDgramEvents, E>): boolean;
}

/**
 * A socket with the interface of the package unix-dgram; for `'udp4'` and `'udp6'` one of
 * `node:dgram`, as there. The listener is for `'message'`.
 *
 * @throws EMFILE and other errors of socket(2); ERR_SOCKET_BAD_TYPE
 */
export function createSocket(
  type: 'unix_dgram',
  listener?: (message: Buffer, info: UnixDgramInfo) => void,
): UnixDgramSocket;
export function createSocket(
  type: 'udp4' | 'udp6',
  listener?: (message: Buffer, info: RemoteInfo) => void,
): UdpSocket;
