// Owns: the types of afunix/posix. Behaviour is described in full in docs/posix.md.

import type { Credentials, Descriptor } from '../index.js';

/** The address of a Unix socket, `sockaddr_un`. */
export interface UnixAddress {
  /** AF_UNIX. */
  sun_family: number;
  /**
   * A path of at most 107 bytes; or, on Linux, a NUL and an abstract name of at most 107 bytes. Empty:
   * no name. As a result it is a Buffer only where it is not UTF-8.
   */
  sun_path: string | Uint8Array | URL;
}

/** The address of an IPv4 socket, `sockaddr_in`. */
export interface InetAddress {
  /** AF_INET. */
  sin_family: number;
  /** 0 to 65535. */
  sin_port: number;
  /** As in `'127.0.0.1'`. */
  sin_addr: string;
}

/** The address of an IPv6 socket, `sockaddr_in6`. */
export interface Inet6Address {
  /** AF_INET6. */
  sin6_family: number;
  /** 0 to 65535. */
  sin6_port: number;
  /** As the structure has it, in network byte order. Default: 0. */
  sin6_flowinfo?: number | undefined;
  /** As in `'::1'`, without a zone. */
  sin6_addr: string;
  /** The interface's index, for link-local addresses. Default: 0. */
  sin6_scope_id?: number | undefined;
}

/** The address of a socket of another family (AF_NETLINK, AF_VSOCK …), `sockaddr`. */
export interface OtherAddress {
  /** Its number. */
  sa_family: number;
  /** What follows the family in the structure, byte for byte. At most 108. */
  sa_data: Uint8Array;
}

/**
 * What calls take as an address: one of these, what another call has filled in, or the path or abstract
 * name of a Unix socket.
 */
export type Address =
  | UnixAddress
  | InetAddress
  | Inet6Address
  | OtherAddress
  | FilledAddress
  | string
  | Uint8Array
  | URL;

/** Families by name. */
export type DomainName = 'unix' | 'inet' | 'inet6';

/** Types of sockets by name. */
export type TypeName = 'stream' | 'dgram' | 'seqpacket';

/** What calls fill in: members of one family. */
export interface FilledAddress {
  /** AF_UNIX: then it is the address of a Unix socket. */
  sun_family?: number;
  /** A Buffer where the name is not UTF-8. */
  sun_path?: string | Buffer;
  /** AF_INET: then it is an IPv4 address. */
  sin_family?: number;
  /** As in {@link InetAddress}. */
  sin_port?: number;
  /** As in {@link InetAddress}. */
  sin_addr?: string;
  /** AF_INET6: then it is an IPv6 address. */
  sin6_family?: number;
  /** As in {@link Inet6Address}. */
  sin6_port?: number;
  /** As in {@link Inet6Address}. */
  sin6_flowinfo?: number;
  /** As in {@link Inet6Address}. */
  sin6_addr?: string;
  /** As in {@link Inet6Address}. */
  sin6_scope_id?: number;
  /** The number of another family. */
  sa_family?: number;
  /** As in {@link OtherAddress}. */
  sa_data?: Buffer;
}

/** Bytes. A view's own offset and length count. */
export type Memory = ArrayBufferLike | NodeJS.ArrayBufferView;

/** What {@link sendmsg} sends. */
export interface SentMessage {
  /** One after the other. Default: nothing. */
  iov?: Memory | readonly Memory[] | undefined;
  /** At most 253. They stay yours. */
  fds?: readonly Descriptor[] | null | undefined;
  /** What the kernel is to tell the receiver, if it believes it. */
  credentials?: Credentials | undefined;
  /** Where to. */
  address?: Address | undefined;
}

/** Where {@link recvmsg} puts bytes. */
export interface MessageRoom {
  /** Filled one after the other. Default: no room. */
  iov?: Memory | readonly Memory[] | undefined;
  /** Wants the sender's pidfd, if SO_PASSPIDFD is on. Default false: it is closed. */
  pidfd?: boolean | undefined;
}

/** What {@link recvmsg} received. */
export interface ReceivedMessage {
  /** Bytes in the buffers. */
  size: number;
  /** Open and close-on-exec. They are yours to {@link close}. */
  fds: number[];
  /** The sender, if SO_PASSCRED is on. */
  credentials: Credentials | undefined;
  /** The sender's process, if SO_PASSPIDFD is on and it was asked for: a descriptor that is yours to {@link close}. */
  pidfd: number | undefined;
  /** MSG_TRUNC: the message was cut. MSG_CTRUNC: something beside it was lost. MSG_EOR … */
  flags: number;
  /** The sender's, if there is one to tell. */
  address: FilledAddress | undefined;
}

/** What {@link poll} waits for. */
export interface PollEntry {
  /** A negative one is skipped. */
  fd: number;
  /** POLLIN, POLLOUT … */
  events: number;
  /** Set by the call: what happened, 0 if nothing did. */
  revents?: number;
}

/** Makes a socket, socket(2): blocking unless SOCK_NONBLOCK is in `type`, always close-on-exec. */
export function socket(
  domain: number | DomainName,
  type: number | TypeName,
  protocol?: number,
): number;

/** Makes two sockets connected to each other, socketpair(2). Default: AF_UNIX, SOCK_STREAM, 0. */
export function socketpair(
  domain?: number | DomainName,
  type?: number | TypeName,
  protocol?: number,
): [number, number];
/** The same, of this type. */
export function socketpair(type: TypeName): [number, number];

/** Gives a socket a name, bind(2). A socket file that exists is EADDRINUSE, as in C. */
export function bind(sockfd: number, addr: Address): void;

/** Lets connections come, listen(2). Default: SOMAXCONN. */
export function listen(sockfd: number, backlog?: number): void;

/** Takes the next connection, accept(2); `addr` is filled with the peer's address. */
export function accept(sockfd: number, addr?: FilledAddress): number;

/** Connects, connect(2). The family AF_UNSPEC dissolves a datagram socket's connection. */
export function connect(sockfd: number, addr: Address): void;

/**
 * Sends, send(2). `len` in bytes, default: all. `flags` default: 0; MSG_NOSIGNAL is always set.
 *
 * @returns how many bytes were sent
 */
export function send(sockfd: number, buf: Memory, len?: number, flags?: number): number;

/** Sends to an address, sendto(2). As {@link send} without one. */
export function sendto(
  sockfd: number,
  buf: Memory,
  len?: number,
  flags?: number,
  dest_addr?: Address,
): number;

/**
 * Receives, recv(2). `len`: room in bytes, default: all. `flags` default: 0.
 *
 * @returns how many bytes came; 0 at the end of a stream
 */
export function recv(sockfd: number, buf: Memory, len?: number, flags?: number): number;

/** Receives, and fills `src_addr` with the sender's address, recvfrom(2). */
export function recvfrom(
  sockfd: number,
  buf: Memory,
  len?: number,
  flags?: number,
  src_addr?: FilledAddress,
): number;

/**
 * Sends out of several buffers, with descriptors, credentials and an address, sendmsg(2).
 *
 * @returns how many bytes were sent
 */
export function sendmsg(sockfd: number, message: SentMessage, flags?: number): number;

/** Receives into several buffers, with all that comes beside the bytes, recvmsg(2). */
export function recvmsg(sockfd: number, message: MessageRoom, flags?: number): ReceivedMessage;

/** Closes a descriptor, close(2). EBUSY if an open socket of this package owns it: close that. */
export function close(fd: number): void;

/** Makes another close-on-exec descriptor of the same open file. */
export function dup(fd: number): number;

/**
 * Asks for, or sets, the flags of a descriptor or of its open file, fcntl(2): F_GETFD, F_SETFD, F_GETFL,
 * F_SETFL, F_DUPFD_CLOEXEC; on Linux F_ADD_SEALS and F_GET_SEALS, too.
 */
export function fcntl(fd: number, cmd: number, arg?: number): number;

/** Options of {@link pipe}. */
export interface PipeOptions {
  /** Neither end blocks. Default false. */
  nonblocking?: boolean | undefined;
}

/** Makes a pipe, pipe(2): the end to read from and the end to write to, both close-on-exec. */
export function pipe(options?: PipeOptions): [number, number];

/** Ends one or both directions of a connection, shutdown(2): SHUT_RD, SHUT_WR, SHUT_RDWR. */
export function shutdown(sockfd: number, how: number): void;

/** Asks for an option that is an int, getsockopt(2). */
export function getsockopt(sockfd: number, level: number, optname: number): number;
/** Asks for any option: `optval` is its size in bytes, or where to put it. */
export function getsockopt(
  sockfd: number,
  level: number,
  optname: number,
  optval: number | Memory,
): Buffer;

/** Sets an option, setsockopt(2): an int, or the bytes of any other. */
export function setsockopt(
  sockfd: number,
  level: number,
  optname: number,
  optval: number | Memory,
): void;

/** A socket's own name, getsockname(2), in `addr` or a new object. */
export function getsockname(sockfd: number, addr?: FilledAddress): FilledAddress;

/** The name of a socket's peer, getpeername(2), in `addr` or a new object. */
export function getpeername(sockfd: number, addr?: FilledAddress): FilledAddress;

/**
 * Waits until one of the descriptors is ready, poll(2), for `timeout` milliseconds; -1, the default,
 * for ever.
 *
 * @returns for how many something happened; 0 when the time is over
 */
export function poll(fds: readonly PollEntry[], timeout?: number): number;

// Constants, with the system's values; undefined where it has none. See socket(2), socket(7), ip(7),
// ipv6(7), tcp(7), udp(7), poll(2), fcntl(2).

export const AF_UNIX: number;
export const AF_LOCAL: number;
export const AF_INET: number;
export const AF_INET6: number;
export const AF_UNSPEC: number;
export const SOCK_STREAM: number;
export const SOCK_DGRAM: number;
export const SOCK_SEQPACKET: number;
export const SOCK_RAW: number;
export const SHUT_RD: number;
export const SHUT_WR: number;
export const SHUT_RDWR: number;
export const SOMAXCONN: number;
export const MSG_DONTROUTE: number;
export const MSG_DONTWAIT: number;
export const MSG_EOR: number;
export const MSG_NOSIGNAL: number;
export const MSG_OOB: number;
export const MSG_PEEK: number;
export const MSG_TRUNC: number;
export const MSG_WAITALL: number;
export const MSG_CTRUNC: number;
export const SOL_SOCKET: number;
export const SO_ACCEPTCONN: number;
export const SO_BROADCAST: number;
export const SO_DEBUG: number;
export const SO_ERROR: number;
export const SO_DONTROUTE: number;
export const SO_KEEPALIVE: number;
export const SO_LINGER: number;
export const SO_OOBINLINE: number;
export const SO_RCVBUF: number;
export const SO_RCVLOWAT: number;
export const SO_SNDLOWAT: number;
export const SO_RCVTIMEO: number;
export const SO_SNDTIMEO: number;
export const SO_REUSEADDR: number;
export const SO_REUSEPORT: number;
export const SO_SNDBUF: number;
export const SO_TIMESTAMP: number;
export const SO_TYPE: number;
export const IPPROTO_IP: number;
export const IPPROTO_IPV6: number;
export const IPPROTO_TCP: number;
export const IPPROTO_UDP: number;
export const IP_ADD_MEMBERSHIP: number;
export const IP_ADD_SOURCE_MEMBERSHIP: number;
export const IP_BLOCK_SOURCE: number;
export const IP_DROP_MEMBERSHIP: number;
export const IP_DROP_SOURCE_MEMBERSHIP: number;
export const IP_HDRINCL: number;
export const IP_MULTICAST_IF: number;
export const IP_MULTICAST_LOOP: number;
export const IP_MULTICAST_TTL: number;
export const IP_PKTINFO: number;
export const IP_RECVTOS: number;
export const IP_RECVTTL: number;
export const IP_TOS: number;
export const IP_TTL: number;
export const IP_UNBLOCK_SOURCE: number;
export const IPV6_MULTICAST_HOPS: number;
export const IPV6_MULTICAST_IF: number;
export const IPV6_MULTICAST_LOOP: number;
export const IPV6_RECVPKTINFO: number;
export const IPV6_HOPLIMIT: number;
export const IPV6_V6ONLY: number;
export const IPV6_UNICAST_HOPS: number;
export const IPV6_TCLASS: number;
export const TCP_KEEPCNT: number;
export const TCP_KEEPINTVL: number;
export const TCP_MAXSEG: number;
export const TCP_NODELAY: number;
export const TCP_FASTOPEN: number;
export const POLLIN: number;
export const POLLPRI: number;
export const POLLOUT: number;
export const POLLERR: number;
export const POLLHUP: number;
export const POLLNVAL: number;
export const F_GETFD: number;
export const F_SETFD: number;
export const F_GETFL: number;
export const F_SETFL: number;
export const F_DUPFD_CLOEXEC: number;
export const FD_CLOEXEC: number;
export const O_RDONLY: number;
export const O_WRONLY: number;
export const O_RDWR: number;
export const O_ACCMODE: number;
export const O_APPEND: number;
export const O_NONBLOCK: number;

// Linux.
export const SOCK_CLOEXEC: number;
export const SOCK_NONBLOCK: number;
export const MSG_CONFIRM: number;
export const MSG_MORE: number;
export const MSG_CMSG_CLOEXEC: number;
export const MSG_ERRQUEUE: number;
export const MSG_FASTOPEN: number;
export const SO_ATTACH_FILTER: number;
export const SO_ATTACH_REUSEPORT_CBPF: number;
export const SO_ATTACH_REUSEPORT_EBPF: number;
export const SO_BINDTODEVICE: number;
export const SO_BSDCOMPAT: number;
export const SO_DETACH_FILTER: number;
export const SO_DOMAIN: number;
export const SO_INCOMING_CPU: number;
export const SO_LOCK_FILTER: number;
export const SO_MARK: number;
export const SO_PASSCRED: number;
export const SO_PEEK_OFF: number;
export const SO_PEERCRED: number;
export const SO_PRIORITY: number;
export const SO_PROTOCOL: number;
export const SO_RCVBUFFORCE: number;
export const SO_RXQ_OVFL: number;
export const SO_SNDBUFFORCE: number;
export const SO_BUSY_POLL: number;
export const SO_PASSSEC: number;
export const SO_TIMESTAMPNS: number;
export const SO_COOKIE: number;
export const SO_ZEROCOPY: number;
export const IP_BIND_ADDRESS_NO_PORT: number;
export const IP_FREEBIND: number;
export const IP_MSFILTER: number;
export const IP_MTU: number;
export const IP_MTU_DISCOVER: number;
export const IP_MULTICAST_ALL: number;
export const IP_NODEFRAG: number;
export const IP_OPTIONS: number;
export const IP_RECVERR: number;
export const IP_RECVOPTS: number;
export const IP_RECVORIGDSTADDR: number;
export const IP_RETOPTS: number;
export const IP_ROUTER_ALERT: number;
export const IP_TRANSPARENT: number;
export const IPV6_ADDRFORM: number;
export const IPV6_ADD_MEMBERSHIP: number;
export const IPV6_DROP_MEMBERSHIP: number;
export const IPV6_MTU: number;
export const IPV6_MTU_DISCOVER: number;
export const IPV6_RTHDR: number;
export const IPV6_AUTHHDR: number;
export const IPV6_DSTOPTS: number;
export const IPV6_HOPOPTS: number;
export const TCP_CORK: number;
export const TCP_DEFER_ACCEPT: number;
export const TCP_INFO: number;
export const TCP_KEEPIDLE: number;
export const TCP_LINGER2: number;
export const TCP_QUICKACK: number;
export const TCP_SYNCNT: number;
export const TCP_WINDOW_CLAMP: number;
export const TCP_CONGESTION: number;
export const TCP_USER_TIMEOUT: number;
export const UDP_CORK: number;
export const POLLRDHUP: number;
export const SO_PASSPIDFD: number;
export const SO_PEERPIDFD: number;
export const AF_NETLINK: number;
export const AF_VSOCK: number;
export const F_ADD_SEALS: number;
export const F_GET_SEALS: number;
export const F_SEAL_SEAL: number;
export const F_SEAL_SHRINK: number;
export const F_SEAL_GROW: number;
export const F_SEAL_WRITE: number;
export const F_SEAL_FUTURE_WRITE: number;

// macOS.
export const SOL_LOCAL: number;
export const SO_NOSIGPIPE: number;
export const LOCAL_PEERCRED: number;
export const LOCAL_PEERPID: number;
export const TCP_KEEPALIVE: number;
