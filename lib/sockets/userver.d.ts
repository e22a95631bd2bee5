// Owns: the types of UServer.

import type { ListenOptions as NetListenOptions, Server as NetServer } from 'node:net';
import type { NotifyCb, SocketPath } from './common.js';
import {
  SocketServer,
  type ListenOptions,
  type ServerEvents,
  type ServerOptions,
} from './server.js';
import type { USocket, USocketOptions } from './usocket.js';

/** Options of a {@link UServer}: those of its connections; `signal` closes the server. */
export type UServerOptions = Omit<USocketOptions, 'fd' | 'path' | 'signal' | 'localPath'> &
  ServerOptions;

/** The events of a {@link UServer}. */
export interface UServerEvents extends ServerEvents<USocket> {}

/** What `net.Server` has for TCP alone, or had long ago, as far as the installed types of Node know it. */
type OfTcp = Pick<NetServer, Extract<keyof NetServer, 'connections' | 'dropMaxConnection'>>;

/** A Unix server has none of what TCP alone has: all of these are undefined. */
export interface UServer extends OfTcp {}

/** A server of {@link USocket}s; stands in for `net.Server` and for usocket's UServer. */
export declare class UServer extends SocketServer<USocket, UServerOptions> {
  /** As net.Server, and as described in server.d.ts: what the system refuses, mostly EADDRINUSE, is an `'error'` event. */
  listen(path?: SocketPath | ListenOptions | null, backlog?: number, callback?: NotifyCb): this;
  listen(path: SocketPath | ListenOptions | null | undefined, callback?: NotifyCb): this;
  listen(callback: NotifyCb): this;
  listen(options: NetListenOptions, callback?: NotifyCb): this;
  /** @deprecated throws ERR_INVALID_ARG_VALUE: a Unix socket has no port */
  listen(port: number, ...others: any[]): never;
}

export {};
