'use strict';

/** Adapter for node-unix-socket; see afunix.js for the interface. It has no connect() for datagrams. */

const { version } = require('node-unix-socket/package.json');
const {
  DgramSocket,
  SeqpacketServer,
  SeqpacketSocket,
  createReuseportFd,
} = require('node-unix-socket');

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
    const send = dgram.fan([path]);
    return (message, done) => send(0, message, done);
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
    server.listen(path);
    onListening?.();
  },

  connect(path, onConnect) {
    const socket = new SeqpacketSocket();
    socket.connect(path, onConnect);
    return socket;
  },

  read(socket, onMessage) {
    socket.on('data', onMessage);
    socket.on('end', () => socket.destroy());
  },

  write: (socket, message, done) => socket.write(message, 0, message.length, done),
  close: (socket) => socket.destroy(),
};

const reuseport = {
  listen: (server, port, done) => server.listen({ fd: createReuseportFd(port, '0.0.0.0') }, done),
};

module.exports = { version, dgram, seqpacket, reuseport };
