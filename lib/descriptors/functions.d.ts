// Owns: the types of functions that make descriptors, take them over, tell what they are or close them.

import type { Socket as UdpSocket } from 'node:dgram';
import type { ReadStream, WriteStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Server as NetServer, Socket as NetSocket } from 'node:net';
import type { Descriptor, MessageData } from '../sockets/common.js';
import type { DgramSocket } from '../sockets/dgram.js';
import type { SeqpacketServer, SeqpacketSocket } from '../sockets/seqpacket.js';
import type { UServer } from '../sockets/userver.js';
import type { USocket } from '../sockets/usocket.js';
import pairOfSockets = require('./socketpair.js');

/**
 * Closes a descriptor that came with a message, close(2). In a worker, `fs.closeSync()` would warn.
 *
 * @throws EBADF; EBUSY if an open socket of this package owns it: close that
 */
export declare function closeFd(fd: number): void;

/**
 * Makes another descriptor of the same open file, close-on-exec and yours to close.
 *
 * @param fd or an open object that has one, which keeps it
 * @throws EBADF, EMFILE
 */
export declare function dup(fd: Descriptor): number;

/**
 * A FileHandle of `fs.promises` that owns a descriptor, usually a received one. From the call on the
 * descriptor is the handle's, under another number; where the promise is rejected, it is yours again.
 *
 * @throws EBADF, EMFILE, ENFILE
 */
export declare function fileHandle(fd: number): Promise<FileHandle>;

/** Options of {@link sdNotify}. */
export interface SdNotifyOptions {
  /** Descriptors for the manager to store, with `FDSTORE=1`. They stay yours. */
  fds?: readonly Descriptor[] | null | undefined;
  /** Milliseconds to wait for a manager that does not read, or answer `BARRIER=1`. Default 5000. */
  timeout?: number | undefined;
}

/**
 * Notifies the service manager, sd_notify(3), before it returns. `BARRIER=1` alone waits until the
 * manager has worked off what was sent before.
 *
 * @param state lines like `READY=1`, `STATUS=…`, `FDSTORE=1`
 * @returns false if there is no manager
 * @throws ERR_AFUNIX_NOTIFY_SOCKET for a variable that makes no sense; EAGAIN, ETIMEDOUT
 */
export declare function sdNotify(state: string, options?: SdNotifyOptions): boolean;

/**
 * A descriptor that was handed over to this process. Pass it to `listen()`, or its `fd` to a
 * constructor.
 */
export interface ListenFd {
  /** Its number. */
  fd: number;
  /** As of `FileDescriptorName=` in systemd.socket(5); `'unknown'` without one. */
  name: string;
}

/** Options of {@link listenFds}. */
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
export declare function listenFds(
  names?: string | readonly string[],
  options?: ListenFdsOptions,
): ListenFd[];
export declare function listenFds(options: ListenFdsOptions): ListenFd[];

/** Options of {@link memfd}. */
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
 * @throws EMFILE, ENFILE, ENOMEM, ENOSPC, EFBIG; ENOSYS elsewhere than on Linux
 */
export declare function memfd(data?: MessageData, options?: MemfdOptions): number;

/**
 * Whether the process of a pidfd, as of `peerPidfd`, has not ended yet. Unlike a process id, a pidfd never
 * comes to mean another process. Linux only.
 *
 * @throws EBADF: it is no pidfd; ENOSYS elsewhere than on Linux
 */
export declare function isAlive(pidfd: number | { readonly fd: number }): boolean;

/** Options of {@link waitForExit}. */
export interface WaitForExitOptions {
  /** Gives up: the promise is rejected with an AbortError. */
  signal?: AbortSignal | undefined;
}

/**
 * Waits until the process of a pidfd has ended: at once where it has. The descriptor stays yours, and may be
 * closed meanwhile. While it waits it keeps this process alive. Linux only.
 *
 * @returns rejected with EBADF: it is no pidfd; EMFILE; ENOSYS elsewhere than on Linux
 */
export declare function waitForExit(
  pidfd: number | { readonly fd: number },
  options?: WaitForExitOptions,
): Promise<void>;

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
export declare function fdType(fd: Descriptor): FdType;

/**
 * What {@link fromFd} makes. A property tells them apart: `'sendTo' in made` is a DgramSocket,
 * `'listening' in made` a server, `'writeWithFds' in made` a USocket; `instanceof` does, too.
 */
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
 * descriptor from here on. A net.Server accepts at once: add a `'connection'` listener in the same turn.
 *
 * The type parameter is what you know it to be: `fromFd<net.Socket>(fd)`.
 *
 * @param fd - a number, an element of `listenFds()`, or a FileHandle, which is given up to the object.
 *   On an exception it is still yours. Of other objects pass `dup(object)`
 * @param options - for the object's constructor
 * @throws ERR_AFUNIX_FD_TYPE: nothing fits; EBADF; EEXIST: an open object has it
 */
export declare function fromFd<T extends FromFd = FromFd>(
  fd: number | { readonly fd: number },
  options?: object,
): T;

/** Options of {@link createReuseportFd}. */
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
export declare function createReuseportFd(
  port?: number | string,
  host?: string,
  options?: ReuseportOptions,
): number;

/** Options of {@link drainServer}. */
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
export declare function drainServer(server: NetServer, options?: DrainOptions): Promise<void>;

/** socketpair(2); also the only export of `afunix/socketpair`. */
export declare const socketpair: typeof pairOfSockets;
