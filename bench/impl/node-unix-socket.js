'use strict';

/** Adapter for node-unix-socket; see afunix.js for the interface. It has no connect(). */

const { version } = require('node-unix-socket/package.json');
const { DgramSocket } = require('node-unix-socket');

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

module.exports = { version, dgram };
