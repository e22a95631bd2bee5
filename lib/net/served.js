// Owns: the server that listens for a web server. Its connections are Node's own net.Sockets, which http, tls and http2
// read by short cuts, and which know who the peer is.
'use strict';

const net = require('net');
const { kConnectionKind } = require('../sockets/server');
const { UServer } = require('../sockets/userver');
const { kConnectionClosed } = require('../sockets/members');
const { demand } = require('../native/results');
const { detachId, peerCredentials } = require('../native/sockets');
const { NetPlan } = require('./socket');

/** The options of net.Sockets, and of the listener that accepts for them. */
class ServedPlan extends NetPlan {
  constructor(options) {
    super(options);
    const { allowHalfOpen, highWaterMark, pauseOnConnect } = options;
    /** As net.Server gives them to its connections. */
    this.forSocket = {
      allowHalfOpen,
      pauseOnCreate: pauseOnConnect,
      readableHighWaterMark: highWaterMark,
      writableHighWaterMark: highWaterMark,
      readable: true,
      writable: true,
    };
  }
}

/**
 * An accepted connection, as a net.Socket.
 *
 * @param {ServedPlan} plan
 */
function ServedSocket({ id, server, forSocket }) {
  const peer = peerCredentials(id);
  const [fd] = demand(detachId(id), 'detach');
  const socket = new net.Socket({ ...forSocket, fd });
  socket.peerCredentials = peer;
  socket.once('close', () => server[kConnectionClosed]());
  return socket;
}

/** A UServer of net.Sockets. */
class ServedListener extends UServer {
  static [kConnectionKind] = { Socket: ServedSocket, Plan: ServedPlan };
}

module.exports = { ServedListener };
