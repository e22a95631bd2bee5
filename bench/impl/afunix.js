'use strict';

/**
 * Adapter for this package. Every adapter has the same few functions for a kind of socket:
 *
 * dgram.bind(path, onMessage(message, from)) → { answer(message, to), close() }: a bound socket
 * dgram.connect(path)  → send(message, done): one peer, the best way the package offers for that
 * dgram.fan(paths)     → send(index, message, done): one sender with many destinations
 *
 * seqpacket.listen(path, onConnection(socket))
 * seqpacket.connect(path, onConnect()) → socket
 * seqpacket.read(socket, onMessage(message)): until the peer ends, then the socket closes, too
 * seqpacket.write(socket, message, done?), .close(socket)
 *
 * `done(error)` comes once a message is with the kernel, inside the call or later. Where a package
 * leaves a full destination to its user, the adapter does what its documentation says, so that
 * every message arrives.
 */

const { version } = require('../../package.json');
const { DgramSocket, SeqpacketServer, SeqpacketSocket } = require('../../lib');

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
  listen(path, onConnection) {
    const server = new SeqpacketServer();
    server.on('connection', onConnection);
    server.listen(path);
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

module.exports = { version, dgram, seqpacket: SeqpacketServer && seqpacket };
