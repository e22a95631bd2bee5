// Owns: what is told to onlookers: lines for NODE_DEBUG=afunix, and the channels of
// node:diagnostics_channel. Costs a few nanoseconds where nobody looks.
'use strict';

const { channel } = require('diagnostics_channel');
const { debuglog } = require('util');

const debug = debuglog('afunix');

const bind = channel('afunix.bind');
const connect = channel('afunix.connect');
const listen = channel('afunix.listen');
const connection = channel('afunix.connection');
const close = channel('afunix.close');

/** A datagram socket has got its name. */
function tellBind(socket, path) {
  if (debug.enabled) debug('fd %d bound to %j', socket.fd, path);
  if (bind.hasSubscribers) bind.publish({ socket, path });
}

/** A socket has connected to a name. */
function tellConnect(socket, path) {
  if (debug.enabled) debug('fd %d connected to %j', socket.fd, path);
  if (connect.hasSubscribers) connect.publish({ socket, path });
}

/** A server listens. */
function tellListen(server, path) {
  if (debug.enabled) debug('fd %d listens at %j', server.fd, path);
  if (listen.hasSubscribers) listen.publish({ server, path });
}

/** A server has accepted a connection; before `'connection'`. */
function tellConnection(server, socket) {
  if (debug.enabled) debug('fd %d accepted as fd %d', server.fd, socket.fd);
  if (connection.hasSubscribers) connection.publish({ server, socket });
}

/** A socket or server is about to close its descriptor. `error`: why, if it was one. */
function tellClose(owner, error) {
  if (debug.enabled) debug('fd %d closes%s', owner.fd, error ? `: ${error.message}` : '');
  if (close.hasSubscribers) close.publish({ socket: owner, error: error ?? undefined });
}

module.exports = { tellBind, tellClose, tellConnect, tellConnection, tellListen };
