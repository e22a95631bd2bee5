// Owns: making the object that fits a descriptor.
'use strict';

const { EEXIST } = require('os').constants.errno;
const dgram = require('dgram');
const fs = require('fs');
const net = require('net');
const tty = require('tty');
const { describeFd } = require('./describe');
const { DgramSocket } = require('../sockets/dgram');
const { dup } = require('./duplicate');
const { codedError, systemError } = require('../util/errors');
const { closeFd, descriptorOf } = require('../native/fds');
const { SeqpacketServer, SeqpacketSocket } = require('../sockets/seqpacket');
const { listen } = require('../sockets/listen');
const { UServer } = require('../sockets/userver');
const { USocket } = require('../sockets/usocket');
const check = require('../util/validate');

const { O_RDONLY, O_WRONLY } = fs.constants;

/**
 * The object that fits a descriptor, usually one that another process passed. It owns the
 * descriptor from here on; on an exception the caller still does.
 *
 * A FileHandle is given up to it, too: it is closed with the stream that is made of it, and at once where
 * something else is made. Other objects keep their descriptor: of one, pass `dup(object)`.
 *
 * | `fdType(fd)`       | listening         | otherwise                                         |
 * | ------------------ | ----------------- | ------------------------------------------------- |
 * | `'unix-stream'`    | `UServer`         | `USocket`                                         |
 * | `'unix-seqpacket'` | `SeqpacketServer` | `SeqpacketSocket`                                 |
 * | `'unix-dgram'`     |                   | `DgramSocket`                                     |
 * | `'tcp'`            | `net.Server`      | `net.Socket`                                      |
 * | `'udp'`            |                   | `dgram.Socket`                                    |
 * | `'pipe'`           |                   | `net.Socket`, readable or writable as it was made |
 * | `'tty'`            |                   | `tty.ReadStream`, or `tty.WriteStream`            |
 * | file, device       |                   | `fs.ReadStream`; `fs.WriteStream` if write-only   |
 *
 * A net.Server accepts at once: add a `'connection'` listener in the same turn.
 *
 * @param {number | { fd: number } | FileHandle} fd - as `listenFds()` returns them, too
 * @param {object} [options] - for the object's constructor
 * @throws {TypeError} ERR_INVALID_ARG_TYPE; ERR_AFUNIX_FD_TYPE: nothing fits
 * @throws {Error} EBADF; EEXIST: an open object has it
 */
function fromFd(fd, options) {
  const number = descriptorOf(fd);
  // Before anything has the descriptor: net looks at it afterwards.
  const rest = check.optionsObject(options);
  check.optionalSignal(rest.signal);
  const { type, ...found } = describeFd(number);
  const make = makers.get(type);
  if (make === undefined) {
    const message = `No object fits descriptor ${number}: its type is '${type}'`;
    throw codedError(TypeError, 'ERR_AFUNIX_FD_TYPE', message);
  }
  if (isFileHandle(fd)) return ofFileHandle(fd, make, rest, found);
  if (!isPlain(fd)) throw systemError(-EEXIST, 'adopt');
  return make(number, rest, found);
}

/** FileHandle is a class that Node does not show. */
function isFileHandle(holder) {
  return typeof holder.createReadStream === 'function' && typeof holder.close === 'function';
}

/** Whether a number, or an object that only names one, as those of listenFds(): nobody else owns it. */
function isPlain(holder) {
  if (typeof holder === 'number') return true;
  const prototype = Object.getPrototypeOf(holder);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function ofFileHandle(handle, make, options, found) {
  // The stream takes it over, and closes it.
  if (make === stream) return stream(handle, options, found);
  const fd = dup(handle);
  let made;
  try {
    made = make(fd, options, found);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  // Its end is of no consequence: the object has a descriptor of its own.
  handle.close().catch(() => {});
  return made;
}

/** Options and the descriptor, and nothing of Object.prototype. */
function withFd(options, fd) {
  return Object.assign(Object.create(null), options, { fd });
}

const stream = (fd, options, { access }) =>
  access === O_WRONLY
    ? fs.createWriteStream(null, withFd(options, fd))
    : fs.createReadStream(null, withFd(options, fd));

/** Throws what UServer.listen() would emit as an event. */
function adopted(server, fd) {
  listen(server, { fd });
  return server;
}

/** net emits failures as an event, to nobody yet: the caller has no object until fromFd() returns. */
function listeningServer(fd, options) {
  const server = net.createServer(options);
  // Exclusive: in a worker of a cluster, net would ask the primary, which does not have it.
  server.listen({ fd, exclusive: true });
  if (server.listening) return server;
  server.on('error', () => {});
  throw systemError(-EEXIST, 'listen');
}

function boundSocket(fd, options, { ipv6 }) {
  const socket = dgram.createSocket({ type: ipv6 ? 'udp6' : 'udp4', ...options });
  try {
    return socket.bind({ fd, exclusive: true });
  } catch (error) {
    socket.close();
    throw error;
  }
}

const makers = new Map(
  Object.entries({
    'unix-stream': (fd, options, { listening }) =>
      listening ? adopted(new UServer(options), fd) : new USocket(withFd(options, fd)),
    'unix-seqpacket': (fd, options, { listening }) =>
      listening
        ? adopted(new SeqpacketServer(options), fd)
        : new SeqpacketSocket(withFd(options, fd)),
    'unix-dgram': (fd, options) => new DgramSocket(withFd(options, fd)),
    tcp: (fd, options, { listening }) =>
      listening
        ? listeningServer(fd, options)
        : new net.Socket({ readable: true, writable: true, ...options, fd }),
    udp: boundSocket,
    pipe: (fd, options, { access }) =>
      new net.Socket({
        readable: access !== O_WRONLY,
        writable: access !== O_RDONLY,
        ...options,
        fd,
      }),
    tty: (fd, _options, { access }) =>
      access === O_WRONLY ? new tty.WriteStream(fd) : new tty.ReadStream(fd),
    file: stream,
    'character-device': stream,
    'block-device': stream,
  }),
);

module.exports = { fromFd };
