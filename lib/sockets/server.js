// Owns: what both servers have in common: listening, accepting, closing, counting connections.
'use strict';

const { EventEmitter } = require('events');
const fs = require('fs');
const { Duplex } = require('stream');
const { EAGAIN } = require('os').constants.errno;
const binding = require('../native/binding');
const { demand } = require('../native/results');
const sockets = require('../native/sockets');
const { publishClose, publishConnection } = require('../util/diagnostics');
const { codedError, systemError } = require('../util/errors');
const { nextTick, setImmediate, setTimeout } = require('../util/host');
const check = require('../util/validate');
const { kMakeError } = require('./life');
const { Connections, kAcceptIfWanted } = require('./connections');
const { kConnectionClosed, kState, shareDescriptorMembers } = require('./members');

const { closeId, detachId, kAccepts, kConnection, kError, kId, kShortage } = sockets;

const kCaptureRejection = Symbol.for('nodejs.rejection');

/**
 * Of a class of servers: `{ Socket, Plan, asNet }`, the class of its connections, that of their options, and whether it
 * does as net's servers do: it accepts before there is a listener, and these get the socket alone.
 */
const kConnectionKind = Symbol('kConnectionKind');

/** What a server knows. */
class ServerState {
  constructor({ Socket, asNet = false }, plan, allow, signal) {
    this.Socket = Socket;
    this.asNet = asNet;
    /** What connections are made from. */
    this.plan = plan;
    this.allow = allow;
    this.signal = signal;
    /** The name, kept after close() as net keeps it. */
    this.path = null;
    this.connections = 0;
    /** Connections so far. */
    this.accepted = 0;
    this.referenced = true;
    this.paused = false;
    /** Loops over connections that are busy with one: they listen, and want no more now. */
    this.idleLoops = 0;
    /** Native code accepts. */
    this.accepting = false;
    /** So many connections may wait; undefined of a socket that was adopted. */
    this.backlogSize = undefined;
    /** Takes back what listening has set up. It gets whether others listen at that name from here on. */
    this.stopListening = null;
    /** In a worker of a cluster: what it asks of the primary. */
    this.request = null;
  }
}

/**
 * A server of connected Unix sockets, as net.Server is of TCP ones.
 *
 * Events: `'listening'`, `'connection'(socket, path)`, `'drop'({ peer, reason })` (`'maxConnections'`, or not
 * allowed), `'warning'(error)` (accepting pauses for want of descriptors or memory, and goes on by itself; an
 * `allow` that throws), `'error'(error)`, `'close'`.
 */
class SocketServer extends EventEmitter {
  /**
   * @param {object} [options] - given to each connection's socket, but for these:
   * @param {AbortSignal} [options.signal] - closes the server
   * @param {(peer: { pid, uid, gid }) => boolean} [options.allow] - asked before `'connection'`:
   *   anything but true closes the connection at once
   * @param {(socket: object) => void} [connectionListener]
   */
  constructor(options, connectionListener) {
    const kind = new.target[kConnectionKind];
    if (typeof options === 'function') [options, connectionListener] = [undefined, options];
    check.optionalCallback(connectionListener, 'connectionListener');
    const { signal, allow, captureRejections, ...forSockets } = check.optionsObject(options);
    super({ captureRejections });
    check.optionalSignal(signal);
    check.optionalCallback(allow, 'options.allow');
    /** Above this many connections new ones are closed at once. No limit unless set. */
    this.maxConnections = undefined;
    this[kId] = 0;
    const plan = new kind.Plan({ __proto__: null, ...forSockets });
    // What Duplex refuses now it would refuse for each connection.
    new Duplex(plan.duplex);
    this[kState] = new ServerState(kind, plan, allow, signal);
    if (connectionListener) this.on('connection', connectionListener);
  }

  /** Whether the server listens. */
  get listening() {
    return this[kId] > 0;
  }

  /** Whether it wants connections now: most not before there is a listener. */
  get [kAccepts]() {
    const { asNet, idleLoops, paused } = this[kState];
    if (this[kId] === 0 || paused) return false;
    if (asNet && idleLoops === 0) return true;
    if (this.listenerCount('connection') > idleLoops) return true;
    setAccepting(this, false);
    return false;
  }

  [kAcceptIfWanted]() {
    if (this[kId] > 0 && this[kAccepts]) setAccepting(this, true);
  }

  /** As of any emitter; the first listener for `'connection'` starts to accept. */
  on(event, listener) {
    super.on(event, listener);
    if (event === 'connection') this[kAcceptIfWanted]();
    return this;
  }

  /** The same as on(). */
  addListener(event, listener) {
    return this.on(event, listener);
  }

  /** The same as on(), before other listeners. */
  prependListener(event, listener) {
    super.prependListener(event, listener);
    if (event === 'connection') this[kAcceptIfWanted]();
    return this;
  }

  /** The name the server listens at; null while it does not. */
  address() {
    return this[kId] > 0 ? this[kState].path : null;
  }

  /**
   * How many connections are open.
   *
   * @param {(error: null, count: number) => void} callback - in the next tick
   */
  getConnections(callback) {
    check.optionalCallback(callback);
    nextTick(callback, null, this[kState].connections);
    return this;
  }

  /** Accepts no more until resume(): connections wait in the backlog. */
  pause() {
    this[kState].paused = true;
    setAccepting(this, false);
    return this;
  }

  /** Accepts again. */
  resume() {
    this[kState].paused = false;
    this[kAcceptIfWanted]();
    return this;
  }

  /**
   * Stops listening and removes the socket file, if it is still ours. Connections stay; `'close'` comes when the
   * last of them has ended. Idempotent.
   *
   * @param {object} [options]
   * @param {boolean} [options.drain=false] - the file goes first; connections that wait in the backlog already
   *   are accepted and served, and then the server stops listening: nobody is refused who could connect
   * @param {(error?: Error) => void} [callback] - with `'close'`; ERR_SERVER_NOT_RUNNING if the
   *   server did not listen
   */
  close(options, callback) {
    if (!check.isOptions(options)) [options, callback] = [undefined, options ?? callback];
    const { drain } = check.optionsObject(options);
    const isDraining = check.optionalBoolean(drain, 'options.drain', false);
    if (typeof callback === 'function') {
      if (this[kId] === 0) this.once('close', () => callback(notRunning()));
      else this.once('close', () => callback());
    }
    if (this[kId] > 0 && isDraining) drainBacklog(this);
    else stopListening(this);
    return this;
  }

  /**
   * Gives the listening descriptor up, for another process or another object: the file stays, and connections wait
   * in the backlog. What has been accepted stays open here.
   *
   * @returns {{ fd: number, data: null, fds: number[] }} yours from here on
   * @throws {Error} ERR_SERVER_NOT_RUNNING
   */
  detach() {
    if (this[kId] === 0) throw notRunning();
    // Who has been accepted already is not in the backlog any more.
    for (let id; (id = binding.accept(this[kId])) >= 0;) admit(this, id);
    // A listener for 'connection' was faster.
    if (this[kId] === 0) throw notRunning();
    const [fd] = demand(detachId(this[kId]), 'detach');
    this[kId] = 0;
    forgetListening(this, true);
    emitCloseIfEmpty(this);
    return { fd, data: null, fds: [] };
  }

  /** close(), as a promise of `'close'`. */
  [Symbol.asyncDispose]() {
    return new Promise((resolve) => {
      if (this[kId] === 0 && this[kState].connections === 0) {
        resolve();
        return;
      }
      this.once('close', resolve);
      stopListening(this);
    });
  }

  /** Connections, until the server is closed. They are accepted as the loop asks for them. */
  [Symbol.asyncIterator]() {
    return new Connections(this);
  }

  /** As of net.Server: what an async listener for `'connection'` throws destroys that connection. */
  [kCaptureRejection](error, event, socket) {
    if (event === 'connection') socket.destroy(error);
    else this.emit('error', error);
  }

  [kConnection]() {
    const id = binding.accept(this[kId]);
    if (id >= 0) admit(this, id);
    else if (id !== -EAGAIN) this.emit('error', this[kMakeError](id, 'accept', this[kState].path));
  }

  /** A connection's socket has closed. */
  [kConnectionClosed]() {
    this[kState].connections--;
    if (this[kId] === 0) emitCloseIfEmpty(this);
  }

  [kMakeError](errno, syscall, path) {
    return systemError(errno, syscall, path);
  }

  [kShortage](errno) {
    this.emit('warning', this[kMakeError](errno, 'accept', this[kState].path));
  }

  [kError](errno) {
    this.emit('error', this[kMakeError](errno, 'accept', this[kState].path));
  }
}

shareDescriptorMembers(SocketServer);

/** Makes a socket of an accepted connection, unless it may not stay. */
function admit(server, id) {
  const state = server[kState];
  state.accepted++;
  const reason = refusal(server, id);
  if (reason !== undefined) {
    const peer = server.listenerCount('drop') > 0 ? sockets.peerCredentials(id) : undefined;
    closeId(id);
    if (reason !== null) server.emit('drop', { peer, reason });
    return;
  }
  const { plan, Socket } = state;
  let socket;
  plan.id = id;
  plan.server = server;
  try {
    socket = new Socket(plan);
  } catch (error) {
    // The system has no means for one more: the caller is native code, and nobody else would know.
    closeId(id);
    server.emit('error', error);
    return;
  } finally {
    plan.id = 0;
    plan.server = null;
  }
  state.connections++;
  publishConnection(server, socket);
  if (state.asNet) server.emit('connection', socket);
  else server.emit('connection', socket, state.path);
}

/** Why a new connection may not stay; undefined if it may, null if there is nobody to report that to. */
function refusal(server, id) {
  const { allow, connections } = server[kState];
  if (connections >= (server.maxConnections ?? Infinity)) return 'maxConnections';
  if (allow === undefined) return undefined;
  let answer = false;
  try {
    answer = allow(sockets.peerCredentials(id));
  } catch (error) {
    server.emit('warning', error);
  }
  // It may have closed the server.
  if (server[kId] === 0) return null;
  return answer === true ? undefined : 'allow';
}

function setAccepting(server, accepting) {
  const state = server[kState];
  if (state.accepting === accepting || server[kId] === 0) return;
  const status = binding.setAccepting(server[kId], +accepting);
  if (accepting) demand(status, 'epoll_ctl');
  state.accepting = accepting;
}

function notRunning() {
  return codedError(Error, 'ERR_SERVER_NOT_RUNNING', 'Server is not running.');
}

/** Turns of the event loop without a connection after which nobody is in the backlog any more. */
const IDLE_TURNS = 2;

/** Connections that wait beyond a backlog: the kernel lets one more in, and some may have been accepted already. */
const BEYOND_BACKLOG = 32;

/** How often a server that is short of memory or descriptors is asked whether it still is, in milliseconds. */
const SHORTAGE_PAUSE = 10;

/** The longest backlog, where the system does not say. */
const SOMAXCONN = 4096;

/** The file goes; who is in the backlog is served; then the server stops listening. */
function drainBacklog(server) {
  const id = server[kId];
  const state = server[kState];
  demand(binding.removeFile(id), 'unlink', state.path);
  server.resume();
  let { accepted } = state;
  // An abstract name stays, and that of a socket which others have: who comes now could keep it listening for ever.
  const last = accepted + (state.backlogSize ?? longestBacklog()) + BEYOND_BACKLOG;
  let turns = 0;
  const look = () => {
    if (server[kId] !== id) return;
    // They wait until there is memory, or a descriptor; close() ends it.
    if (binding.isShort(id) === 1) {
      setTimeout(look, SHORTAGE_PAUSE);
      return;
    }
    turns = state.accepted === accepted ? turns + 1 : 0;
    ({ accepted } = state);
    if (turns > IDLE_TURNS || accepted > last) stopListening(server);
    else setImmediate(look);
  };
  setImmediate(look);
}

/** What no backlog is longer than, net.core.somaxconn. */
function longestBacklog() {
  try {
    return Number(fs.readFileSync('/proc/sys/net/core/somaxconn', 'latin1')) || SOMAXCONN;
  } catch {
    return SOMAXCONN;
  }
}

/** Closes the listening socket, if there is one. */
function stopListening(server) {
  const id = server[kId];
  const state = server[kState];
  state.request?.cancel();
  state.request = null;
  if (id > 0) {
    if (!publishClose(server)) return;
    server[kId] = 0;
    closeId(id);
    forgetListening(server);
  }
  emitCloseIfEmpty(server);
}

function forgetListening(server, isGivenUp = false) {
  const state = server[kState];
  state.accepting = false;
  state.stopListening?.(isGivenUp);
  state.stopListening = null;
}

function emitCloseIfEmpty(server) {
  if (server[kState].connections > 0) return;
  nextTick(emitClose, server);
}

function emitClose(server) {
  server.emit('close');
}

module.exports = { SocketServer, emitCloseIfEmpty, kConnectionKind };
