'use strict';

/** Owns what is the same in the adapters of this package and node-unix-socket, whose classes and methods share names. */

/**
 * @param {object} classes DgramSocket, SeqpacketServer, SeqpacketSocket of a package
 * @returns {{ dgram: object, seqpacket: object }} the common part of its adapter; see ../impl/afunix.js
 */
function commonAdapter({ DgramSocket, SeqpacketServer, SeqpacketSocket }) {
  function bound(path, onMessage) {
    const socket = new DgramSocket();
    socket.on('data', onMessage);
    socket.bind(path);
    return socket;
  }

  const dgram = {
    bound,

    bind(path, onMessage) {
      const socket = bound(path, onMessage);
      return {
        answer: (message, to) => socket.sendTo(message, 0, message.length, to),
        close: () => socket.close(),
      };
    },

    fan(paths) {
      const socket = new DgramSocket();
      return (index, message, done) =>
        socket.sendTo(message, 0, message.length, paths[index], done);
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

    close: (socket) => socket.destroy(),
  };

  return { dgram, seqpacket };
}

module.exports = { commonAdapter };
