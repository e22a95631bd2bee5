'use strict';

/** Adapter for node-unix-socket; see afunix.js for the interface. It has no connect() for datagrams. */

const classes = require('node-unix-socket');
const { version } = require('node-unix-socket/package.json');
const { commonAdapter } = require('../lib/same-names');

const common = commonAdapter(classes);

const dgram = {
  ...common.dgram,

  connect(path) {
    const send = dgram.fan([path]);
    return (message, done) => send(0, message, done);
  },
};

const seqpacket = {
  ...common.seqpacket,

  read(socket, onMessage) {
    socket.on('data', onMessage);
    socket.on('end', () => socket.destroy());
  },

  write: (socket, message, done) => socket.write(message, 0, message.length, done),
};

const reuseport = {
  listen: (server, port, done) =>
    server.listen({ fd: classes.createReuseportFd(port, '0.0.0.0') }, done),
};

module.exports = { version, dgram, seqpacket, reuseport };
