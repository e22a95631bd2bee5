// Owns: the Server of afunix/net: a UServer whose connections are Sockets of afunix/net.
'use strict';

const { invalidValue } = require('../util/errors');
const check = require('../util/validate');
const { kConnectionKind } = require('../sockets/server');
const { UServer } = require('../sockets/userver');
const { NetPlan, Socket } = require('./socket');

/** Options of listen() that say where; the last two are errors of their own. */
const WHERE = ['path', 'fd', 'host', 'port'];

/** A server of Unix stream sockets with net.Server's shape. See net.d.ts. */
class Server extends UServer {
  /**
   * @param {object | null} [options] - as for net.Server and UServer, or the listener
   * @param {(socket: Socket) => void} [connectionListener]
   */
  constructor(options, connectionListener) {
    if (typeof options === 'function') [options, connectionListener] = [undefined, options];
    const given = check.optionsObject(options ?? undefined);
    const { highWaterMark } = given;
    if (highWaterMark !== undefined) check.number(highWaterMark, 'options.highWaterMark');
    // As in net, one below 0 is none.
    if (highWaterMark < 0) given.highWaterMark = undefined;
    super(given, connectionListener ?? undefined);
    /** As net has them. */
    this.allowHalfOpen = given.allowHalfOpen ?? false;
    this.pauseOnConnect = given.pauseOnConnect ?? false;
  }

  static [kConnectionKind] = { Socket, Plan: NetPlan, asNet: true };

  /** As UServer's; but as in net, options have to say where. */
  listen(path, backlog, callback) {
    if (check.isOptions(path) && WHERE.every((name) => path[name] === undefined)) {
      throw invalidValue('options', path, 'must have the property "path"');
    }
    return super.listen(path, backlog, callback);
  }
}

module.exports = { Server };
