// Owns: how a server begins to listen.
'use strict';

const { Buffer } = require('buffer');
const binding = require('../native/binding');
const { descriptorOf } = require('../native/fds');
const { demand } = require('../native/results');
const { giveUpId, kId, loading, own } = require('../native/sockets');
const { publishListen } = require('../util/diagnostics');
const { codedError, noPath } = require('../util/errors');
const { nextTick } = require('../util/host');
const check = require('../util/validate');
const { kMakeError } = require('./life');
const { kAcceptIfWanted } = require('./connections');
const { kState } = require('./members');
const { demandFile } = require('./options');
const { emitCloseIfEmpty } = require('./server');
const { share } = require('./sharing');

/** As in net: the kernel's own limit (net.core.somaxconn) may be lower. */
const DEFAULT_BACKLOG = 511;

/** What listen() was given, checked. */
class ListenPlan {
  constructor(server, options) {
    const { path, fd, backlog, mode, uid, gid, unlinkOnClose, signal, host, port } = options;
    const { exclusive } = options;
    if (path === undefined && fd === undefined && (host !== undefined || port !== undefined)) {
      throw noPath(host, port);
    }
    this.path = path;
    this.fd = fd;
    // Without a name the kernel chooses one.
    this.name =
      fd !== undefined || path === undefined || path === null
        ? new Uint8Array()
        : check.pathBytes(path);
    this.backlog = check.integer(backlog ?? DEFAULT_BACKLOG, 'backlog', 0, check.MAX_INT);
    this.mode = check.optionalNumber(mode, 'options.mode', 0o7777);
    this.uid = check.optionalNumber(uid, 'options.uid', check.MAX_INT);
    this.gid = check.optionalNumber(gid, 'options.gid', check.MAX_INT);
    // An inherited socket has, or has not, what it was bound with.
    if (fd === undefined) demandFile(this.name, { mode, uid, gid });
    this.mode = withAccess(this, options);
    this.unlink = +check.optionalBoolean(unlinkOnClose, 'options.unlinkOnClose', true);
    this.exclusive = check.optionalBoolean(exclusive, 'options.exclusive', false);
    this.signals = [server[kState].signal, check.optionalSignal(signal)].filter(Boolean);
  }
}

/** The mode with net's `readableAll` and `writableAll`. */
function withAccess({ name, mode }, { readableAll, writableAll }) {
  const readable = check.optionalBoolean(readableAll, 'options.readableAll', false);
  const writable = check.optionalBoolean(writableAll, 'options.writableAll', false);
  if (!readable && !writable) return mode;
  demandFile(name, { readableAll: readable, writableAll: writable });
  const base = mode < 0 ? 0o777 & ~process.umask() : mode;
  return base | (readable ? 0o444 : 0) | (writable ? 0o222 : 0);
}

/**
 * Makes a server listen, or throws: ERR_SERVER_ALREADY_LISTEN, EADDRINUSE (a living server has the name, or
 * the file is no dead socket) and other errors of bind(2) and listen(2); for `fd` EBADF, ENOTSOCK,
 * EINVAL (it does not listen), EPROTOTYPE. In a worker of a cluster the outcome is an event.
 *
 * @param {boolean} keepsCallback - where that fails, too: it is called when a later listen() succeeds
 */
function listen(server, path, backlog, callback, keepsCallback) {
  if (typeof path === 'function') [path, callback] = [undefined, path];
  if (typeof backlog === 'function') [backlog, callback] = [undefined, backlog];
  if (typeof path === 'number') path = { port: path };
  const options = check.isOptions(path)
    ? { __proto__: null, backlog, ...path }
    : { __proto__: null, path, backlog };
  check.optionalCallback(callback);
  const plan = new ListenPlan(server, options);
  const state = server[kState];
  if (server[kId] > 0 || state.request !== null) {
    const message = 'Listen method has been called more than once without closing.';
    throw codedError(Error, 'ERR_SERVER_ALREADY_LISTEN', message);
  }
  // As in net: an aborted one listens to nothing, and is closed.
  if (plan.signals.some(({ aborted }) => aborted)) {
    emitCloseIfEmpty(server);
    return;
  }
  if (callback) server.once('listening', callback);
  if (share(server, plan, { open, begin })) return;
  try {
    begin(server, plan, open(server, plan));
  } catch (error) {
    if (callback && !keepsCallback) server.off('listening', callback);
    throw error;
  }
}

/** The name that the kernel has chosen, or whoever bound an adopted descriptor. */
function nameOf(id) {
  return demand(binding.localAddress(id), 'getsockname');
}

/** A server listens from here on. */
function begin(server, plan, id) {
  const state = server[kState];
  server[kId] = id;
  own(id, server);
  if (!state.referenced) binding.setRef(id, 0);
  try {
    // As it was given: a long path is bound under another.
    const { name } = plan;
    state.path = (name.length > 0 ? Buffer.from(name) : nameOf(id)).toString();
    state.backlogSize = plan.fd === undefined ? plan.backlog : undefined;
    server[kAcceptIfWanted]();
  } catch (error) {
    server[kId] = 0;
    giveUpId(id, plan.fd !== undefined);
    throw error;
  }
  const stops = plan.signals.map((signal) => check.onAbort(signal, () => server.close()));
  state.stopListening = stops.length === 0 ? null : () => stops.forEach((stop) => stop?.());
  publishListen(server, state.path);
  nextTick(() => {
    // As in net, also where it was closed and listens again.
    if (server[kId] > 0) server.emit('listening');
  });
}

/** A listening socket; its id. */
function open(server, { path, fd, name, backlog, mode, uid, gid, unlink }) {
  const { plan } = server[kState];
  const { [kMakeError]: makeError } = server;
  const isAdopted = fd !== undefined;
  const made = isAdopted
    ? binding.adoptListener(loading, plan.type, descriptorOf(fd, 'options.fd'))
    : binding.createListener(loading, plan.type);
  const id = demand(made, isAdopted ? 'adopt' : 'socket', path, makeError);
  try {
    // Before anybody can connect: what is sent first has credentials too.
    if (!plan.isUsual) plan.configure(id);
    if (isAdopted) return id;
    const listening = binding.listen(id, name, backlog, mode, uid, gid, unlink);
    demand(listening, 'listen', path, makeError);
    return id;
  } catch (error) {
    giveUpId(id, isAdopted);
    throw error;
  }
}

module.exports = { listen };
