// Owns: what sockets with one peer have in common, whatever they carry: reading as the peer sends, the
// time-out, names.
'use strict';

const { Buffer } = require('buffer');
const { Duplex } = require('stream');
const { constants } = require('os');
const binding = require('../native/binding');
const { demand } = require('../native/results');
const sockets = require('../native/sockets');
const { publishClose } = require('../util/diagnostics');
const { clearTimeout, nextTick, setImmediate, setTimeout } = require('../util/host');
const check = require('../util/validate');
const { bufferOf } = require('./chunks');
const { finishConnecting } = require('./connecting');
const life = require('./life');
const { kConnectionClosed, kState, kWriter, shareSocketMembers } = require('./members');
const { takeUntaken } = require('./received-fds');

const { closeId, detachId, flag, handOverRest } = sockets;
const { kConnected, kEnd, kError, kFinished, kId } = sockets;
const { kMessage, lengthAt } = sockets;
const { CLOSED, CONNECTING, ConnectionState, OPEN } = life;
const { closeAtOnce, closeLater, fail, finishFailure, isOfBefore, receiveRest } = life;
const { startReading, stopReading } = life;
const { kDeliver, kMakeError, kReceived } = life;
const { EBUSY, ENOBUFS, ENOTCONN } = constants.errno;
/** What a message or chunk rarely has. Apart, so that what is left is small enough for V8 to inline all of it. */
const UNUSUAL = flag.CREDENTIALS | flag.TRUNCATED | sockets.FDS_MISSING;

/**
 * A socket with one peer.
 *
 * Its classes define:
 *   [kDeliver](data, flags, words, at)  one received message or chunk
 *   [kEmitConnect]()                    the connection is made
 *   [kCancelWrites](error)              calls back for what is not sent, since the socket is closed
 *   [kAbandonWrites]()                  connect() begins another life: the same for what waits of the one before
 *   [kClosed]()                         'close' is about to be emitted: what has to failDeferred() after it, or null
 *   [kMakeError](errno, syscall, path)  an Error as the class has them
 *   [kPrepare](id)                      before a connected socket reads
 *   [kReceived]                         name of the system call that receives
 *   [kReset]()                          forgets what was before the socket was closed
 */
class ConnectedSocket extends Duplex {
  /** @param {ConnectedPlan} plan */
  constructor(plan) {
    super(plan.duplex);
    this[kId] = 0;
    this[kState] = new ConnectionState(plan);
  }

  _read() {
    const state = this[kState];
    if (state.phase !== OPEN) state.wantsData = true;
    else if (!state.reading && !state.ended) startReading(this);
  }

  /**
   * As in Readable; an error that came behind the data destroys the socket when the last is read, and who asks for more
   * than is left gets what is left, as at the end.
   */
  read(size) {
    let data = super.read(size);
    const { failure, patience } = this[kState];
    if (failure !== null) {
      const { readableLength } = this;
      if (data === null && size > readableLength) data = super.read(readableLength);
      if (data !== null) patience?.refresh();
      if (this.readableLength === 0) nextTick(finishFailure, this);
    }
    return data;
  }

  destroy(error, callback) {
    if (callback === undefined && isOfBefore(this, error)) return this;
    const state = this[kState];
    const { sendFailure } = state;
    const isForSend = sendFailure !== null && error === sendFailure && this[kId] > 0;
    if (isForSend && !receiveRest(this)) {
      setImmediate(() => {
        if (this[kState] === state) this.destroy(error, callback);
        else callback?.(error);
      });
      return this;
    }
    return super.destroy(error, callback);
  }

  _destroy(error, callback) {
    const state = this[kState];
    const id = this[kId];
    clearTimeout(state.timer);
    clearTimeout(state.patience);
    state.phase = CLOSED;
    if (id > 0) {
      publishClose(this, error);
      this[kId] = 0;
      closeId(id);
    }
    state.backlog?.leave();
    state.backlog = null;
    if (state.final !== null) {
      nextTick(life.failFinal, this, state, life.destroyedError(error, 'end'));
    }
    callback(error);
    // As in net, where libuv calls when the handle is closed: a loop over the stream has ended by then, and
    // whoever waits for 'close' after it is not too late.
    if (id > 0) closeLater(this, state, error);
    else nextTick(closeAtOnce, this, state, error);
    const { server } = state;
    state.server = null;
    server?.[kConnectionClosed]();
  }

  [kMessage](data, flags, words, at) {
    // It still has its number where the _destroy() of a subclass takes its time.
    if (this.destroyed) return;
    const state = this[kState];
    state.bytesRead += lengthAt(words, at);
    if (state.timer !== null) life.refreshTimer(state);
    if (flags & UNUSUAL) deliverUnusual(this, data, flags, words, at);
    else this[kDeliver](data, flags, words, at);
  }

  [kEnd]() {
    if (this.destroyed) return;
    const state = this[kState];
    state.reading = false;
    state.ended = true;
    if (state.sendFailure !== null) return;
    this.push(null);
    // Nothing is buffered: 'end' must not wait for a reader.
    if (this.readableLength === 0) this.read(0);
  }

  [kFinished]() {
    const state = this[kState];
    // As in net: a connect() behind the end that fails is reported first, to the end as well.
    if (state.phase !== CONNECTING || state.status >= 0) life.finishNow(state);
  }

  [kConnected]() {
    finishConnecting(this, this[kState]);
  }

  [kError](errno) {
    const state = this[kState];
    state.reading = false;
    // The same failure, which a send has found already.
    if (state.sendFailure === null) fail(this, this[kMakeError](errno, this[kReceived]));
  }

  /**
   * Emits `'timeout'` after so long without traffic; the socket stays open. 0: never.
   *
   * @param {number} milliseconds
   * @param {() => void} [callback] - once, on `'timeout'`
   * @returns {this}
   */
  setTimeout(milliseconds, callback) {
    const state = this[kState];
    if (this.destroyed) return this;
    const delay = check.duration(milliseconds, 'msecs');
    check.optionalCallback(callback);
    state.timeout = milliseconds;
    if (delay > 0) {
      // An HTTP server sets and unsets it with each request: the Timeout stays.
      if (state.timer !== null && Math.abs(state.timerDelay) === delay) {
        state.timer.refresh();
      } else {
        clearTimeout(state.timer);
        state.timer = setTimeout(onTimeout, delay, this).unref();
      }
      state.timerDelay = delay;
    } else if (state.timerDelay > 0) {
      state.timerDelay = -state.timerDelay;
    }
    if (callback && delay > 0) this.once('timeout', callback);
    else if (callback) this.off('timeout', callback);
    return this;
  }

  /** What setTimeout() was given; undefined before. As in net, to assign it sets no time-out. */
  get timeout() {
    return this[kState]?.timeout;
  }

  set timeout(value) {
    this[kState].timeout = value;
  }

  /** Whether a connection is being made. */
  get connecting() {
    return this[kState]?.phase === CONNECTING;
  }

  /** Not connected yet, or not any more. */
  get pending() {
    return !(this[kId] > 0) || this.connecting;
  }

  /** As in net.Socket. */
  get readyState() {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** Bytes received. */
  get bytesRead() {
    return this[kState]?.bytesRead;
  }

  /** Bytes accepted by write(). */
  get bytesWritten() {
    return this[kState]?.bytesWritten;
  }

  /** The name this end is bound to; '' if it has none. */
  address() {
    const name = this[kId] > 0 ? binding.localAddress(this[kId]) : -1;
    return typeof name === 'number' ? '' : name.toString();
  }

  /** The name of the peer ('' if it has none); undefined while there is no peer. */
  get remoteAddress() {
    const name = this[kId] > 0 ? binding.peerAddress(this[kId]) : -1;
    return typeof name === 'number' ? undefined : name.toString();
  }

  /** destroy(), with a callback for `'close'`. */
  close(callback) {
    check.optionalCallback(callback);
    if (callback) {
      if (this[kState].closeEmitted) nextTick(callback);
      else this.once('close', () => callback());
    }
    return this.destroy();
  }

  /** Destroys the socket once everything written is sent. */
  destroySoon() {
    // As in net, what has failed is not ended: that would uncork it.
    if (!this.destroyed && !this.writableEnded && this.errored === null) this.end();
    const state = this[kState];
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => life.destroyIn(this, state));
  }

  /**
   * Gives the descriptor up, for another process or another object: the socket is closed without the peer
   * noticing. Everything written must have been sent.
   *
   * @returns {{ fd: number, data: any, fds: number[] }} the descriptor, what was received and not read (null if
   *   nothing; bytes, or an array of messages; with setEncoding() strings, but bytes where a character has not come
   *   whole), and received descriptors that nobody has taken, in the order in which they came: all yours
   * @throws {Error} EBUSY: writes wait; ENOTCONN: there is no connection
   */
  detach() {
    if (this[kState].phase !== OPEN) throw this[kMakeError](-ENOTCONN, 'detach');
    if (this.writableLength > 0 || this[kWriter]?.isWaiting()) {
      throw this[kMakeError](-EBUSY, 'detach');
    }
    const data = takeUnread(this);
    // Those of messages that are given away here are asked for while the socket has them.
    const ofMessages = data.flatMap(takeUntaken);
    const [fd, ...fds] = demand(detachId(this[kId]), 'detach');
    this[kId] = 0;
    this.destroy();
    const isWhole = this.readableObjectMode;
    return {
      fd,
      data: isWhole ? data : joined(data, this.readableEncoding),
      fds: fds.concat(ofMessages),
    };
  }
}

shareSocketMembers(ConnectedSocket);

/** All that native code has taken from the kernel and nobody has read: without events, a listener would have it twice. */
function takeUnread(socket) {
  const state = socket[kState];
  const readable = socket._readableState;
  // What is left of a batch goes behind what is buffered. Neither is 'data' emitted nor 'end'.
  const { flowing } = readable;
  readable.flowing = false;
  readable.closeEmitted = true;
  handOverRest(socket[kId], socket);
  const { inHand } = state;
  state.inHand = null;
  if (inHand !== null) socket.push(inHand);
  // A read is not to take up receiving.
  state.ended = true;
  const data = [];
  for (let chunk; (chunk = Duplex.prototype.read.call(socket)) !== null;) data.push(chunk);
  const rest = partOfCharacter(readable.decoder);
  if (rest !== null) data.push(rest);
  // For a connection that follows.
  readable.flowing = flowing;
  return data;
}

/** All in one: a string, or bytes where one chunk is no string. */
function joined(chunks, encoding) {
  if (chunks.length === 0) return null;
  if (chunks.every((chunk) => typeof chunk === 'string')) return chunks.join('');
  return Buffer.concat(chunks.map((chunk) => bufferOf(chunk, encoding)));
}

/** What a decoder keeps of a character that has not come whole; null if there is none. */
function partOfCharacter(decoder) {
  if (!decoder || decoder.lastNeed === 0) return null;
  return Buffer.from(decoder.lastChar.subarray(0, decoder.lastTotal - decoder.lastNeed));
}

function deliverUnusual(socket, data, flags, words, at) {
  if (flags & flag.CREDENTIALS) data.credentials = sockets.credentialsAt(words, at);
  if (flags & flag.TRUNCATED) {
    fail(socket, socket[kMakeError](-ENOBUFS, socket[kReceived]));
    return;
  }
  socket[kDeliver](data, flags, words, at);
  if (flags & sockets.FDS_MISSING) fail(socket, sockets.descriptorError(flags));
}

/**
 * Gives data to the stream. Where it would be emitted at once anyway it is emitted here: push()
 * would also set a tick aside for each message, to ask whether to read more.
 */
function deliver(socket, data) {
  if (
    socket.readableFlowing &&
    socket.readableLength === 0 &&
    socket.readableDidRead &&
    socket.readableEncoding === null &&
    socket.listenerCount('data') > 0
  ) {
    socket.emit('data', data);
  } else {
    buffer(socket, data);
  }
}

function buffer(socket, data) {
  if (socket.errored !== null && socket.readableFlowing) {
    // A Readable that has failed takes nothing more.
    const readable = socket._readableState;
    const { decoder } = readable;
    readable.dataEmitted = true;
    socket.emit('data', decoder ? decoder.write(data) : data);
  } else if (!socket.push(data) && socket[kState].reading) {
    stopReading(socket);
  }
}

/** Also where the time-out was switched off meanwhile. */
function onTimeout(socket) {
  const state = socket[kState];
  if (!(state.timerDelay > 0)) return;
  // As in net: a write that waits and moves on is activity. One that is done by now was that when it was.
  const queued = socket[kId] > 0 ? binding.queuedBytes(socket[kId]) : 0;
  const { lastQueued } = state;
  state.lastQueued = queued;
  if (lastQueued > 0 && queued > 0 && queued !== lastQueued) state.timer.refresh();
  else socket.emit('timeout');
}

module.exports = { ConnectedSocket, deliver };
