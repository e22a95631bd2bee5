// Owns: the Socket of afunix/net: a USocket that does what net.Socket does, and nothing else.
'use strict';

const stream = require('stream');
const { isUint8Array } = require('util').types;
const connecting = require('../sockets/connecting');
const { kState } = require('../sockets/members');
const { makePair } = require('../sockets/pair');
const { USocket } = require('../sockets/usocket');
const { USocketPlan } = require('../sockets/usocket-plan');
const { codedError } = require('../util/errors');
const check = require('../util/validate');

const duplex = stream.Duplex.prototype;

/** The options of a Socket: net's own default for the marks, and no descriptors from strangers. */
class NetPlan extends USocketPlan {
  constructor(options) {
    const highWaterMark = options.highWaterMark ?? stream.getDefaultHighWaterMark(false);
    super({ __proto__: null, ...options, highWaterMark, receiveFds: false });
    this.emitsConnected = false;
    this.indirectLength = this.duplex.writableHighWaterMark;
  }
}

/** A Unix stream socket with net.Socket's shape: bytes and strings alone. See net.d.ts. */
class Socket extends USocket {
  /**
   * @param {object | number} [options] - as for net.Socket, or the descriptor to adopt; and those of
   *   USocket. As in net, `path` is for connect().
   */
  constructor(options) {
    const isPlan = options instanceof NetPlan;
    const given = isPlan ? undefined : optionsOf(options);
    super(isPlan ? options : new NetPlan(given));
    /** As in net: the server that accepted it, or null. */
    this.server = this[kState].server;
    if (given?.fd !== undefined) connecting.adoptDescriptor(this, given.fd);
  }

  /** Two sockets connected to each other, socketpair(2). The options are for both. */
  static pair(options) {
    return makePair(Socket, new NetPlan(check.optionsObject(options)));
  }

  /**
   * Connects to a path or an abstract name; as in net the callback is a listener for `'connect'`.
   *
   * @param {string | Buffer | URL | { path, timeout }} options
   * @param {() => void} [callback]
   */
  connect(options, callback) {
    check.optionalCallback(callback ?? undefined);
    if (check.isOptions(options) && options.path === undefined) {
      const { host, port } = options;
      super.connect({ host, port });
    } else {
      super.connect(options);
    }
    // A failure, too, comes in a later turn.
    if (callback) this.once('connect', callback);
    return this;
  }

  write(chunk, encoding, callback) {
    return isOther(chunk)
      ? writeOther(this, chunk, encoding, callback)
      : super.write(chunk, encoding, callback);
  }

  read(size) {
    return super.read(size);
  }

  unshift(chunk, encoding) {
    return duplex.unshift.call(this, chunk, encoding);
  }

  /** net's former name for `connecting`. */
  get _connecting() {
    return this.connecting;
  }

  /** As net has it for Unix sockets: an object without properties. The names are `remoteAddress` and the server's. */
  address() {
    return {};
  }

  /** As USocket's; of a socket without a connection it is an error, as in net. */
  resetAndDestroy() {
    if (this.pending && !this.connecting && !this.destroyed) {
      return this.destroy(codedError(Error, 'ERR_SOCKET_CLOSED', 'Socket is closed'));
    }
    return super.resetAndDestroy();
  }
}

/** No descriptors in or out, also for those who look. */
Socket.prototype.supportsUnixFd = false;
Socket.prototype.writeWithFds = undefined;

/** net's options: a number is a descriptor, anything else but an object is ignored. */
function optionsOf(options) {
  if (typeof options === 'number') return { __proto__: null, fd: options };
  return check.isOptions(options) ? check.optionsObject(options) : { __proto__: null };
}

/** Not what USocket knows as bytes. */
function isOther(chunk) {
  if (typeof chunk === 'string' || isUint8Array(chunk)) return false;
  return chunk !== undefined && chunk !== null && typeof chunk !== 'function';
}

let takesViews;

/** Whether this Node's Writable takes any view for bytes. */
function writableTakesViews() {
  try {
    return new stream.Writable({ write() {} }).write(new DataView(new ArrayBuffer(1)));
  } catch {
    return false;
  }
}

/** Node's own Writable decides: some take any view, and anything but bytes is a TypeError in all. */
function writeOther(socket, chunk, encoding, callback) {
  const isBytes = ArrayBuffer.isView(chunk) && (takesViews ??= writableTakesViews());
  const { write } = isBytes ? USocket.prototype : duplex;
  return write.call(socket, chunk, encoding, callback);
}

module.exports = { NetPlan, Socket };
