// Owns: sockets that share a port (SO_REUSEPORT), and closing one of them without a loss.
'use strict';

const { Buffer } = require('buffer');
const fs = require('fs');
const net = require('net');
const { performance } = require('perf_hooks');
const { setImmediate, setTimeout } = require('timers');
const binding = require('../native/binding');
const { codedError, invalidType, invalidValue, show, systemError } = require('../util/errors');
const check = require('../util/validate');
const { demand } = require('../native/results');
const { descriptorOf } = require('../native/fds');

const MAX_GRACE = 60_000;
/** Milliseconds; below the second after which clients try again. */
const DEFAULT_GRACE = 500;
const LOOK_EVERY = 10; // milliseconds

/**
 * Makes a socket that is bound to a port which others may be bound to as well, in this process and
 * in others of the same user: the kernel deals connections to all that listen (SO_REUSEPORT).
 * For `net.Server.listen({ fd })`, or with `type: 'udp'` for `dgram.Socket.bind({ fd })`. It is
 * nonblocking and close-on-exec, and yours until it is handed to one of these.
 *
 * @param {number | string} [port] - default 0: the system chooses one
 * @param {string} [host] - an IP address, default '0.0.0.0'; '::' takes IPv4 as well, as in `net`
 * @param {object} [options]
 * @param {'tcp' | 'udp'} [options.type] - default 'tcp'
 * @param {boolean} [options.ipv6Only] - an IPv6 socket takes no IPv4; default false
 * @throws {RangeError} ERR_SOCKET_BAD_PORT
 * @throws {TypeError} ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_INVALID_IP_ADDRESS
 * @throws {Error} EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE
 * @returns {number}
 */
function createReuseportFd(port = 0, host = '0.0.0.0', options = undefined) {
  const number = portNumber(port);
  check.string(host, 'host');
  const { type = 'tcp', ipv6Only } = check.optionsObject(options);
  if (type !== 'tcp' && type !== 'udp') {
    throw invalidValue('options.type', type, "must be 'tcp' or 'udp'");
  }
  const onlyV6 = check.optionalBoolean(ipv6Only, 'options.ipv6Only', false);
  if (net.isIP(host) === 0) {
    const message = `Invalid IP address: ${host}`;
    throw codedError(TypeError, 'ERR_INVALID_IP_ADDRESS', message);
  }
  const socketType = type === 'tcp' ? binding.SOCK_STREAM : binding.SOCK_DGRAM;
  const made = binding.reuseport(socketType, Buffer.from(host), number, +onlyV6);
  return demand(made, undefined, undefined, (errno, syscall) =>
    Object.assign(systemError(errno, syscall), { address: host, port: number }),
  );
}

/** A port as `net` takes it: a number from 0 to 65535, or that in digits. */
function portNumber(port) {
  const isText = typeof port === 'string' && port.trim() !== '';
  const number = typeof port === 'number' || isText ? Number(port) : NaN;
  if (Number.isInteger(number) && number >= 0 && number <= 65535) return number;
  const message = `port should be >= 0 and < 65536. Received ${show(port)}.`;
  throw codedError(RangeError, 'ERR_SOCKET_BAD_PORT', message);
}

/**
 * Closes a TCP server that shares its port without resetting the connections that wait in its queue:
 * ignores new ones, accepts all that there are, then calls `server.close()`. Clients that it ignored
 * try again a second later, by themselves, and reach another server of the port. Where
 * `net.ipv4.tcp_migrate_req` is set, the kernel hands waiting connections to the others: then new
 * ones are not ignored, and nobody waits.
 *
 * Elsewhere than on Linux it only closes the server.
 *
 * @param {net.Server} server - one that listens, on a descriptor of its own
 * @param {object} [options]
 * @param {number} [options.grace] - milliseconds for handshakes that have begun, more than a round
 *   trip to clients takes; default 500
 * @throws {TypeError | RangeError} ERR_INVALID_ARG_TYPE (a server that does not listen, too),
 *   ERR_OUT_OF_RANGE
 * @returns {Promise<void>} resolved once the server does not listen any more; its `'close'` follows
 *   when its connections have ended. Rejected for a socket that is not TCP, which stays open.
 */
function drainServer(server, options = undefined) {
  if (!(server instanceof net.Server)) {
    throw invalidType('server', 'an instance of net.Server', server);
  }
  const { grace = DEFAULT_GRACE } = check.optionsObject(options);
  check.integer(grace, 'options.grace', 0, MAX_GRACE);
  return drain(server, descriptorOf(server, 'server'), grace);
}

async function drain(server, fd, grace) {
  const handle = server._handle;
  if (process.platform === 'linux') {
    // Asked first, since it shows whether this is TCP.
    demand(binding.waitingConnections(fd));
    const migrates = kernelMigrates();
    if (!migrates) demand(binding.ignoreNewConnections(fd));
    const isOpen = () => server._handle === handle;
    await emptied(isOpen, fd, grace, migrates);
  }
  // Not if other code closed it, and perhaps listens again.
  if (server._handle === handle) server.close();
}

/** Whether the kernel hands a closed listener's connections to others of its port. */
function kernelMigrates() {
  try {
    return fs.readFileSync('/proc/sys/net/ipv4/tcp_migrate_req', 'latin1').trim() === '1';
  } catch {
    return false; // Linux before 5.14, or no /proc.
  }
}

/**
 * Waits until nothing waits in the queue: for all of the time of grace if the queue can only become
 * shorter, and no longer than that if new connections still come.
 */
async function emptied(isOpen, fd, grace, takesNewOnes) {
  const end = performance.now() + grace;
  for (;;) {
    // After this phase of the loop, `net` has just accepted what there was.
    await new Promise((resolve) => setImmediate(resolve));
    // Closed by other code, the number may be another's by now.
    if (!isOpen()) return;
    const isEmpty = demand(binding.waitingConnections(fd)) === 0;
    const isOver = performance.now() >= end;
    if (takesNewOnes ? isEmpty || isOver : isEmpty && isOver) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
}

module.exports = { createReuseportFd, drainServer };
