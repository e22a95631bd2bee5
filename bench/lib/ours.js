'use strict';

/** Owns the adapter of this package, of this checkout or another; see ../impl/afunix.js for the interface. */

const { createRequire } = require('node:module');
const path = require('node:path');
const { posixAdapter } = require('./posix');
const { commonAdapter } = require('./same-names');
const { cutter } = require('./sequence');

/**
 * @param {string} root the folder of a built checkout
 * @returns {object} its adapter; what it uses of the package is public
 */
function adapterOf(root) {
  const manifest = path.join(root, 'package.json');
  const require = createRequire(manifest);
  const { name, version } = require(manifest);
  const classes = require(name);
  const { DgramSocket, UServer, USocket, closeFd, createReuseportFd } = classes;
  const common = commonAdapter(classes);

  const dgram = {
    ...common.dgram,

    connect(path) {
      const socket = new DgramSocket();
      socket.connect(path);
      return (message, done) => socket.send(message, done);
    },

    pair(path, peer, onMessage) {
      const socket = common.dgram.bound(path, onMessage);
      return { connect: () => socket.connect(peer), send: (message) => socket.send(message) };
    },
  };

  const seqpacket = {
    ...common.seqpacket,
    read: (socket, onMessage) => socket.on('data', onMessage),
    write: (socket, message, done) => socket.write(message, done),
  };

  const stream = {
    listen(path, onConnection, onListening) {
      new UServer(onConnection).listen(path, onListening);
    },

    socket: () => new USocket(),
    connect: (path, onConnect) => new USocket(path, onConnect),
    read: (socket, onBytes) => socket.on('data', onBytes),
    write: (socket, bytes, done) => socket.write(bytes, done),
    close: (socket) => socket.destroy(),

    serve(path, server, onListening) {
      const onConnection = (socket) => server.emit('connection', socket);
      new UServer({ allowHalfOpen: true }, onConnection).listen(path, onListening);
    },

    writeFd: (socket, bytes, fd, done) => socket.write({ data: bytes, fds: [fd] }, done),

    readFds(socket, size, onMessage, onFd) {
      socket.on('fds', (fds) => fds.forEach(onFd));
      socket.on('data', cutter(size, onMessage));
    },

    readAllFds(socket, onBytes, onFd) {
      socket.on('readable', () => {
        for (let got; (got = socket.read(null, null)) && (got.data || got.fds.length > 0);) {
          got.fds.forEach(onFd);
          if (got.data) onBytes(got.data);
        }
      });
    },
  };

  const reuseport = {
    listen: (server, port, done) => server.listen({ fd: createReuseportFd(port) }, done),
  };

  const posix = posixAdapter(require(`${name}/posix`));

  return { version, dgram, seqpacket, stream, reuseport, posix, closeFd };
}

module.exports = { adapterOf };
