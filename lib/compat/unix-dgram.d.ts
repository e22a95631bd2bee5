// Owns: the types of createSocket().

import { EventEmitter } from 'node:events';
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram';
import type { MessageData, SocketPath } from '../sockets/common.js';
import type { BaseEvents, EventfulEmitter } from '../sockets/events.js';

/** An error of a {@link UnixDgramSocket}. */
export interface UnixDgramError extends Error {
  /** The same as `errno`; 1 for congestion. */
  code: number;
  /** The error number, negative; undefined for congestion. */
  errno?: number;
  /** `'socket'`, `'bind'`, `'connect'`, `'send'` or `'recv'`. */
  syscall?: string;
  /** The name it is about, if there is one. */
  path?: string;
}

/** What comes with a message of a {@link UnixDgramSocket}. */
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
  /** A message. */
  message: [message: Buffer, info: UnixDgramInfo];
  /** Within bind(). */
  listening: [];
  /** Within connect(). */
  connect: [];
  /** The connected peer had no room for this message, which was not sent: as send() was given it. */
  congestion: [message: MessageData];
  /** The connected peer has room again. */
  writable: [];
  /** A call that has no callback failed, or receiving did. */
  error: [error: UnixDgramError];
  [EventEmitter.errorMonitor]: [error: UnixDgramError];
}

/**
 * A Unix datagram socket with the interface of the package unix-dgram: what a call does is known
 * before it returns. Made by {@link createSocket}.
 */
export interface UnixDgramSocket extends EventfulEmitter<UnixDgramEvents> {
  /** What createSocket() was given. */
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
  /** The same, under the name that unix-dgram has for it. */
  sendto(
    message: MessageData,
    offset: number,
    length: number,
    path: SocketPath,
    callback?: UnixDgramCallback | null,
  ): void;
  /** Closes at once, without an event. Idempotent. */
  close(): void;
  /** close(), as a promise. */
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
}

/**
 * A socket with the interface of the package unix-dgram; for `'udp4'` and `'udp6'` one of
 * `node:dgram`, as there. The listener is for `'message'`.
 *
 * @throws EMFILE and other errors of socket(2); ERR_SOCKET_BAD_TYPE
 */
export declare function createSocket(
  type: 'unix_dgram',
  listener?: (message: Buffer, info: UnixDgramInfo) => void,
): UnixDgramSocket;
export declare function createSocket(
  type: 'udp4' | 'udp6',
  listener?: (message: Buffer, info: RemoteInfo) => void,
): UdpSocket;
