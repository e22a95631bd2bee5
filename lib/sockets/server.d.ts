// Owns: the types of what both servers have in common.

import { EventEmitter } from 'node:events';
import type { BindOptions, Credentials, Descriptor, NotifyCb, SocketPath } from './common.js';
import { EventfulEmitter, type BaseEvents } from './events.js';

/** Connections that are not read at once. */
export interface PauseOption {
  /** Connections start paused: nothing is read before resume(). Default: false. */
  pauseOnConnect?: boolean | undefined;
}

/** Options of every server. */
export interface ServerOptions extends PauseOption {
  /**
   * Asked before `'connection'`: anything but true closes the connection at once, and emits
   * `'drop'`.
   */
  allow?: ((peer: Credentials) => boolean) | undefined;
}

/** Where a server listens. */
export interface ListenOptions extends BindOptions {
  /** Without it the kernel chooses an abstract name (Linux). */
  path?: SocketPath | null | undefined;
  /** Adopt this listening socket. */
  fd?: Descriptor | undefined;
  /** How many connections may wait to be accepted. Default: 511; net.core.somaxconn bounds it. */
  backlog?: number | undefined;
  /** In a worker of a cluster: do not share the socket with other workers. Default: false. */
  exclusive?: boolean | undefined;
}

/** The events of every server. */
export interface ServerEvents<Socket> extends BaseEvents {
  /** The server listens. */
  listening: [];
  /** A connection. `path`: the server's name. */
  connection: [socket: Socket, path: string];
  /** A connection beyond `maxConnections`, or not allowed, was closed. */
  drop: [];
  /** Accepting pauses for want of descriptors or memory, and goes on by itself. */
  warning: [error: NodeJS.ErrnoException];
  /** Accepting failed, and the server goes on; or, of a UServer, listen() failed. */
  error: [error: NodeJS.ErrnoException];
  /** The server is closed and its last connection has ended. */
  close: [];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/** A server of connected Unix sockets, as `net.Server` is of TCP ones. */
export declare class SocketServer<Socket, Options> extends EventfulEmitter<ServerEvents<Socket>> {
  /** @throws for an unsuitable option, here and not at the first connection */
  constructor(options?: Options, connectionListener?: (socket: Socket, path: string) => void);
  constructor(connectionListener: (socket: Socket, path: string) => void);

  /**
   * Starts to listen; `'listening'` follows. A dead socket file is replaced, nothing else. What the
   * system refuses, mostly EADDRINUSE, a SeqpacketServer throws; of a UServer it is an `'error'`
   * event.
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
  [Symbol.asyncIterator](): AsyncGenerator<Socket, void, undefined>;
}
