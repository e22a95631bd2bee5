'use strict';

/**
 * Adapter for a plain Duplex over net.Socket; see afunix.js for the interface. It shows what Node's own modules, which
 * read and write a net.Socket in native code, make of any other stream.
 */

const net = require('node:net');
const { Duplex } = require('node:stream');

/** Passes on what a net.Socket reads and is to write. */
class Passing extends Duplex {
  constructor(socket) {
    super({ allowHalfOpen: true });
    this.socket = socket;
    socket.on('data', (bytes) => {
      if (!this.push(bytes)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  _read() {
    this.socket.resume();
  }

  _write(bytes, _encoding, done) {
    this.socket.write(bytes, done);
  }

  _writev(parts, done) {
    this.socket.cork();
    parts.forEach(({ chunk }, i) =>
      this.socket.write(chunk, i === parts.length - 1 ? done : undefined),
    );
    this.socket.uncork();
  }

  _final(done) {
    this.socket.end(done);
  }

  _destroy(error, done) {
    this.socket.destroy();
    done(error);
  }
}

const stream = {
  listen(path, onConnection, onListening) {
    const options = { allowHalfOpen: true };
    net
      .createServer(options, (socket) => onConnection(new Passing(socket)))
      .listen(path, onListening);
  },

  connect: (path, onConnect) => new Passing(net.connect({ path, allowHalfOpen: true }, onConnect)),
  read: (socket, onBytes) => socket.on('data', onBytes),
  write: (socket, bytes, done) => socket.write(bytes, done),
  close: (socket) => socket.destroy(),

  serve(path, server, onListening) {
    stream.listen(path, (socket) => server.emit('connection', socket), onListening);
  },
};

module.exports = { version: process.version, stream };
