'use strict';

/**
 * Adapter for the minimal addon of ../bare, which shows what any addon can reach; see afunix.js for the interface. It
 * does not wait for a full destination that a message names, so it has no dgram.fan.
 */

const { Connection, DatagramSocket, Server } = require('../bare');

const dgram = {
  bind(path, onMessage) {
    const socket = new DatagramSocket(path);
    socket.on('message', onMessage);
    return {
      answer: (message, to) => socket.sendTo(message, to),
      close: () => socket.close(),
    };
  },

  connect(path) {
    const socket = new DatagramSocket();
    socket.connect(path);
    return (message, done) => socket.send(message, done);
  },

  pair(path, peer, onMessage) {
    const socket = new DatagramSocket(path);
    socket.on('message', onMessage);
    return {
      connect: () => socket.connect(peer),
      send: (message) => socket.send(message),
    };
  },
};

const connected = (isSeqpacket) => ({
  listen(path, onConnection, onListening) {
    const server = new Server();
    server.on('connection', onConnection);
    server.listen(path, isSeqpacket);
    onListening?.();
  },

  connect(path, onConnect) {
    const socket = new Connection(-1);
    socket.connect(path, isSeqpacket, onConnect);
    return socket;
  },

  read: (socket, onMessage) => socket.on('data', onMessage),
  write: (socket, message, done) => socket.send(message, done),
  close: (socket) => socket.destroy(),
});

module.exports = {
  version: process.version,
  dgram,
  seqpacket: connected(true),
  stream: connected(false),
};
