// Owns: what a socket leaves to Node's tls and http2 while these have it.
'use strict';

const { nextTick } = require('../util/host');
const { kState } = require('./members');

/** Node's own stand-in for the handle of a stream that is no net.Socket, in the frames of a stack. */
const WRAP = 'node:internal/js_stream_socket';
/** Frames of this package that may lie above it. */
const DEPTH = 10;

/** Whether this listener for `'data'` is that of the stand-in. A stack is only made for what looks like it. */
function isOfWrap(listener) {
  if (listener.name !== 'ondata' || 'prototype' in listener) return false;
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = DEPTH;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return String(stack).includes(WRAP);
}

/**
 * A net.Socket that tls or http2 take over does not end, close or fail by itself any more. So does a socket that they
 * wrap: otherwise it would close, and they with it, while their user has not read the last data; and a farewell that
 * finds nobody would be their error. They destroy it when they are done.
 */
function leaveToWrap(socket) {
  socket[kState].isWrapped = true;
  // What the wrap is made for takes its own from this one first.
  nextTick(stayHalfOpen, socket);
  socket._readableState.autoDestroy = false;
  socket._writableState.autoDestroy = false;
}

function stayHalfOpen(socket) {
  socket.allowHalfOpen = true;
}

module.exports = { isOfWrap, leaveToWrap };
