// Owns: the types of what the package exports. Behaviour is described in full in docs/.

import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
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

/** Options of a {@link SeqpacketServer}: those of its connections; `signal` closes the server. */
export type SeqpacketServerOptions = Omit<SeqpacketSocketOptions, 'fd'>;

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
  /** A connection beyond `maxConnections` was closed. */
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

/**
 * Closes a descriptor that came with a message, close(2). In a worker, `fs.closeSync()` would warn.
 *
 * @throws EBADF
 */
export function closeFd(fd: number): void;
