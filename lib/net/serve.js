// Owns: serve(), which puts a web server on a Unix path: what the server is asked as if it listened itself, and what
// its listener is asked for it.
'use strict';

const { nextTick } = require('../util/host');
const { codedError, invalidType, textOf } = require('../util/errors');
const check = require('../util/validate');
const { ServedListener } = require('./served');

/** Web servers that serve() has put on a path and that have not closed yet. */
const fronts = new WeakMap();

/** Options of connections that a net.Server knows and keeps as properties. */
const KEPT = ['allowHalfOpen', 'pauseOnConnect', 'highWaterMark'];

/** Stands between a web server and what listens for it. */
class Front {
  constructor(web) {
    this.web = web;
    /** What listens, or begins to. */
    this.listener = null;
    /** All that have not closed: the one that listens, and those with connections. */
    this.open = new Set();
    this.install();
  }

  /** A member of the web server as its class has it. */
  original(name) {
    return Reflect.get(Object.getPrototypeOf(this.web), name, this.web);
  }

  /** Gives the web server, for as long as it is served, members of its own. */
  install() {
    const { web } = this;
    const members = {
      address: () => this.listener?.address() ?? this.original('address').call(web),
      close: (callback) => this.close(callback),
      getConnections: (callback) => this.getConnections(callback),
      listen: (...values) => this.listen(values),
      ref: () => this.setRef('ref'),
      unref: () => this.setRef('unref'),
      emit: (name, ...values) => this.emit(name, values),
      [Symbol.asyncDispose]: () => this.dispose(),
    };
    const get = () => this.isListening();
    this.own = { listening: { get, configurable: true } };
    for (const name of Reflect.ownKeys(members)) {
      this.own[name] = { value: members[name], writable: true, configurable: true };
    }
    Object.defineProperties(web, this.own);
    fronts.set(web, this);
  }

  /** Takes them away again, but for what others have put in their place. */
  remove() {
    const { own, web } = this;
    for (const name of Reflect.ownKeys(own)) {
      const { get, value } = Object.getOwnPropertyDescriptor(web, name) ?? {};
      if (get === own[name].get && value === own[name].value) delete web[name];
    }
    fronts.delete(web);
  }

  isListening() {
    return this.listener?.listening || this.original('listening');
  }

  /** Begins to listen. */
  start(options, callback) {
    const { web } = this;
    const { signal, ...rest } = options;
    const kept = KEPT.filter((name) => web[name] !== undefined).map((name) => [name, web[name]]);
    const listener = new ServedListener({ ...rest, ...Object.fromEntries(kept) });
    Object.defineProperty(listener, 'maxConnections', { get: () => this.roomFor(listener) });
    listener.on('connection', (socket) => web.emit('connection', socket));
    for (const name of ['drop', 'warning']) listener.on(name, (value) => web.emit(name, value));
    let hasListened = false;
    listener.on('listening', () => {
      hasListened = true;
      web.emit('listening');
    });
    listener.on('error', (error) => {
      // Accepting failed, and goes on; or it never listened.
      if (!hasListened) this.forget(listener);
      web.emit('error', error);
    });
    listener.on('close', () => {
      if (!this.open.has(listener)) return;
      this.forget(listener);
      // Which emit() keeps back while another one is open.
      web.emit('close');
    });
    this.listener = listener;
    this.open.add(listener);
    // As in net: what address() returns, also when it listens no more.
    if (rest.path !== undefined) web._pipeName = textOf(rest.path);
    // Where unref() came first: a net.Server shows it in no other way.
    if (web._unref) listener.unref();
    // As in net: what is aborted already listens to nothing, and is closed.
    if (!signal?.aborted) listener.listen(rest);
    if (callback) web.once('listening', callback);
    const stop = signal === undefined ? null : check.onAbort(signal, () => web.close());
    if (stop !== null) listener.once('close', stop);
  }

  /** How many connections a listener may have: the web server's limit is for all, also for those of listeners before. */
  roomFor(listener) {
    const { maxConnections, _connections: own = 0 } = this.web;
    if (maxConnections === undefined || maxConnections === null) return undefined;
    const others = [...this.open].filter((one) => one !== listener);
    return others.reduce((room, one) => room - one.sockets.size, maxConnections - own);
  }

  /** A listener is done. */
  forget(listener) {
    this.open.delete(listener);
    if (this.listener === listener) this.listener = null;
    if (this.open.size === 0) this.remove();
  }

  /** As the web server's: it closes what its class closes, connections that idle or sessions. */
  close(callback) {
    const { listener, web } = this;
    const isListening = listener?.listening;
    if (isListening && typeof callback === 'function') web.once('close', callback);
    this.listener = null;
    // Its own 'close', of a tick later, comes before that of the listener.
    const closeWeb = () => this.original('close').call(web, isListening ? undefined : callback);
    if (listener) listener.spareNewcomers(closeWeb);
    else closeWeb();
    listener?.close();
    return web;
  }

  /** Its class emits 'close' although connections of ours are open. */
  emit(name, values) {
    if (name === 'close' && this.open.size > 0) return true;
    return this.original('emit').call(this.web, name, ...values);
  }

  getConnections(callback) {
    const counts = [...this.open].map((one) => countOf(one));
    this.original('getConnections').call(this.web, async (error, count) => {
      const all = await Promise.all(counts);
      nextTick(
        callback,
        error,
        all.reduce((sum, one) => sum + one, count ?? 0),
      );
    });
    return this.web;
  }

  listen(values) {
    if (this.listener !== null) throw alreadyListens();
    return this.original('listen').apply(this.web, values);
  }

  setRef(method) {
    this.listener?.[method]();
    return this.original(method).call(this.web);
  }

  dispose() {
    return new Promise((resolve, reject) => {
      if (!this.isListening()) resolve();
      else this.web.close((error) => (error ? reject(error) : resolve()));
    });
  }
}

function countOf(server) {
  return new Promise((resolve) => {
    server.getConnections((_error, count) => resolve(count));
  });
}

function alreadyListens() {
  const message = 'Listen method has been called more than once without closing.';
  return codedError(Error, 'ERR_SERVER_ALREADY_LISTEN', message);
}

/** The web server that is meant: a function is what an http.Server gets requests with. */
function webServerOf(server) {
  if (typeof server === 'function') return require('http').createServer(server);
  const isServer = ['emit', 'close', 'listen', 'address'].every(
    (name) => typeof server?.[name] === 'function',
  );
  if (isServer) return server;
  throw invalidType('server', 'an http, https or http2 server or a function', server);
}

/** What serve() is given in place of options; a number would be a port. */
function optionsOf(path) {
  if (check.isOptions(path)) return check.optionsObject(path);
  return { __proto__: null, [typeof path === 'number' ? 'port' : 'path']: path };
}

/**
 * Puts an http, https or http2 server on a Unix path, as if it listened there itself.
 *
 * serve(server, path[, callback])
 * serve(server, options[, callback])
 *
 * @param {object | Function} server - or what http.createServer() takes: an Express app, app.callback() of Koa
 * @param {string | Buffer | URL | object} path - or options, as for listen() of UServer; and `allow`,
 *   `signal`, sizes of buffers
 * @param {() => void} [callback] - on `'listening'`
 * @returns {object} the web server
 * @throws {TypeError} ERR_INVALID_ARG_TYPE
 * @throws {Error} ERR_SERVER_ALREADY_LISTEN
 */
function serve(server, path, callback) {
  const web = webServerOf(server);
  check.optionalCallback(callback);
  const options = optionsOf(path);
  check.optionalSignal(options.signal);
  if (web.listening || fronts.get(web)?.listener) throw alreadyListens();
  const front = fronts.get(web) ?? new Front(web);
  try {
    front.start(options, callback);
  } catch (error) {
    // An argument that does not suit.
    front.forget(front.listener);
    throw error;
  }
  return web;
}

module.exports = { serve };
