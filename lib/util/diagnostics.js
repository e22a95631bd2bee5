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
function publishBind(socket, path) {
  if (debug.enabled) debug('fd %d bound to %j', socket.fd, path);
  if (bind.hasSubscribers) bind.publish({ socket, path });
}

/** A socket has connected to a name. */
function publishConnect(socket, path) {
  if (debug.enabled) debug('fd %d connected to %j', socket.fd, path);
  if (connect.hasSubscribers) connect.publish({ socket, path });
}

/** A server listens. */
function publishListen(server, path) {
  if (debug.enabled) debug('fd %d listens at %j', server.fd, path);
  if (listen.hasSubscribers) listen.publish({ server, path });
}

/** A server has accepted a connection; before `'connection'`. */
function publishConnection(server, socket) {
  if (debug.enabled) debug('fd %d accepted as fd %d', server.fd, socket.fd);
  if (connection.hasSubscribers) connection.publish({ server, socket });
}

/** A socket or server is about to close its descriptor. `error`: why, if it was one. */
function publishClose(owner, error) {
  if (debug.enabled) debug('fd %d closes%s', owner.fd, error ? `: ${error.message}` : '');
  if (close.hasSubscribers) close.publish({ socket: owner, error: error ?? undefined });
}

module.exports = { publishBind, publishClose, publishConnect, publishConnection, publishListen };
