// Owns: the types of what both servers have in common.

import { EventEmitter } from 'node:events';
import type {
  BindOptions,
  Credentials,
  Descriptor,
  Detached,
  NotifyCb,
  SocketPath,
} from './common.js';
import { EventfulEmitter, type BaseEvents } from './events.js';

/** Options of every server, apart from those of its connections. */
export interface ServerOptions {
  /**
   * Asked before `'connection'`: anything but true closes the connection at once, and emits
   * `'drop'`. What it throws refuses too, and is a `'warning'`.
   */
  allow?: ((peer: Credentials) => boolean) | undefined;
  /** Closes the server when it is aborted. */
  signal?: AbortSignal | undefined;
  /** As of an EventEmitter: what an async `'connection'` listener throws destroys that connection. */
  captureRejections?: boolean | undefined;
}

/** Where a server listens. Only an object's own properties count. */
export interface ListenOptions extends BindOptions {
  /** Without it the kernel chooses an abstract name (Linux). */
  path?: SocketPath | null | undefined;
  /** Adopt this listening socket. EBADF, ENOTSOCK, EINVAL (it does not listen), EPROTOTYPE. */
  fd?: Descriptor | undefined;
  /** How many connections may wait to be accepted, listen(2). Default: 511; net.core.somaxconn bounds it. */
  backlog?: number | undefined;
  /** In a worker of a cluster: do not share the socket with other workers. Default: false. */
  exclusive?: boolean | undefined;
  /** Everybody may read the file: with `mode`, or the umask's, as in `net`. Not for abstract names. Default: false. */
  readableAll?: boolean | undefined;
  /** Everybody may write to it, and so connect. Not for abstract names. Default: false. */
  writableAll?: boolean | undefined;
  /** Closes the server when it is aborted; one that is aborted already lets it not listen at all. */
  signal?: AbortSignal | undefined;
}

/** A connection that was closed at once. */
export interface Dropped {
  /** Who it was, if the system says. */
  peer: Credentials | undefined;
  /** There are `maxConnections` already, or `allow` did not return true. */
  reason: 'maxConnections' | 'allow';
}

/** Options of a server's close(). */
export interface CloseOptions {
  /**
   * Nobody is refused who could connect: the file goes first, then the connections that wait in the
   * backlog are accepted, then the server stops listening. Default: false.
   */
  drain?: boolean | undefined;
}

/** The events of every server. */
export interface ServerEvents<Socket> extends BaseEvents {
  /** The server listens. */
  listening: [];
  /** A connection. `path`: the server's name. */
  connection: [socket: Socket, path: string];
  /** A connection was closed at once. */
  drop: [dropped: Dropped];
  /** Accepting pauses for want of descriptors or memory, and goes on by itself; or what `allow` threw. */
  warning: [error: NodeJS.ErrnoException];
  /** Accepting failed, and the server goes on; or, of a UServer, listen() failed. */
  error: [error: NodeJS.ErrnoException];
  /** The server is closed and its last connection has ended. */
  close: [];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/** A server of connected Unix sockets, as `net.Server` is of TCP ones. */
export declare class SocketServer<Socket, Options> extends EventfulEmitter<ServerEvents<Socket>> {
  /**
   * The listener is for `'connection'`.
   *
   * @throws for an unsuitable option, here and not at the first connection
   */
  constructor(options?: Options, connectionListener?: (socket: Socket, path: string) => void);
  constructor(connectionListener: (socket: Socket, path: string) => void);

  /**
   * Starts to listen, bind(2) and listen(2); `'listening'` follows in the next tick. A dead socket
   * file is replaced, nothing else. Connections are accepted from the first `'connection'` listener, or
   * loop, on; before, they wait in the backlog.
   *
   * What the system refuses, mostly EADDRINUSE, a SeqpacketServer throws; of a UServer it is an
   * `'error'` event.
   *
   * @throws ERR_SERVER_ALREADY_LISTEN; ERR_INVALID_ARG_VALUE for a host or port
   */
  listen(path?: SocketPath | ListenOptions | null, backlog?: number, callback?: NotifyCb): this;
  listen(path: SocketPath | ListenOptions | null | undefined, callback?: NotifyCb): this;
  listen(callback: NotifyCb): this;

  /** Whether the server listens. */
  readonly listening: boolean;
  /** The descriptor's number; -1 while there is none. */
  readonly fd: number;
  /** Above this many connections new ones are closed at once, with `'drop'`. Undefined, as at first: no limit. */
  get maxConnections(): number;
  set maxConnections(count: number | undefined);
  /** The name the server listens at; while it does not, null, or of a UServer the last one. */
  address(): string | null;
  /** How many connections are open: the callback gets it in the next tick. */
  getConnections(callback: (error: null, count: number) => void): this;

  /** Accepts no more until resume(): connections wait in the backlog. */
  pause(): this;
  /** Accepts again. */
  resume(): this;
  /** Lets the listening server keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the server listens. */
  unref(): this;
  /** Whether the server listens and keeps the process alive. */
  hasRef(): boolean;

  /**
   * Stops listening and removes the socket file, if it is still ours. Connections stay, and `'close'`
   * follows the end of the last. Idempotent.
   *
   * The callback comes with `'close'`; it gets ERR_SERVER_NOT_RUNNING if the server did not listen.
   */
  close(callback?: (error?: NodeJS.ErrnoException) => void): this;
  close(options: CloseOptions, callback?: (error?: NodeJS.ErrnoException) => void): this;
  /** close(), as a promise of `'close'`. */
  [Symbol.asyncDispose](): Promise<void>;
  /**
   * Gives the listening descriptor up, for another process or another object: the file stays, and
   * connections wait in the backlog. What has been accepted stays open here.
   *
   * @throws ERR_SERVER_NOT_RUNNING
   */
  detach(): Detached<null>;

  /** Connections until the server is closed. They are accepted as the loop asks for them. */
  [Symbol.asyncIterator](): AsyncGenerator<Socket, void, undefined>;
}
