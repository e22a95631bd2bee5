// Owns: the synchronous socket calls, `afunix/posix`: arguments checked, Errors made.
// The calls that move bytes go to native code at once; arguments that it finds odd are looked at
// afterwards, in slowly(), because looking costs more than calling.
'use strict';

const { Buffer } = require('buffer');
const binding = require('../native/binding');
const { invalidType, systemError } = require('../util/errors');
const { descriptorsOf } = require('../native/fds');
const { demand } = require('../native/results');
const { membersOf } = require('../util/options');
const { MAX_INT, integer, isOptions, optionalBoolean } = require('../util/validate');
const { MIN_INT, int, isInt, native } = require('./checks');
const { close, dup, fcntl, pipe, poll } = require('./descriptors');
const { checkLength, checkVectors, lengthOf, measured, memoryOf, vectorsOf } = require('./memory');
const { domainOf, typeOf } = require('./names');
const {
  SocketAddresses,
  addressError,
  checkFillable,
  checkObject,
  fillAddress,
} = require('./sockaddr');

const { ODD, SLOT, constants } = native;
// On their own: V8 looks them up in `native` anew for each call.
const { send: sendNow, sendto: sendToNow, recv: receiveNow, recvfrom: receiveFromNow } = native;
/** Without flags, as most calls are: each argument that crosses costs. */
const { sendPlain, recvPlain: receivePlain } = native;
const { isView } = ArrayBuffer;

const MAX_UINT = 2 ** 32 - 1;
/** More than any option has. */
const MAX_OPTION = 1 << 20;
/** The most that one call moves on Linux; fits in an int everywhere. */
const MAX_TRANSFER = 0x7ffff000;

const addresses = new SocketAddresses(SLOT, constants);
const { slot } = addresses;
/** For options that are numbers. */
const word = new Int32Array(1);
const wordBytes = new Uint8Array(word.buffer);
/** What messages have. */
const PARTS = ['iov', 'fds', 'credentials', 'address', 'pidfd'];
/** What credentials have. */
const IDS = ['pid', 'uid', 'gid'];
/** Stands for an empty buffer: native code takes one of those for a detached one. */
const NOTHING = new Uint8Array(1);

/**
 * Makes a socket, socket(2). It blocks, unless the type has SOCK_NONBLOCK; programs that the process
 * starts do not inherit it.
 *
 * @param {number | 'unix' | 'inet' | 'inet6'} domain - AF_UNIX, AF_INET, AF_INET6 …
 * @param {number | 'stream' | 'dgram' | 'seqpacket'} type - SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET …
 * @param {number} [protocol] - default: 0
 * @throws {Error} EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EMFILE, ENFILE, EPERM
 * @returns {number} its descriptor
 */
function socket(domain, type, protocol = 0) {
  const [family, kind] = [domainOf(domain), typeOf(type)];
  return demand(native.socket(family, kind, int(protocol, 'protocol')), 'socket');
}

/**
 * Makes two sockets connected to each other, socketpair(2).
 *
 * @param {number | 'unix'} [domain] - default: AF_UNIX. It may be left out before a type's name
 * @param {number | 'stream' | 'dgram' | 'seqpacket'} [type] - default: SOCK_STREAM
 * @param {number} [protocol] - default: 0
 * @throws {Error} ENOTSUP, EMFILE, ENFILE
 * @returns {[number, number]}
 */
function socketpair(domain = constants.AF_UNIX, type = constants.SOCK_STREAM, protocol = 0) {
  const isType = arguments.length === 1 && ['stream', 'dgram', 'seqpacket'].includes(domain);
  if (isType) [domain, type] = [constants.AF_UNIX, domain];
  const [family, kind] = [domainOf(domain), typeOf(type)];
  return demand(native.socketpair(family, kind, int(protocol, 'protocol')), 'socketpair');
}

/**
 * Gives a socket a name, bind(2). As in C, a socket file that exists is EADDRINUSE, and close()
 * leaves it.
 *
 * @param {number} sockfd
 * @param {object | string | Buffer | URL} addr - an address, or the path or abstract name of a Unix socket
 * @throws {Error} EADDRINUSE, EACCES, EINVAL, ENAMETOOLONG, ENOENT
 */
function bind(sockfd, addr) {
  int(sockfd, 'sockfd');
  addresses.write(addr, 'addr');
  demand(native.bind(sockfd, slot), 'bind', addr, addressError);
}

/**
 * Lets connections come, listen(2).
 *
 * @param {number} sockfd
 * @param {number} [backlog] - how many may wait to be accepted; default: SOMAXCONN
 * @throws {Error} EADDRINUSE, ENOTSUP
 */
function listen(sockfd, backlog = constants.SOMAXCONN) {
  int(sockfd, 'sockfd');
  int(backlog, 'backlog');
  demand(native.listen(sockfd, backlog), 'listen');
}

/**
 * Takes the next connection, accept(2); waits for it.
 *
 * @param {number} sockfd
 * @param {object} [addr] - is filled with the peer's address
 * @throws {Error} EAGAIN (nonblocking, or SO_RCVTIMEO has passed), ECONNABORTED, EINVAL, EMFILE, ENFILE
 * @returns {number} the connection's descriptor; it blocks, whatever `sockfd` does
 */
function accept(sockfd, addr) {
  int(sockfd, 'sockfd');
  if (addr === undefined) return demand(native.accept(sockfd), 'accept');
  checkFillable(addr, 'addr');
  const accepted = demand(native.accept(sockfd, slot), 'accept');
  try {
    fillAddress(addr, addresses.read());
  } catch (error) {
    // A setter that throws: nobody else knows of the descriptor.
    binding.closeFd(accepted);
    throw error;
  }
  return accepted;
}

/**
 * Connects, connect(2); waits until that is done. An address of the family AF_UNSPEC dissolves a
 * datagram socket's connection.
 *
 * @param {number} sockfd
 * @param {object | string | Buffer | URL} addr - an address, or the path or abstract name of a Unix socket
 * @throws {Error} ECONNREFUSED, ENOENT, EACCES, EAGAIN, EINPROGRESS, EISCONN, ENAMETOOLONG,
 *   EPROTOTYPE, ETIMEDOUT
 */
function connect(sockfd, addr) {
  int(sockfd, 'sockfd');
  addresses.write(addr, 'addr');
  demand(native.connect(sockfd, slot), 'connect', addr, addressError);
}

/**
 * Sends, send(2); waits for room. MSG_NOSIGNAL is always set.
 *
 * @param {number} sockfd
 * @param {ArrayBuffer | SharedArrayBuffer | ArrayBufferView} buf
 * @param {number} [len] - in bytes, from the buffer's or view's start; default: all of it
 * @param {number} [flags] - MSG_DONTWAIT, MSG_MORE …; default: 0
 * @throws {RangeError} ERR_BUFFER_OUT_OF_BOUNDS
 * @throws {Error} EAGAIN, ECONNREFUSED, ECONNRESET, EMSGSIZE, ENOBUFS, ENOTCONN, EPIPE
 * @returns {number} how many bytes were sent
 */
function send(sockfd, buf, len = lengthOf(buf), flags = 0) {
  let sent = ODD;
  if (isInt(sockfd) && isInt(len) && isInt(flags)) {
    sent = flags === 0 ? sendPlain(sockfd, buf, len) : sendNow(sockfd, buf, len, flags);
  }
  return sent >= 0 ? sent : demand(slowly('send', sent, sockfd, buf, len, flags), 'send');
}

/**
 * Sends to an address, sendto(2); waits for room. Without an address it is send().
 *
 * @param {number} sockfd
 * @param {ArrayBuffer | SharedArrayBuffer | ArrayBufferView} buf
 * @param {number} [len] - in bytes; default: all of it
 * @param {number} [flags] - default: 0
 * @param {object | string | Buffer | URL} [dest_addr]
 * @throws {RangeError} ERR_BUFFER_OUT_OF_BOUNDS
 * @throws {Error} as send(), bind() and connect()
 * @returns {number} how many bytes were sent
 */
function sendto(sockfd, buf, len = lengthOf(buf), flags = 0, dest_addr = undefined) {
  if (dest_addr === undefined) return send(sockfd, buf, len, flags);
  addresses.write(dest_addr, 'dest_addr');
  const sent =
    isInt(sockfd) && isInt(len) && isInt(flags) ? sendToNow(sockfd, buf, len, flags, slot) : ODD;
  if (sent >= 0) return sent;
  // The slot still has the address: slowly() runs no code that could write another one.
  return demand(slowly('sendto', sent, sockfd, buf, len, flags), 'sendto', dest_addr, addressError);
}

/**
 * Receives, recv(2); waits for something to come.
 *
 * @param {number} sockfd
 * @param {ArrayBuffer | SharedArrayBuffer | ArrayBufferView} buf
 * @param {number} [len] - room in bytes, from the buffer's or view's start; default: all of it
 * @param {number} [flags] - MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL …; default: 0
 * @throws {RangeError} ERR_BUFFER_OUT_OF_BOUNDS
 * @throws {Error} EAGAIN (nonblocking, or SO_RCVTIMEO has passed), ECONNREFUSED, ECONNRESET, ENOTCONN
 * @returns {number} how many bytes came; 0 at the end of a stream. With MSG_TRUNC a datagram's own
 *   length, which may be more than `len`
 */
function recv(sockfd, buf, len = lengthOf(buf), flags = 0) {
  let received = ODD;
  if (isInt(sockfd) && isInt(len) && isInt(flags)) {
    received = flags === 0 ? receivePlain(sockfd, buf, len) : receiveNow(sockfd, buf, len, flags);
  }
  return received >= 0
    ? received
    : demand(slowly('recv', received, sockfd, buf, len, flags), 'recv');
}

/**
 * Receives, and reports from whom, recvfrom(2).
 *
 * @param {number} sockfd
 * @param {ArrayBuffer | SharedArrayBuffer | ArrayBufferView} buf
 * @param {number} [len] - room in bytes; default: all of it
 * @param {number} [flags] - default: 0
 * @param {object} [src_addr] - is filled with the sender's address; left alone if there is none to
 *   report, as with TCP
 * @throws {RangeError} ERR_BUFFER_OUT_OF_BOUNDS
 * @throws {Error} as recv()
 * @returns {number} as recv()
 */
function recvfrom(sockfd, buf, len = lengthOf(buf), flags = 0, src_addr = undefined) {
  if (src_addr === undefined) return recv(sockfd, buf, len, flags);
  checkFillable(src_addr, 'src_addr');
  let received =
    isInt(sockfd) && isInt(len) && isInt(flags)
      ? receiveFromNow(sockfd, buf, len, flags, slot)
      : ODD;
  if (received < 0) {
    received = demand(slowly('recvfrom', received, sockfd, buf, len, flags), 'recvfrom');
  }
  fillAddress(src_addr, addresses.read());
  return received;
}

/**
 * Sends out of several buffers, with descriptors, credentials and an address if they are given,
 * sendmsg(2).
 *
 * @param {number} sockfd
 * @param {object} message
 * @param {buffer | buffer[]} [message.iov] - one after the other; default: nothing
 * @param {(number | object)[]} [message.fds] - at most 253 descriptors, or objects that hold one; they
 *   stay yours
 * @param {{ pid, uid, gid }} [message.credentials] - what the kernel is to show the receiver, if it
 *   believes it
 * @param {object | string | Buffer | URL} [message.address] - where to
 * @param {number} [flags] - default: 0
 * @throws {Error} as sendto(); EBADF, ETOOMANYREFS for the descriptors, EPERM for the credentials
 * @returns {number} how many bytes were sent
 */
function sendmsg(sockfd, message, flags = 0) {
  int(sockfd, 'sockfd');
  int(flags, 'flags');
  const { iov, fds, credentials, address } = partsOf(message);
  const memories = vectorsOf(iov, 'message.iov');
  const descriptors = descriptorsOf(fds, 'message.fds');
  const claimed = credentialsOf(credentials);
  if (address !== undefined) addresses.write(address, 'message.address');
  checkVectors(memories, 'message.iov');
  if (address === undefined) {
    const sent = native.sendmsg(sockfd, memories, flags, undefined, descriptors, claimed);
    return demand(sent, 'sendmsg');
  }
  const sent = native.sendmsg(sockfd, memories, flags, slot, descriptors, claimed);
  return demand(sent, 'sendmsg', address, addressError);
}

/**
 * Receives into several buffers, with all that comes with the bytes, recvmsg(2). Received
 * descriptors are open and close-on-exec, and it is up to you to close() them; the pidfd too.
 *
 * @param {number} sockfd
 * @param {object} message
 * @param {buffer | buffer[]} [message.iov] - filled one after the other; default: no room
 * @param {boolean} [message.pidfd] - wants the sender's pidfd, if SO_PASSPIDFD is on; default: it is closed
 * @param {number} [flags] - default: 0
 * @throws {Error} as recv()
 * @returns {{ size: number, fds: number[], credentials: object | undefined,
 *   pidfd: number | undefined, flags: number, address: object | undefined }} `credentials` if SO_PASSCRED is
 *   on, `pidfd` if SO_PASSPIDFD is. `flags`: MSG_TRUNC, the message
 *   was cut; MSG_CTRUNC, descriptors or other things with it were lost; MSG_EOR …
 */
function recvmsg(sockfd, message, flags = 0) {
  int(sockfd, 'sockfd');
  int(flags, 'flags');
  const { iov, pidfd } = partsOf(message);
  const wantsPidfd = +optionalBoolean(pidfd, 'message.pidfd', false);
  const vectors = vectorsOf(iov, 'message.iov');
  const received = native.recvmsg(sockfd, vectors, flags, slot, wantsPidfd);
  if (typeof received === 'number') throw systemError(received, 'recvmsg');
  const sender = received[3];
  return {
    size: received[0],
    fds: received[2],
    credentials: sender && { pid: sender[0], uid: sender[1], gid: sender[2] },
    pidfd: received[4],
    // Linux repeats our own flag there.
    flags: received[1] & ~(constants.MSG_CMSG_CLOEXEC ?? 0),
    address: addresses.read(),
  };
}

/**
 * Ends one or both directions of a connection, shutdown(2).
 *
 * @param {number} sockfd
 * @param {number} how - SHUT_RD, SHUT_WR, SHUT_RDWR
 * @throws {Error} EINVAL, ENOTCONN
 */
function shutdown(sockfd, how) {
  int(sockfd, 'sockfd');
  int(how, 'how');
  demand(native.shutdown(sockfd, how), 'shutdown');
}

/**
 * Asks for an option, getsockopt(2).
 *
 * @param {number} sockfd
 * @param {number} level - SOL_SOCKET, IPPROTO_TCP …
 * @param {number} optname - SO_ERROR, TCP_NODELAY …
 * @param {number | buffer} [optval] - for options that are no int: their size in bytes, or where to
 *   put them
 * @throws {Error} EINVAL, ENOPROTOOPT
 * @returns {number | Buffer} a Buffer of as many bytes as the option has, if `optval` is given; it
 *   shares the memory of the buffer given
 */
function getsockopt(sockfd, level, optname, optval) {
  int(sockfd, 'sockfd');
  int(level, 'level');
  int(optname, 'optname');
  if (optval === undefined) {
    word[0] = 0;
    const length = demand(native.getsockopt(sockfd, level, optname, word), 'getsockopt');
    return length === 1 ? wordBytes[0] : word[0];
  }
  const isSize = typeof optval === 'number';
  const memory = isSize
    ? Buffer.alloc(integer(optval, 'optval', 0, MAX_OPTION))
    : memoryOf(optval, 'optval', 'of type number, ');
  const length = demand(native.getsockopt(sockfd, level, optname, memory), 'getsockopt');
  if (isView(memory)) return Buffer.from(memory.buffer, memory.byteOffset, length);
  return Buffer.from(memory, 0, length);
}

/**
 * Sets an option, setsockopt(2).
 *
 * @param {number} sockfd
 * @param {number} level - SOL_SOCKET, IPPROTO_TCP …
 * @param {number} optname - SO_REUSEADDR, TCP_NODELAY …
 * @param {number | buffer} optval - an int, or the bytes of another kind of option
 * @throws {Error} EDOM, EINVAL, ENOPROTOOPT, EPERM
 */
function setsockopt(sockfd, level, optname, optval) {
  int(sockfd, 'sockfd');
  int(level, 'level');
  int(optname, 'optname');
  let memory = word;
  if (typeof optval === 'number') word[0] = integer(optval, 'optval', MIN_INT, MAX_UINT);
  else memory = memoryOf(optval, 'optval', 'of type number, ');
  demand(native.setsockopt(sockfd, level, optname, memory), 'setsockopt');
}

/**
 * A socket's own name, getsockname(2).
 *
 * @param {number} sockfd
 * @param {object} [addr] - is filled
 * @returns {object} `addr`, or a new address object
 */
function getsockname(sockfd, addr = {}) {
  return nameOf('getsockname', sockfd, addr);
}

/**
 * The name of a socket's peer, getpeername(2).
 *
 * @param {number} sockfd
 * @param {object} [addr] - is filled
 * @throws {Error} ENOTCONN
 * @returns {object} `addr`, or a new address object
 */
function getpeername(sockfd, addr = {}) {
  return nameOf('getpeername', sockfd, addr);
}

/**
 * What a call that moves bytes returned, if that is an errno. Otherwise its arguments were odd: either
 * they are faulty, or this makes the call with what they mean.
 *
 * @throws {TypeError | RangeError}
 */
function slowly(name, status, sockfd, buf, len, flags) {
  if (status !== ODD) return status;
  int(sockfd, 'sockfd');
  const [memory, size] = measured(buf, 'buf');
  checkLength(len, size);
  int(flags, 'flags');
  const bytes = size === 0 ? NOTHING : memory;
  return native[name](sockfd, bytes, Math.min(len, MAX_TRANSFER), flags, slot);
}

/** The members of a message, its own or of its class. */
function partsOf(message) {
  if (!isOptions(message)) throw invalidType('message', 'of type object', message);
  return membersOf(message, PARTS);
}

/** Credentials as native code takes them. */
function credentialsOf(credentials) {
  if (credentials === undefined) return [];
  const { pid, uid, gid } = membersOf(checkObject(credentials, 'message.credentials'), IDS);
  return [
    integer(pid, 'message.credentials.pid', 0, MAX_INT),
    integer(uid, 'message.credentials.uid', 0, MAX_UINT) | 0,
    integer(gid, 'message.credentials.gid', 0, MAX_UINT) | 0,
  ];
}

function nameOf(syscall, sockfd, addr) {
  int(sockfd, 'sockfd');
  checkFillable(addr, 'addr');
  demand(native[syscall](sockfd, slot), syscall);
  fillAddress(addr, addresses.read());
  return addr;
}

module.exports = {
  socket,
  socketpair,
  bind,
  listen,
  accept,
  connect,
  send,
  sendto,
  recv,
  recvfrom,
  sendmsg,
  recvmsg,
  shutdown,
  getsockopt,
  setsockopt,
  getsockname,
  getpeername,
  close,
  dup,
  fcntl,
  pipe,
  poll,
  ...constants,
};
