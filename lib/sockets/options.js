// Owns: options of sockets: checked once, and then a plan that any number of sockets is made from.
'use strict';

const { addAbortSignal } = require('stream');
const binding = require('../native/binding');
const { invalidValue } = require('../util/errors');
const { demand } = require('../native/results');
const check = require('../util/validate');

const { DEFAULT_MAX_PENDING_FDS } = binding.layout;
const DEFAULT_CONNECT_TIMEOUT = 10_000;
const DEFAULT_MAX_WAITING_FDS = 256;
const DEFAULT_HIGH_WATER_MARK = 64 * 1024;
/** Names for sizes of buffers: ours, and those that dgram has. */
const SIZES = [
  ['receiveBufferSize', 'recvBufferSize'],
  ['sendBufferSize', 'sendBufferSize'],
];

/** The options of every kind of socket, checked and with defaults. */
class SocketPlan {
  /**
   * @param {object} options - as users give them, own properties alone
   * @param {boolean} receiveFds - the default of that option
   */
  constructor(options, receiveFds) {
    const mark = options.maxPendingFds ?? DEFAULT_MAX_PENDING_FDS;
    const high = options.writableHighWaterMark ?? DEFAULT_HIGH_WATER_MARK;
    const waiting = options.maxWaitingFds ?? DEFAULT_MAX_WAITING_FDS;
    this.receiveFds = check.optionalBoolean(options.receiveFds, 'options.receiveFds', receiveFds);
    this.credentials = check.optionalBoolean(options.credentials, 'options.credentials', false);
    /** Of messages; see the plans of sockets that have those. */
    this.pidfd = false;
    this.maxPendingFds = check.integer(mark, 'options.maxPendingFds', 0, check.MAX_INT);
    this.maxWaitingFds = check.integer(waiting, 'options.maxWaitingFds', 1, check.MAX_INT);
    [this.receiveBufferSize, this.sendBufferSize] = SIZES.map((names) => sizeOf(options, names));
    this.writableHighWaterMark = check.integer(high, 'options.writableHighWaterMark');
    this.signal = check.optionalSignal(options.signal);
    /** Native code has this already: a socket needs no call for it. */
    this.isUsual =
      this.receiveFds === receiveFds &&
      !this.credentials &&
      this.maxPendingFds === DEFAULT_MAX_PENDING_FDS &&
      this.receiveBufferSize < 0 &&
      this.sendBufferSize < 0;
  }

  /** Applies it to a socket, or to what a listener accepts. */
  configure(id) {
    demand(this.tryToConfigure(id), 'setsockopt');
  }

  /** The same, without an exception: 0 or a negative errno. */
  tryToConfigure(id) {
    const { receiveFds, credentials, maxPendingFds, pidfd } = this;
    const sizes = [this.receiveBufferSize, this.sendBufferSize];
    return binding.configure(id, +receiveFds, +credentials, maxPendingFds, ...sizes, +pidfd);
  }

  /** The option `pidfd`. */
  takePidfdOption({ pidfd }) {
    this.pidfd = check.optionalBoolean(pidfd, 'options.pidfd', false);
    if (this.pidfd) this.isUsual = false;
  }
}

/** The options of sockets with one peer. A server makes one plan for all its connections. */
class ConnectedPlan extends SocketPlan {
  /**
   * @param {object} options
   * @param {object} kind
   * @param {number} kind.type - SOCK_STREAM or SOCK_SEQPACKET
   * @param {boolean} kind.receiveFds - the option's default
   * @param {object} kind.duplex - options of Duplex
   */
  constructor(options, { type, receiveFds, duplex }) {
    super(options, receiveFds);
    const wait = options.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT;
    const halfOpen = check.optionalBoolean(options.allowHalfOpen, 'options.allowHalfOpen', false);
    const paused = check.optionalBoolean(options.pauseOnConnect, 'options.pauseOnConnect', false);
    this.type = type;
    this.connectTimeout = check.integer(wait, 'options.connectTimeout', 0, check.MAX_INT);
    this.pauseOnConnect = paused;
    /** Of a stream alone. */
    this.onread = null;
    this.localPath = options.localPath;
    if (this.localPath !== undefined) check.pathBytes(this.localPath, 'options.localPath');
    /** Of Duplex. `'close'` is emitted here, since it has an argument. */
    this.duplex = new DuplexOptions({ allowHalfOpen: halfOpen, emitClose: false, ...duplex });
    /** For the connection that is being made from it: its id and its server. */
    this.id = 0;
    this.server = null;
  }
}

/**
 * What Duplex is given. It looks further up too: this inherits nothing, and is still no dictionary, as an object
 * literal without a prototype would be.
 */
class DuplexOptions {
  constructor(options) {
    Object.assign(this, options);
  }
}
Object.setPrototypeOf(DuplexOptions.prototype, null);

/** Bytes under either name, or -1 for what the system has. */
function sizeOf(options, names) {
  const name = names.find((one) => options[one] !== undefined);
  return name === undefined
    ? -1
    : check.integer(options[name], `options.${name}`, 1, check.MAX_INT);
}

/** Refuses an option about who may do what with a socket file where there is none: left out, nobody would notice. */
function demandFile(name, options) {
  if (name.length > 0 && name[0] !== 0) return;
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined || value === false) continue;
    const fault = 'needs a path: abstract names have no permissions';
    throw invalidValue(`options.${option}`, value, fault);
  }
}

/** As net does: a socket's chunks are bytes. */
function refuseObjectMode(options) {
  for (const name of ['objectMode', 'readableObjectMode', 'writableObjectMode']) {
    if (options[name]) throw invalidValue(`options.${name}`, options[name], 'is not supported');
  }
}

/** Destroys a stream when the signal is aborted; at once if it is already. */
function destroyOnAbort(signal, stream) {
  if (signal !== undefined) addAbortSignal(signal, stream);
}

module.exports = { ConnectedPlan, SocketPlan, demandFile, destroyOnAbort, refuseObjectMode };
