// Owns: the server that listens for a web server. Its connections are Node's own net.Sockets, which http, tls and http2
// read by short cuts, and which know who the peer is.
'use strict';

const net = require('net');
const { kConnectionKind } = require('../sockets/server');
const { UServer } = require('../sockets/userver');
const { kConnectionClosed } = require('../sockets/members');
const { closeFd } = require('../native/fds');
const { demand } = require('../native/results');
const { detachId, peerCredentials } = require('../native/sockets');
const { setTimeout } = require('../util/host');
const { NetPlan } = require('./socket');

/** Milliseconds that a connection without a request has when its server closes. */
const NEWCOMER_TIME = 1000;

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
  const socket = socketOf({ ...forSocket, fd });
  socket.peerCredentials = peer;
  server.sockets.add(socket);
  socket.once('close', () => {
    server.sockets.delete(socket);
    server[kConnectionClosed]();
  });
  return socket;
}

/** A net.Socket; where none can be made, nobody else knows of the descriptor. */
function socketOf(options) {
  try {
    return new net.Socket(options);
  } catch (error) {
    closeFd(options.fd);
    throw error;
  }
}

/** A UServer of net.Sockets. */
class ServedListener extends UServer {
  static [kConnectionKind] = { Socket: ServedSocket, Plan: ServedPlan };

  /** The connections that are open. */
  sockets = new Set();

  /**
   * Closes a web server, by the method of its class. Node 26.12 takes a connection that has sent nothing yet
   * for an idle one; but its request may be on its way. It has a moment.
   */
  spareNewcomers(close) {
    const newcomers = [...this.sockets].filter((socket) => socket.bytesRead === 0);
    for (const socket of newcomers) socket.destroy = () => destroyUnlessHeard(socket);
    try {
      close();
    } finally {
      for (const socket of newcomers) delete socket.destroy;
    }
  }
}

function destroyUnlessHeard(socket) {
  const timer = setTimeout(() => {
    if (socket.bytesRead === 0) socket.destroy();
  }, NEWCOMER_TIME);
  // The socket keeps the process, if it should.
  timer.unref();
  return socket;
}

module.exports = { ServedListener };
