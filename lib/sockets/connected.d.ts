// Owns: the types of what sockets with one peer have in common.

import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import type { Credentials, NotifyCb, SocketOptions } from './common.js';
import type { BaseEvents, Listener, Name } from './events.js';

/** Options of every socket with one peer. */
export interface ConnectedOptions extends SocketOptions {
  /** Do not end when the peer ends. Default: false. */
  allowHalfOpen?: boolean | undefined;
  /** Milliseconds to go on trying while the server's backlog is full. Default: 10000. */
  connectTimeout?: number | undefined;
}

/** The events of every socket with one peer. */
export interface ConnectedEvents<Chunk> extends BaseEvents {
  /** What was received: one whole message, or bytes of a stream (strings after setEncoding()). */
  data: [chunk: Chunk];
  /** The socket is connected. (A USocket emits it where nobody listens to `'connected'`.) */
  connect: [];
  /** After that: the socket can be used. */
  ready: [];
  /** No traffic for as long as setTimeout() says. The socket stays open. */
  timeout: [];
  /** After write() returned false: it is time to write again. */
  drain: [];
  /** The peer sends no more. */
  end: [];
  /** Everything was sent, and the end too. */
  finish: [];
  /** What destroys the socket; of a SeqpacketSocket, also what no callback was told of. */
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

/** A socket with one peer: a Duplex that does what `net.Socket` does. */
export declare class ConnectedSocket<Events extends ConnectedEvents<any>> extends Duplex {
  /** Emits `'timeout'` after so many milliseconds without traffic; 0: never. */
  setTimeout(milliseconds: number, callback?: NotifyCb): this;
  /** What setTimeout() was given. */
  readonly timeout: number;

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

  on<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  once<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  off<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  addListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  removeListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  prependListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  prependOnceListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
}
