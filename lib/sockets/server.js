// Owns: what both servers have in common: listening, accepting, closing, counting connections.
'use strict';

const { EventEmitter, on } = require('events');
const { codedError, systemError } = require('../util/errors');
const { tellClose, tellConnection, tellListen } = require('../util/diagnostics');
const { descriptorOf } = require('../native/fds');
const check = require('../util/validate');
const { kChecked } = require('./connected');
const { kConnectionClosed, kState, shareHandleMembers } = require('./members');
const handles = require('../native/sockets');
const { kAdoptHandle } = require('./pair');

const { Endpoint, Listener, demand, kAccepts, kConnection, kError, kHandle, kShortage } = handles;

/** As in net: the kernel's own limit (net.core.somaxconn) may be lower. */
const DEFAULT_BACKLOG = 511;

/**
 * A server of connected Unix sockets, as net.Server is of TCP ones.
 *
 * Events: `'listening'`, `'connection'(socket, path)`, `'drop'` (beyond `maxConnections`, or not
 * allowed), `'warning'(error)` (accepting pauses for want of descriptors or memory, and goes on by itself),
 * `'error'(error)`, `'close'`.
 */
class SocketServer extends EventEmitter {
  /**
   * @param {Function} Socket - the class of its connections
   * @param {object} [options] - given to each connection's socket, but for these:
   * @param {AbortSignal} [options.signal] - closes the server
   * @param {(peer: { pid, uid, gid }) => boolean} [options.allow] - asked before `'connection'`:
   *   anything but true closes the connection at once
   * @param {(socket: object) => void} [connectionListener]
   */
  constructor(Socket, options, connectionListener) {
    super();
    if (typeof options === 'function') [options, connectionListener] = [undefined, options];
    check.optionalCallback(connectionListener, 'connectionListener');
    const { signal, allow, ...forSockets } = check.optionsObject(options);
    check.optionalSignal(signal);
    check.optionalCallback(allow, 'options.allow');
    // An unsuitable option is an error here, not at the first connection.
    const probe = new Socket({ ...forSockets, fd: undefined, path: undefined });
    const { options: checked, type } = probe[kState];
    probe.destroy();
    /** Above this many connections new ones are closed at once. No limit unless set. */
    this.maxConnections = undefined;
    this[kHandle] = null;
    this[kState] = {
      Socket,
      type,
      socketOptions: { ...forSockets, fd: undefined, path: undefined, [kChecked]: checked },
      allow,
      path: '',
      connections: 0,
      referenced: true,
      paused: false,
      closeEmitted: true,
      stopListening: null,
    };
    if (connectionListener) this.on('connection', connectionListener);
    if (signal) this[kState].stopListening = check.onAbort(signal, () => this.close());
  }

  /** Whether the server accepts connections. */
  get listening() {
    return this[kHandle] !== null;
  }

  get [kAccepts]() {
    return this[kHandle] !== null && !this[kState].paused;
  }

  /** The name the server listens at; null while it does not. */
  address() {
    const name = this[kHandle]?.localAddress();
    return name === undefined || typeof name === 'number' ? null : name.toString();
  }

  /**
   * How many connections are open.
   *
   * @param {(error: null, count: number) => void} callback - in the next tick
   */
  getConnections(callback) {
    check.optionalCallback(callback);
    process.nextTick(callback, null, this[kState].connections);
    return this;
  }

  /** Accepts no more until resume(): connections wait in the backlog. */
  pause() {
    this[kState].paused = true;
    this[kHandle]?.setAccepting(0);
    return this;
  }

  /** Accepts again. */
  resume() {
    this[kState].paused = false;
    if (this[kHandle] !== null) demand(this[kHandle].setAccepting(1), 'epoll_ctl');
    return this;
  }

  /**
   * Stops listening at once and removes the socket file, if it is still ours. Connections stay;
   * `'close'` comes when the last of them has ended. Idempotent.
   *
   * @param {(error?: Error) => void} [callback] - with `'close'`; ERR_SERVER_NOT_RUNNING if the
   *   server did not listen
   */
  close(callback) {
    check.optionalCallback(callback);
    const handle = this[kHandle];
    if (callback) {
      if (handle !== null) {
        this.once('close', () => callback());
      } else {
        const error = codedError(Error, 'ERR_SERVER_NOT_RUNNING', 'Server is not running.');
        process.nextTick(callback, error);
      }
    }
    if (handle === null) return this;
    tellClose(this);
    this[kHandle] = null;
    this[kState].stopListening?.();
    handle.close();
    emitCloseIfEmpty(this);
    return this;
  }

  /** close(), as a promise of `'close'`. */
  [Symbol.asyncDispose]() {
    return new Promise((resolve) => {
      if (this[kState].closeEmitted) resolve();
      else this.once('close', resolve);
      this.close();
    });
  }

  /** Connections, until the server is closed. */
  async *[Symbol.asyncIterator]() {
    for await (const [socket] of on(this, 'connection', { close: ['close'] })) yield socket;
  }

  [kConnection]() {
    const { Socket, type, socketOptions, allow, path } = this[kState];
    const handle = new Endpoint(type);
    const status = handle.acceptFrom(this[kHandle]);
    if (status < 0) {
      handle.close();
      this.emit('error', systemError(status, 'accept', path));
      return;
    }
    const isFull = this[kState].connections >= (this.maxConnections ?? Infinity);
    if (isFull || !isAllowed(allow, handle)) {
      handle.close();
      this.emit('drop');
      return;
    }
    let socket;
    try {
      socket = new Socket({ ...socketOptions, [kAdoptHandle]: handle });
    } catch (error) {
      // The system has no means for one more: the caller is native code, and nobody else would know.
      handle.close();
      this.emit('error', error);
      return;
    }
    socket[kState].server = this;
    this[kState].connections++;
    tellConnection(this, socket);
    this.emit('connection', socket, path);
  }

  /** A connection's socket has closed. */
  [kConnectionClosed]() {
    this[kState].connections--;
    if (this[kHandle] === null) emitCloseIfEmpty(this);
  }

  [kShortage](errno) {
    this.emit('warning', systemError(errno, 'accept', this[kState].path));
  }

  [kError](errno) {
    this.emit('error', systemError(errno, 'accept', this[kState].path));
  }
}

shareHandleMembers(SocketServer);

/** Whether the peer of a new connection may stay; an exception of the user's refuses it too. */
function isAllowed(allow, handle) {
  if (allow === undefined) return true;
  let answer = false;
  try {
    answer = allow(handles.peerCredentials(handle));
  } finally {
    if (answer !== true) handle.close();
  }
  return answer === true;
}

/**
 * Makes a server listen, or throws: ERR_SERVER_ALREADY_LISTEN, EADDRINUSE (somebody lives there, or
 * the file is no dead socket) and other errors of bind(2) and listen(2); for `fd` EBADF, ENOTSOCK,
 * EINVAL (it does not listen), EPROTOTYPE.
 */
function listen(server, path, backlog, callback) {
  if (typeof path === 'function') [path, callback] = [undefined, path];
  if (typeof backlog === 'function') [backlog, callback] = [undefined, backlog];
  let options = {};
  if (check.isOptions(path)) {
    options = path;
    ({ path, backlog = backlog } = options);
  }
  check.optionalCallback(callback);
  const { fd, mode } = options;
  const length = check.integer(backlog ?? DEFAULT_BACKLOG, 'backlog', 0, check.MAX_INT);
  const bits = mode === undefined ? -1 : check.integer(mode, 'options.mode', 0, 0o7777);
  const state = server[kState];
  if (server[kHandle] !== null) {
    const message = 'Listen method has been called more than once without closing.';
    throw codedError(Error, 'ERR_SERVER_ALREADY_LISTEN', message);
  }
  const handle = new Listener(state.type);
  if (fd !== undefined) {
    demand(handle.adopt(descriptorOf(fd, 'options.fd')), 'adopt');
  } else {
    // Without a name the kernel chooses one.
    const name = path === undefined || path === null ? new Uint8Array() : check.pathBytes(path);
    demand(handle.listen(name, length, bits), 'listen', path);
  }
  handle.owner = server;
  if (!state.referenced) handle.setRef(0);
  try {
    if (!state.paused) demand(handle.setAccepting(1), 'epoll_ctl');
  } catch (error) {
    handle.close();
    throw error;
  }
  server[kHandle] = handle;
  state.closeEmitted = false;
  state.path = server.address();
  tellListen(server, state.path);
  if (callback) server.once('listening', callback);
  process.nextTick(() => {
    if (server[kHandle] === handle) server.emit('listening');
  });
}

function emitCloseIfEmpty(server) {
  const state = server[kState];
  if (state.connections > 0 || state.closeEmitted) return;
  state.closeEmitted = true;
  process.nextTick(() => server.emit('close'));
}

module.exports = { SocketServer, listen };
