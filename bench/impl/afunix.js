'use strict';

/**
 * Adapter for this package. Every adapter has the same few functions for a kind of socket:
 *
 * dgram.bind(path, onMessage(message, from)) → { answer(message, to), close() }: a bound socket
 * dgram.connect(path)  → send(message, done): one peer, the best way the package offers for that
 * dgram.fan(paths)     → send(index, message, done): one sender with many destinations
 *
 * seqpacket.listen(path, onConnection(socket), onListening?)
 * seqpacket.connect(path, onConnect()) → socket
 * seqpacket.read(socket, onMessage(message)): until the peer ends, then the socket closes, too
 * seqpacket.write(socket, message, done?), .close(socket)
 *
 * stream.listen, .connect, .read(socket, onBytes(chunk)), .write, .close: as of seqpacket
 * stream.serve(path, httpServer, onListening): gives it the connections
 * stream.writeFd(socket, bytes, fd, done), .readFds(socket, size, onMessage(head), onFd(fd)): messages
 *   of `size` bytes with a descriptor each; where a package cannot, it has neither
 * reuseport.listen(server, port, onListening): net.Server on a port that other processes share
 * reuseport.fork() → ChildProcess: a worker of its own kind, where it takes one
 * posix.answer(path, size, ready): sends everything back, synchronously, until the other side goes
 * posix.connect(path, request, response) → ask(): the size of the answer to the ArrayBuffer `request`
 *
 * `done(error)` comes once a message is with the kernel, inside the call or later. Where a package
 * leaves a full destination to its user, the adapter does what its documentation says, so that
 * every message arrives.
 */

const { version } = require('../../package.json');
const {
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  closeFd,
  createReuseportFd,
} = require('../../lib');
const { posixAdapter } = require('../lib/posix');
const { cutter } = require('../lib/sequence');

const dgram = {
  bind(path, onMessage) {
    const socket = new DgramSocket();
    socket.on('data', onMessage);
    socket.bind(path);
    return {
      answer: (message, to) => socket.sendTo(message, 0, message.length, to),
      close: () => socket.close(),
    };
  },

  connect(path) {
    const socket = new DgramSocket();
    socket.connect(path);
    return (message, done) => socket.send(message, done);
  },

  fan(paths) {
    const socket = new DgramSocket();
    return (index, message, done) => socket.sendTo(message, 0, message.length, paths[index], done);
  },
};

const seqpacket = {
  listen(path, onConnection, onListening) {
    const server = new SeqpacketServer();
    server.on('connection', onConnection);
    server.listen(path, onListening);
  },

  connect(path, onConnect) {
    const socket = new SeqpacketSocket();
    socket.connect(path, onConnect);
    return socket;
  },

  read: (socket, onMessage) => socket.on('data', onMessage),
  write: (socket, message, done) => socket.write(message, done),
  close: (socket) => socket.destroy(),
};

const stream = {
  listen(path, onConnection, onListening) {
    new UServer(onConnection).listen(path, onListening);
  },

  connect: (path, onConnect) => new USocket(path, onConnect),
  read: (socket, onBytes) => socket.on('data', onBytes),
  write: (socket, bytes, done) => socket.write(bytes, done),
  close: (socket) => socket.destroy(),

  serve(path, httpServer, onListening) {
    stream.listen(path, (socket) => httpServer.emit('connection', socket), onListening);
  },

  writeFd: (socket, bytes, fd, done) => socket.write({ data: bytes, fds: [fd] }, done),

  readFds(socket, size, onMessage, onFd) {
    socket.on('fds', (fds) => fds.forEach(onFd));
    socket.on('data', cutter(size, onMessage));
  },
};

const reuseport = {
  listen: (server, port, done) => server.listen({ fd: createReuseportFd(port) }, done),
};

const posix = posixAdapter(require('../../lib/posix'));

module.exports = { version, dgram, seqpacket, stream, reuseport, posix, closeFd };
