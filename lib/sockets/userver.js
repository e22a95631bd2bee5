// Owns: UServer, a server of USockets.
'use strict';

const { serverError } = require('../util/errors');
const { nextTick } = require('../util/host');
const { kMakeError } = require('./life');
const { listen } = require('./listen');
const { kState } = require('./members');
const { SocketServer, kConnectionKind } = require('./server');
const { USocket } = require('./usocket');
const { USocketPlan } = require('./usocket-plan');

/**
 * A server of stream sockets, as net.Server is.
 *
 * Events: `'listening'`, `'connection'(socket, path)`, `'drop'({ peer, reason })`, `'warning'`, `'error'`,
 * `'close'`.
 */
class UServer extends SocketServer {
  /**
   * @param {object} [options] - as for USocket, given to each connection; `signal` closes the
   *   server
   * @param {(peer: { pid, uid, gid }) => boolean} [options.allow] - asked before `'connection'`:
   *   anything but true closes the connection at once
   * @param {(socket: USocket) => void} [connectionListener]
   */
  constructor(options, connectionListener) {
    super(options, connectionListener);
  }

  static [kConnectionKind] = { Socket: USocket, Plan: USocketPlan };

  /**
   * Starts to listen; `'listening'` follows in the next tick. What the system refuses is an
   * `'error'` event: EADDRINUSE, EACCES …
   *
   * @param {string | Buffer | URL | object} [path] - or `{ path, fd, backlog, mode, uid, gid, … }`, see
   *   server.d.ts; no path: the kernel chooses an abstract name
   * @param {number} [backlog=511]
   * @param {() => void} [callback] - on the next `'listening'`, also where this fails and a later listen() succeeds
   * @returns {this}
   * @throws {Error} ERR_SERVER_ALREADY_LISTEN
   */
  listen(path, backlog, callback) {
    try {
      // As net: who hears of an error listens again, and the callback is for that, too.
      listen(this, path, backlog, callback, true);
    } catch (error) {
      if (error.syscall === undefined) throw error;
      nextTick(() => this.emit('error', error));
    }
    return this;
  }

  /** The name the server listens at, or listened at last, as in net; null if it never did. */
  address() {
    return this[kState].path;
  }

  [kMakeError](errno, syscall, path) {
    return serverError(errno, syscall, path);
  }
}

module.exports = { UServer };
