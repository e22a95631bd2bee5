'use strict';

/**
 * Adapter for serve() of this package; see afunix.js for the interface. It is made for http, http2 and tls, which get the
 * net.Sockets that they read in native code. Clients are net's.
 */

const path = require('node:path');
const net = require('./net');

const root = path.join(__dirname, '..', '..');
const { version } = require(path.join(root, 'package.json'));
const { serve } = require(root);

const stream = {
  ...net.stream,
  serve: (path, server, onListening) => serve(server, path, onListening),
};

module.exports = { version, stream };
