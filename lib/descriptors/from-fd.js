// Owns: making the object that fits a descriptor.
'use strict';

const dgram = require('dgram');
const fs = require('fs');
const net = require('net');
const tty = require('tty');
const { describeFd } = require('./describe');
const { DgramSocket } = require('../sockets/dgram');
const { codedError } = require('../util/errors');
const { descriptorOf } = require('../native/fds');
const { SeqpacketServer, SeqpacketSocket } = require('../sockets/seqpacket');
const { UServer } = require('../sockets/userver');
const { USocket } = require('../sockets/usocket');
const check = require('../util/validate');

const { O_RDONLY, O_WRONLY } = fs.constants;

/**
 * The object that fits a descriptor, usually one that another process passed. It owns the
 * descriptor from here on; on an exception the caller still does.
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
 * A server listens already: add a `'connection'` listener in the same turn.
 *
 * @param {number | object} fd - or an object that holds one
 * @param {object} [options] - for the object's constructor
 * @throws {TypeError} ERR_INVALID_ARG_TYPE; ERR_AFUNIX_FD_TYPE: nothing fits
 * @throws {Error} EBADF
 */
function fromFd(fd, options) {
  const number = descriptorOf(fd);
  const rest = check.optionsObject(options);
  const { type, listening, access, ipv6 } = describeFd(number);
  const make = makers[type];
  if (make === undefined) {
    const message = `No object fits descriptor ${number}: its type is '${type}'`;
    throw codedError(TypeError, 'ERR_AFUNIX_FD_TYPE', message);
  }
  return make(number, rest, { listening, access, ipv6 });
}

const stream = (fd, options, { access }) =>
  access === O_WRONLY
    ? fs.createWriteStream(null, { ...options, fd })
    : fs.createReadStream(null, { ...options, fd });

const makers = {
  'unix-stream': (fd, options, { listening }) =>
    listening ? new UServer(options).listen({ fd }) : new USocket({ ...options, fd }),
  'unix-seqpacket': (fd, options, { listening }) =>
    listening
      ? new SeqpacketServer(options).listen({ fd })
      : new SeqpacketSocket({ ...options, fd }),
  'unix-dgram': (fd, options) => new DgramSocket({ ...options, fd }),
  tcp: (fd, options, { listening }) =>
    listening
      ? net.createServer(options).listen({ fd })
      : new net.Socket({ readable: true, writable: true, ...options, fd }),
  udp: (fd, options, { ipv6 }) =>
    dgram.createSocket({ type: ipv6 ? 'udp6' : 'udp4', ...options }).bind({ fd }),
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
};

module.exports = { fromFd };
