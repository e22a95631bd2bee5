'use strict';

/**
 * Adapter for usocket; see afunix.js for the interface.
 *
 * Its server's backlog is 16 unless asked for another. To read before 'connected' aborts the process.
 * What came with a descriptor is read as its documentation says: read(size, 1) at 'readable'. Where it
 * lost one, that waits for ever.
 */

const { version } = require('usocket/package.json');
const { UServer, USocket } = require('usocket');

const BACKLOG = 511;

const stream = {
  listen(path, onConnection, onListening) {
    const server = new UServer();
    server.on('connection', onConnection);
    server.listen(path, BACKLOG, onListening);
  },

  connect: (path, onConnect) => new USocket({ path }, onConnect),

  read(socket, onBytes) {
    if (socket.fd === undefined) {
      socket.once('connected', () => stream.read(socket, onBytes));
      return;
    }
    socket.on('data', onBytes);
    socket.on('end', () => socket.destroy());
  },

  write: (socket, bytes, done) => socket.write(bytes, done),
  close: (socket) => socket.destroy(),

  writeFd: (socket, bytes, fd, done) => socket.write({ data: bytes, fds: [fd] }, done),

  readFds(socket, size, onMessage, onFd) {
    socket.on('readable', () => {
      for (let message; (message = socket.read(size, 1));) {
        message.fds.forEach(onFd);
        onMessage(message.data);
      }
    });
    socket.on('end', () => socket.destroy());
    socket.read(0);
  },

  readAllFds(socket, onBytes, onFd) {
    socket.on('readable', () => {
      for (let got; (got = socket.read(null, null)) && (got.data || got.fds.length > 0);) {
        got.fds.forEach(onFd);
        if (got.data) onBytes(got.data);
      }
    });
    socket.on('end', () => socket.destroy());
    socket.read(0);
  },
};

module.exports = { version, stream };
