// Owns: the types of afunix/net.

import * as net from 'node:net';
import type { Credentials, Descriptor, NotifyCb, SocketPath } from '../sockets/common.js';
import type { ServerOptions as Gate } from '../sockets/server.js';
import type { OnReadOptions } from '../sockets/usocket.js';

export { isIP, isIPv4, isIPv6 } from 'node:net';
export * from './serve.js';

/** Options of a {@link Socket}. */
export interface SocketOptions {
  /** Adopt this connected socket. */
  fd?: Descriptor | undefined;
  /** Do not end when the peer ends. Default: false. */
  allowHalfOpen?: boolean | undefined;
  /** Both marks, in bytes. Default: that of Node's streams. */
  highWaterMark?: number | undefined;
  /** Receive into memory of yours instead of emitting `'data'`. */
  onread?: OnReadOptions | null | undefined;
  /** Destroys the socket when it is aborted. */
  signal?: AbortSignal | undefined;
  /** As setTimeout(), in milliseconds. Default: none. */
  timeout?: number | undefined;
  /** Milliseconds to go on trying while the server's backlog is full. Default: 10000. */
  connectTimeout?: number | undefined;
  /** Bind to this name before connecting. */
  localPath?: SocketPath | undefined;
  /** SO_RCVBUF in bytes, see socket(7). */
  receiveBufferSize?: number | undefined;
  /** SO_SNDBUF in bytes, see socket(7). */
  sendBufferSize?: number | undefined;
}

/** Where connect() goes. */
export interface ConnectOptions {
  /** A path, or a NUL and an abstract name. */
  path: SocketPath;
}

/** What connect() of this module takes: where to, and options of the socket. */
export interface NetConnectOptions extends ConnectOptions, SocketOptions {}

/** Options of a {@link Server}: those of its connections, and whom it lets in. */
export interface ServerOptions extends Omit<SocketOptions, 'fd' | 'localPath'>, Gate {}

/** A Unix stream socket with net.Socket's shape, and the peer's credentials from the kernel. */
export declare class Socket extends net.Socket {
  constructor(options?: SocketOptions | number);

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair(options?: Omit<SocketOptions, 'fd'>): [Socket, Socket];

  /** Connects to a path or an abstract name. A host or port: ERR_INVALID_ARG_VALUE. */
  connect(options: SocketPath | ConnectOptions, callback?: NotifyCb): this;
  connect(options: net.SocketConnectOpts, callback?: NotifyCb): this;
  /** @deprecated ERR_INVALID_ARG_VALUE */
  connect(port: number, host: string, callback?: NotifyCb): this;
  /** @deprecated ERR_INVALID_ARG_VALUE */
  connect(port: number, callback?: NotifyCb): this;

  /** The server that accepted it. */
  readonly server: Server | null;
  /** Who connected or listened (SO_PEERCRED); undefined without a peer. */
  readonly peerCredentials: Credentials | undefined;
  /** The descriptor's number; -1 while there is none. */
  readonly fd: number;
  /** SO_SNDBUF in bytes; undefined once closed. */
  readonly sendBufferSize: number | undefined;
  /** SO_RCVBUF in bytes; undefined once closed. */
  readonly receiveBufferSize: number | undefined;
  /** Whether the open socket keeps the process alive. */
  hasRef(): boolean;
}

/** The same as {@link Socket}, under net's older name. */
export { Socket as Stream };

/**
 * A server of Unix stream sockets with net.Server's shape. Its listen() takes what UServer's takes; see `ListenOptions`
 * of the main module.
 */
export declare class Server extends net.Server {
  constructor(connectionListener?: (socket: Socket) => void);
  constructor(options?: ServerOptions | null, connectionListener?: (socket: Socket) => void);

  /** Accepts no more until resume(): connections wait in the backlog. */
  pause(): this;
  /** Accepts again. */
  resume(): this;
  /** The descriptor's number; -1 while there is none. */
  readonly fd: number;
  /** Whether the listening server keeps the process alive. */
  hasRef(): boolean;
}

/** A Socket that connects. */
export declare function connect(
  options: SocketPath | NetConnectOptions,
  callback?: NotifyCb,
): Socket;
/** The same as {@link connect}. */
export declare function createConnection(
  options: SocketPath | NetConnectOptions,
  callback?: NotifyCb,
): Socket;
/** A Server. */
export declare function createServer(connectionListener?: (socket: Socket) => void): Server;
export declare function createServer(
  options?: ServerOptions | null,
  connectionListener?: (socket: Socket) => void,
): Server;
