// Owns: how a DgramSocket hands over what it receives: as events, or to whoever it is given up to.
'use strict';

const { ENOBUFS } = require('os').constants.errno;
const { NO_FDS } = require('../native/fds');
const sockets = require('../native/sockets');
const { systemError } = require('../util/errors');
const { nextTick } = require('../util/host');
const { takeWaiting } = require('./dgram-iterator');
const { kState } = require('./members');
const { closeReceived, receivedWith } = require('./received-fds');

const { flag, kId, kMessage, kSenderName } = sockets;

/** What makes a message an `'error'` event. */
const BAD_MESSAGE = flag.TRUNCATED | sockets.FDS_MISSING;

const NO_MESSAGE_INFO = Object.freeze({ fds: NO_FDS, credentials: undefined });

/** A message, to whoever listens. */
function receive(socket, data, flags, words, at) {
  const state = socket[kState];
  if (flags & flag.NAME) state.senderPath = decodePath(socket[kSenderName], socket);
  if ((flags & ~flag.NAME) === 0 && !state.plan.pidfd) {
    deliver(socket, data, state.senderPath, NO_MESSAGE_INFO);
  } else {
    deliverUnusual(socket, data, flags, words, at);
  }
}

/** Under node-unix-socket's name and under dgram's. */
function deliver(socket, data, path, info) {
  socket.emit('data', data, path, info);
  if (socket.listenerCount('message') > 0) emitMessage(socket, data, path, info);
}

function emitMessage(socket, data, path, info) {
  if (socket[kId] === 0) return;
  socket.emit('message', data, { address: path, path, size: data.length, ...info });
}

/** The same for a message that is cut, or that more comes with than its sender's name. */
function deliverUnusual(socket, data, flags, words, at) {
  const state = socket[kState];
  const { plan, senderPath: path } = state;
  // What nobody will take stays with native code, which closes it in any case.
  const hears = socket.listenerCount('data') > 0 || socket.listenerCount('message') > 0;
  const wanted = (flags & flag.TRUNCATED) === 0 && hears;
  const info = receivedWith(socket, plan, wanted, flags, words, at);
  if (wanted) state.inHand = { data, path, ...info };
  try {
    if (flags & BAD_MESSAGE) socket.emit('error', receiveError(flags, path));
  } finally {
    // Also if that throws, for want of a listener, the message itself is not lost.
    const isGivenUp = wanted && state.inHand === null;
    state.inHand = null;
    if (wanted && socket[kId] > 0) deliver(socket, data, path, info);
    else if (!isGivenUp) closeReceived(info);
  }
}

/** What has been taken from the kernel for a socket that is about to be given up: messages as loops have them. */
function takeUnread(socket) {
  const state = socket[kState];
  const messages = takeWaiting(socket);
  if (state.inHand !== null) messages.push(state.inHand);
  state.inHand = null;
  const taker = {
    [kId]: socket[kId],
    [kSenderName]: null,
    [kMessage](data, flags, words, at) {
      if (flags & flag.NAME) state.senderPath = decodePath(this[kSenderName], socket);
      const { plan, senderPath: path } = state;
      const isWhole = (flags & flag.TRUNCATED) === 0;
      const info = receivedWith(socket, plan, isWhole, flags, words, at);
      if (flags & BAD_MESSAGE) nextTick(emitError, socket, receiveError(flags, path));
      if (isWhole) messages.push({ data, path, ...info });
    },
  };
  sockets.handOverRest(socket[kId], taker);
  return messages;
}

function emitError(socket, error) {
  socket.emit('error', error);
}

function decodePath(bytes, socket) {
  return socket[kState].plan.pathsAsBuffers ? bytes : bytes.toString();
}

function receiveError(flags, path) {
  if (flags & flag.TRUNCATED) return systemError(-ENOBUFS, 'recvmsg', path);
  return sockets.descriptorError(flags);
}

module.exports = { decodePath, receive, takeUnread };
