'use strict';

/**
 * Owns the `stream` of an adapter with TLS over it; see ../impl/afunix.js for the interface. With a key that both know
 * in place of certificates: what is compared is how TLS gets at its bytes.
 */

const tls = require('node:tls');

const KEY = Buffer.from('a key that is no secret');
const CIPHER = {
  ciphers: 'PSK-AES128-GCM-SHA256',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
};

function overTls(stream) {
  return {
    listen(path, onConnection, onListening) {
      const server = tls.createServer({ ...CIPHER, pskCallback: () => KEY }, onConnection);
      server.on('tlsClientError', (error) => {
        throw error;
      });
      stream.serve(path, server, onListening);
    },

    connect(path, onConnect) {
      const pskCallback = () => ({ psk: KEY, identity: 'bench' });
      const socket = stream.connect(path);
      return tls.connect({ ...CIPHER, pskCallback, socket, checkServerIdentity() {} }, onConnect);
    },

    read: (socket, onBytes) => socket.on('data', onBytes),
    write: (socket, bytes, done) => socket.write(bytes, done),
    close: (socket) => socket.destroy(),
  };
}

module.exports = { overTls };
