// Owns: the types of what sockets with one peer have in common.

import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import type { Credentials, Detached, NotifyCb, SocketOptions, SocketPath } from './common.js';
import type { BaseEvents, Listener, Name } from './events.js';

/** Options of every socket with one peer. */
export interface ConnectedOptions extends SocketOptions {
  /** Do not end when the peer ends. Default: false. */
  allowHalfOpen?: boolean | undefined;
  /** Milliseconds to go on trying while the server's backlog is full; then ETIMEDOUT. Default: 10000. */
  connectTimeout?: number | undefined;
  /** Bind to this name before connecting, bind(2): the peer sees it as the remote address. */
  localPath?: SocketPath | undefined;
  /** Adopted sockets and connections of a server start paused: nothing is read before resume(). Default: false. */
  pauseOnConnect?: boolean | undefined;
}

/** The events of every socket with one peer. */
export interface ConnectedEvents<Chunk> extends BaseEvents {
  /** What was received: one whole message, or bytes of a stream (strings after setEncoding()). */
  data: [chunk: Chunk];
  /** The socket is connected. */
  connect: [];
  /** After that: the socket can be used. */
  ready: [];
  /** No traffic for as long as setTimeout() says. The socket stays open. */
  timeout: [];
  /** After write() returned false: it is time to write again. */
  drain: [];
  /** The peer sends no more, and all it sent has been read. */
  end: [];
  /** Everything was sent, and the end too. */
  finish: [];
  /** What destroys the socket; of a SeqpacketSocket, also a failed write that has no callback. */
  error: [error: NodeJS.ErrnoException];
  /** The socket is closed. Without an argument if it never had a descriptor, as in `net`. */
  close: [hadError: boolean];
  readable: [];
  pause: [];
  resume: [];
  pipe: [source: import('node:stream').Readable];
  unpipe: [source: import('node:stream').Readable];
  [EventEmitter.errorMonitor]: [error: NodeJS.ErrnoException];
}

/** A socket with one peer: a Duplex that does what `net.Socket` does. */
export declare class ConnectedSocket<Events extends ConnectedEvents<any>, Data> extends Duplex {
  /**
   * Emits `'timeout'` after so many milliseconds without traffic; 0: never. The callback is for the
   * next `'timeout'`.
   */
  setTimeout(milliseconds: number, callback?: NotifyCb): this;
  /** What setTimeout() was given, in milliseconds; undefined before. */
  readonly timeout?: number;

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
  /** The name this end is bound to, getsockname(2); empty if it has none. */
  address(): string;
  /** Whoever connected or listened (SO_PEERCRED); undefined without a peer. */
  readonly peerCredentials: Credentials | undefined;
  /**
   * The process that connected or listened, as a pidfd (SO_PEERPIDFD, Linux 6.5): a new descriptor each time, yours to
   * close. Unlike a process id it never comes to mean another process. Undefined without a peer, and where the
   * system does not say.
   *
   * @throws ESRCH: an older kernel knows that the process has ended; EMFILE, ENFILE
   */
  readonly peerPidfd: number | undefined;
  /** The supplementary groups of whoever that was (SO_PEERGROUPS, Linux 4.13), otherwise undefined. */
  readonly peerGroups: readonly number[] | undefined;
  /** The security label of whoever that was (SO_PEERSEC: SELinux, AppArmor, Smack), otherwise undefined. */
  readonly peerLabel: string | undefined;
  /** SO_SNDBUF in bytes, as the kernel counts: Linux doubles what was set. Undefined while there is no descriptor. */
  readonly sendBufferSize: number | undefined;
  /** SO_RCVBUF in bytes, as the kernel counts: Linux doubles what was set. Undefined while there is no descriptor. */
  readonly receiveBufferSize: number | undefined;

  /** Lets the open socket keep the process alive: the default. */
  ref(): this;
  /** Lets the process end although the socket is open. What waits to be sent still keeps it alive. */
  unref(): this;
  /** Whether the socket is open and keeps the process alive. */
  hasRef(): boolean;

  /** destroy(), with a callback that follows `'close'`. */
  close(callback?: NotifyCb): this;
  /** Destroys the socket once everything written is sent. */
  destroySoon(): void;
  /**
   * Gives the descriptor up, for another process or another object: the socket is closed without the
   * peer noticing. Everything written must have been sent.
   *
   * @throws EBUSY: writes wait; ENOTCONN: there is no connection
   */
  detach(): Detached<Data>;

  on<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  once<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  off<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  addListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  removeListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  prependListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
  prependOnceListener<E extends Name<Events>>(event: E, listener: Listener<Events, E>): this;
}
