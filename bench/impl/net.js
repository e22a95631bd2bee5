'use strict';

/** Adapter for Node's own net; see afunix.js for the interface. It cannot pass descriptors. */

const net = require('node:net');

const stream = {
  listen(path, onConnection, onListening) {
    net.createServer(onConnection).listen(path, onListening);
  },

  socket: () => new net.Socket(),
  connect: (path, onConnect) => net.connect(path, onConnect),
  read: (socket, onBytes) => socket.on('data', onBytes),
  write: (socket, bytes, done) => socket.write(bytes, done),
  close: (socket) => socket.destroy(),
  serve: (path, server, onListening) => server.listen(path, onListening),
};

module.exports = { version: process.version, stream };
