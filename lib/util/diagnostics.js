// Owns: what onlookers get to see: lines for NODE_DEBUG=afunix, and the channels of
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

/** What closes right now: a subscriber may call close() again, and does not hear of it again. */
const closing = new Set();

/**
 * A socket or server is about to close its descriptor. `error`: why, if it was one.
 *
 * @returns {boolean} false if a subscriber that hears of this very end has called: then the call that
 *   published it goes on, and this one has nothing to do
 */
function publishClose(owner, error) {
  if (closing.has(owner)) return false;
  if (debug.enabled) debug('fd %d closes%s', owner.fd, error ? `: ${error.message}` : '');
  if (!close.hasSubscribers) return true;
  closing.add(owner);
  try {
    close.publish({ socket: owner, error: error ?? undefined });
  } finally {
    closing.delete(owner);
  }
  return true;
}

/** Whether subscribers hear just now that it closes: it still has its descriptor. */
function isClosing(owner) {
  return closing.has(owner);
}

module.exports = {
  isClosing,
  publishBind,
  publishClose,
  publishConnect,
  publishConnection,
  publishListen,
};
