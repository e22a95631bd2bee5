// Owns: the Server of afunix/net: a UServer whose connections are Sockets of afunix/net.
'use strict';

const check = require('../util/validate');
const { kConnectionKind } = require('../sockets/server');
const { UServer } = require('../sockets/userver');
const { NetPlan, Socket } = require('./socket');

/** A server of Unix stream sockets with net.Server's shape. See net.d.ts. */
class Server extends UServer {
  /**
   * @param {object | null} [options] - as for net.Server and UServer, or the listener
   * @param {(socket: Socket) => void} [connectionListener]
   */
  constructor(options, connectionListener) {
    if (typeof options === 'function') [options, connectionListener] = [undefined, options];
    const given = check.optionsObject(options ?? undefined);
    super(given, connectionListener ?? undefined);
    /** As net has them. */
    this.allowHalfOpen = given.allowHalfOpen ?? false;
    this.pauseOnConnect = given.pauseOnConnect ?? false;
  }

  static [kConnectionKind] = { Socket, Plan: NetPlan };
}

module.exports = { Server };
