// Owns: the record of what happened to a connection, and what follows from it: failures, the end, closing.
'use strict';

const { Duplex } = require('stream');
const { constants } = require('os');
const binding = require('../native/binding');
const { kId } = require('../native/sockets');
const { codedError } = require('../util/errors');
const { forgetsEnd, nextTick, setImmediate, setTimeout } = require('../util/host');
const { kState } = require('./members');

const { ECONNRESET, ENOTCONN, EPIPE } = constants.errno;
/** Failed sends after which no other can succeed. */
const FATAL = new Set([-EPIPE, -ECONNRESET, -ENOTCONN]);

/** How long unread messages of a peer that is gone wait for the next read, in milliseconds. */
const LAST_WORDS = 500;

/** Errors of writes with which Writable destroys a socket in the next tick, and the life that these belong to. */
const failedWrites = new WeakMap();

/** Where the life of a connection stands. */
const UNCONNECTED = 0;
const CONNECTING = 1;
const OPEN = 2;
const CLOSED = 3;

// What a class does in its own way.
const kDeliver = Symbol('kDeliver');
const kEmitConnect = Symbol('kEmitConnect');
const kAbandonWrites = Symbol('kAbandonWrites');
const kCancelWrites = Symbol('kCancelWrites');
const kClosed = Symbol('kClosed');
const kMakeError = Symbol('kMakeError');
const kPrepare = Symbol('kPrepare');
const kReceived = Symbol('kReceived');
const kReset = Symbol('kReset');

/**
 * What happened to a connection, all of it: what a socket does next is decided from this record and its
 * streams' own state. docs/internals.md has the table.
 */
class ConnectionState {
  constructor(plan) {
    this.plan = plan;
    this.phase = UNCONNECTED;
    /** Native code reads. */
    this.reading = false;
    /** A chunk whose descriptors are being emitted, and which comes behind them. */
    this.inHand = null;
    /** Data was asked for before there was a connection. */
    this.wantsData = false;
    /** The peer sends no more. */
    this.ended = false;
    /** What ended receiving while data was still unread: destroys the socket once that is read. */
    this.failure = null;
    /** The send error with which the connection ended; the socket is about to be destroyed. */
    this.sendFailure = null;
    /** How long that may take. */
    this.patience = null;
    /** The end is sent, and what is due once that is reported. */
    this.isFinished = false;
    this.finishing = null;
    /** For some ticks: the streams are kept from what the end of the life before is followed by. */
    this.holdsEnd = false;
    /** The callback of _final(), until it has been called; only where Node needs it. */
    this.final = null;
    /** Node's tls or http2 have it: see wrapped.js. */
    this.isWrapped = false;
    /** What connect(2) said, as far as it is known. */
    this.status = 0;
    /** What libraries look at, once one does. */
    this.handleView = null;
    this.referenced = true;
    /** The same for the next life: as it was said without a socket, until there is a connection. */
    this.referencedNext = true;
    this.server = plan.server;
    /** Its place among those that wait for the same server, while it does: see backlog.js. */
    this.backlog = null;
    /** What users see of it. */
    this.timeout = undefined;
    this.timer = null;
    /** Milliseconds; below 0 while it is switched off. */
    this.timerDelay = 0;
    /** Bytes that waited in native code when the time-out last looked. */
    this.lastQueued = 0;
    this.bytesRead = 0;
    this.bytesWritten = 0;
    this.closeEmitted = false;
    /** Where connect() goes, and whom it calls back. */
    this.path = undefined;
    this.connectCallback = undefined;
  }
}

/** That life has ended: what is due for it must not strike the next one, which may have begun. */
function isOver(socket, state) {
  return socket.destroyed || socket[kState] !== state;
}

/** Callbacks of what is not sent, all that these lead to (a loop over the stream ends), and then 'close'. */
function closeLater(socket, state, error) {
  setImmediate(cancelWrites, socket, state, error);
  setImmediate(emitClose, socket, state, Boolean(error));
}

/** The same without a descriptor: as in net, the event does not say whether there was an error. */
function closeAtOnce(socket, state, error) {
  cancelWrites(socket, state, error);
  emitClose(socket, state);
}

/** After a connect() meanwhile their callbacks were called by that. */
function cancelWrites(socket, state, error) {
  if (socket[kState] === state) socket[kCancelWrites](error);
}

function emitClose(socket, state, ...hadError) {
  state.closeEmitted = true;
  // A listener may connect it again: what waits then is another life's.
  const waiting = socket[kState] === state ? socket[kClosed]() : null;
  socket.emit('close', ...hadError);
  waiting?.failDeferred();
}

/** Destroys a socket in that life of it. */
function destroyIn(socket, state, error) {
  if (!isOver(socket, state)) socket.destroy(error);
}

/**
 * Destroys the socket, after what came before has been read by whoever reads. Where nobody does it is not kept for
 * a reader who may never come.
 */
function fail(socket, error) {
  const state = socket[kState];
  if (socket.readableLength === 0 || !isRead(socket)) {
    socket.destroy(error);
  } else if (state.failure === null) {
    state.failure = error;
    nextTick(emitLastReadable, socket, state);
  }
}

/** As at the end of a stream: who waits for more than there is has to know that no more comes, and reads the rest. */
function emitLastReadable(socket, state) {
  if (isOver(socket, state) || socket.readableLength === 0) return;
  if (!socket._readableState.emittedReadable) socket.emit('readable');
}

/** What is received has a reader, or one that has paused. */
function isRead(socket) {
  return socket.readableFlowing !== null || socket.listenerCount('readable') > 0;
}

/** A send failed in a way that ends the connection, whose `destroy()` gets that error next. */
function noteSendFailure(socket, error) {
  return (socket[kState].sendFailure ??= error);
}

/** Writable's callback of a write that failed. If it is called in the turn of the write, it has effect in the next tick. */
function failWrite(socket, callback, error) {
  failedWrites.set(error, socket[kState]);
  callback(error);
  nextTick(forgetWrite, error);
}

function forgetWrite(error) {
  failedWrites.delete(error);
}

/** Whether Writable destroys a socket for a write of its life before. A user who does that, too, is heard. */
function isOfBefore(socket, error) {
  const state = failedWrites.get(error);
  return state !== undefined && failedWrites.delete(error) && state !== socket[kState];
}

/**
 * Before a socket is destroyed for a send that failed: what the peer sent before is taken from the kernel where
 * there is a reader. Nobody is waited for.
 *
 * @returns {boolean} false: the socket is just receiving, and what is left comes after this
 */
function receiveRest(socket) {
  if (!socket.readableFlowing) return true;
  emitBuffered(socket);
  if (!takeWhatIsThere(socket)) return false;
  emitBuffered(socket);
  return true;
}

/** A stream that failed to write emits no data any more by itself, unless read() is called. */
function emitBuffered(socket) {
  if (!socket.errored) return;
  const readable = socket._readableState;
  const didRead = socket.readableDidRead;
  while (socket.readableLength > 0) {
    readable.dataEmitted = false;
    const data = Duplex.prototype.read.call(socket);
    const isEmitted = readable.dataEmitted;
    readable.dataEmitted = didRead || data !== null;
    if (data === null) return;
    // In some versions of Node read() does it.
    if (!isEmitted) socket.emit('data', data);
  }
}

/** Reads what the kernel has now. False where native code hands over what it has read just now: it goes on by itself. */
function takeWhatIsThere(socket) {
  const state = socket[kState];
  if (state.ended || socket[kId] === 0) return true;
  if (!state.reading) startReading(socket);
  return binding.receiveNow(socket[kId]) !== 1;
}

/**
 * A send failed, and messages may be left that the peer sent before: whoever reads them gets them, as long as
 * there is a read within LAST_WORDS; then the socket is destroyed.
 */
function destroyAfterLastWords(socket, state, error) {
  if (isOver(socket, state)) return;
  if (isRead(socket) && !takeWhatIsThere(socket)) {
    setImmediate(destroyAfterLastWords, socket, state, error);
    return;
  }
  if (isOver(socket, state)) return;
  if (socket.readableLength === 0 || !isRead(socket)) {
    socket.destroy(error);
    return;
  }
  state.failure = error;
  state.patience = setTimeout(destroyIn, LAST_WORDS, socket, state, error).unref();
}

/** What was buffered has been read. */
function finishFailure(socket) {
  const { failure, sendFailure } = socket[kState];
  if (failure === null || socket.destroyed) return;
  if (sendFailure !== null && !takeWhatIsThere(socket)) {
    setImmediate(finishFailure, socket);
    return;
  }
  if (!socket.destroyed && socket.readableLength === 0) socket.destroy(failure);
}

/** Takes up reading, or ends the socket: otherwise it would wait for ever. */
function startReading(socket) {
  const state = socket[kState];
  state.wantsData = false;
  state.reading = true;
  const status = binding.setReading(socket[kId], 1);
  if (status < 0) socket.destroy(socket[kMakeError](status, 'epoll_ctl'));
}

/** Takes up reading where that is possible. */
function resumeReading(socket) {
  const { phase, reading, ended } = socket[kState];
  if (phase === OPEN && !reading && !ended) startReading(socket);
}

function stopReading(socket) {
  socket[kState].reading = false;
  if (socket[kId] > 0) binding.setReading(socket[kId], 0);
}

/** Data was asked for, or nobody has paused. */
function wantsData(socket) {
  return socket[kState].wantsData || !socket.isPaused();
}

/** There was activity: the time-out starts anew. */
function refreshTimer(state) {
  if (state.timerDelay > 0) state.timer.refresh();
}

/** Whether a send that failed so is the end of the connection. */
function isFatal(errno) {
  return FATAL.has(errno);
}

/** As in net: it was the peer's end that ended this side. */
function writeAfterEnd(socket, callback) {
  const error = codedError(Error, 'EPIPE', 'This socket has been ended by the other party');
  if (callback) nextTick(callback, error);
  if (!socket[kState].isWrapped) socket.destroy(error);
  return false;
}

/**
 * Sends the end, shutdown(2), unless the socket is closed next anyway. As in net its outcome is known when the loop
 * polls next, or has polled; and at once where the end was sent before: end() was called before connect(), too.
 */
function finishLater(socket, isClosedNext, callback, error) {
  const state = socket[kState];
  if (state.isFinished) {
    callback(error);
    return;
  }
  const status = binding.finish(socket[kId], isClosedNext ? 0 : 1);
  state.isFinished = status === 0;
  if (status < 0 && socket[kId] > 0) error ??= socket[kMakeError](status, 'shutdown');
  state.finishing = error === undefined ? callback : () => callback(error);
  if (status < 0) setImmediate(finishNow, state);
}

/** The callback of _final(), which is noted where it has to be called in any case, and then once. */
function noteFinal(state, callback) {
  if (!forgetsEnd) return callback;
  state.final = callback;
  return (error) => callFinal(state, error);
}

function callFinal(state, error) {
  const { final } = state;
  state.final = null;
  final?.(error);
}

/** Destroyed before the end was sent. */
function failFinal(socket, state, error) {
  if (state.final === null) return;
  if (socket[kState] === state) {
    callFinal(state, error);
    return;
  }
  // Writable calls back for end(), and then destroys the next life, which has to know the error.
  const known = typeof error === 'object' ? error : destroyedError(undefined, 'end');
  failedWrites.set(known, state);
  callFinal(state, known);
  failedWrites.delete(known);
}

function finishNow(state) {
  const { finishing } = state;
  state.finishing = null;
  finishing?.();
}

/** Why a write that was still waiting is not sent. */
function destroyedError(error, call = 'write') {
  return (
    error ??
    codedError(Error, 'ERR_STREAM_DESTROYED', `Cannot call ${call} after a stream was destroyed`)
  );
}

/**
 * The callback of end() as a Writable gets it, which forgets that of a stream that was destroyed without an error, but
 * where a write waits.
 */
function endCallback(socket, callback) {
  if (!socket.destroyed || typeof callback !== 'function') return callback;
  const { errored, writableEnded, writableLength, _writableState: writable } = socket;
  // A write without bytes waits for a connection like any other.
  const isWriting = writableLength > 0 || writable.writing;
  const isForgotten = !writableEnded && errored === null && !isWriting;
  if (!isForgotten) return callback;
  nextTick(callback, destroyedError(undefined, 'end'));
  return undefined;
}

module.exports = {
  CLOSED,
  CONNECTING,
  ConnectionState,
  OPEN,
  UNCONNECTED,
  fail,
  destroyAfterLastWords,
  destroyIn,
  destroyedError,
  endCallback,
  failFinal,
  failWrite,
  closeAtOnce,
  closeLater,
  finishFailure,
  finishLater,
  finishNow,
  isFatal,
  isOfBefore,
  isOver,
  kAbandonWrites,
  kCancelWrites,
  kClosed,
  kDeliver,
  kEmitConnect,
  kMakeError,
  kPrepare,
  kReceived,
  kReset,
  noteFinal,
  noteSendFailure,
  receiveRest,
  refreshTimer,
  resumeReading,
  startReading,
  stopReading,
  wantsData,
  writeAfterEnd,
};
