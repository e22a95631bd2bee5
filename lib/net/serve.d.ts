// Owns: the types of serve().

import type { RequestListener, Server as HttpServer } from 'node:http';
import type { Server as NetServer, Socket as NetSocket } from 'node:net';
import type { Credentials, NotifyCb, SocketPath } from '../sockets/common.js';
import type { ListenOptions, ServerOptions } from '../sockets/server.js';

/** Where serve() puts a web server, and whom it lets in. */
export interface ServeOptions extends ListenOptions, ServerOptions {
  /** Closes the web server when it is aborted. */
  signal?: AbortSignal | undefined;
  /** SO_RCVBUF of connections in bytes, see socket(7). */
  receiveBufferSize?: number | undefined;
  /** SO_SNDBUF of connections in bytes, see socket(7). */
  sendBufferSize?: number | undefined;
}

/** A connection of a web server that serve() has put on a path: `request.socket` of HTTP/1. */
export interface ServedSocket extends NetSocket {
  /** Who connected (SO_PEERCRED), if the system says. */
  readonly peerCredentials: Credentials | undefined;
}

/**
 * Puts an http, https or http2 server on a Unix path, as if it listened there itself: `'listening'`, `listening`,
 * `address()`, `close()`, `getConnections()`, `ref()`, `maxConnections` and errors are the web server's. Once closed
 * it may listen again.
 *
 * @param server - Fastify's is `app.server`, after `app.ready()`
 * @param callback - on `'listening'`
 * @returns the server
 * @throws ERR_SERVER_ALREADY_LISTEN
 */
export declare function serve<Server extends NetServer>(
  server: Server,
  path: SocketPath | ServeOptions,
  callback?: NotifyCb,
): Server;
/** The same with a new http.Server, which is returned: for an Express app, or `app.callback()` of Koa. */
export declare function serve(
  app: RequestListener,
  path: SocketPath | ServeOptions,
  callback?: NotifyCb,
): HttpServer;
