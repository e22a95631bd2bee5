// Owns: how a DgramSocket sends: whether a message may wait, and to whom it goes once the peer has closed.
'use strict';

const { constants } = require('os');
const binding = require('../native/binding');
const { kId } = require('../native/sockets');
const { systemError } = require('../util/errors');
const { PEER } = require('./destinations');
const { kState, kWriter } = require('./members');

const { EAGAIN, ECONNREFUSED, ECONNRESET, EDESTADDRREQ, ENOBUFS, ENOTCONN } = constants.errno;

/** What the kernel answers where the peer has closed, and once it has dissolved the connection with it. */
const PEER_IS_GONE = new Set([-ECONNREFUSED, -ECONNRESET, -ENOTCONN, -EDESTADDRREQ]);

/** Sends, or drops, as the socket's options say. */
function submit(socket, destination, view, offset, length, fds, path, callback) {
  const state = socket[kState];
  const writer = socket[kWriter];
  if (destination === PEER && state.isPeerGone) {
    const status = findSuccessor(socket);
    if (status < 0) {
      writer.reject(callback, systemError(status, 'connect', state.peer));
      return;
    }
  }
  const { failsWhenFull: isNow } = state.plan;
  const result = isNow
    ? writer.sendNow(destination, view, offset, length, fds, path, callback)
    : writer.send(destination, view, offset, length, fds, path, callback);
  if (result >= 0) return;
  if (isNow && (result === -EAGAIN || result === -ENOBUFS)) state.dropped++;
  else if (destination === PEER) notePeer(state, result);
}

/** A send failed: if the peer's receiver is gone, the next send looks for its successor. */
function notePeer(state, status) {
  if (state.peer !== null && PEER_IS_GONE.has(status)) state.isPeerGone = true;
}

/** Connects to whoever has the peer's name now; 0 or a negative errno. */
function findSuccessor(socket) {
  const state = socket[kState];
  const lost = binding.connect(socket[kId]);
  if (typeof lost === 'number') return lost;
  state.isPeerGone = false;
  socket[kWriter].changePeer(lost, state.peer, state.peer);
  return 0;
}

module.exports = { notePeer, submit };
