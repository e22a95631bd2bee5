// Owns: what afunix/net exports, under net's names.
'use strict';

const net = require('net');
require('../cluster');
const check = require('../util/validate');
const server = require('./server');
const { serve } = require('./serve');
const socket = require('./socket');

/** As net's, a class that can also be called without `new`. */
function Socket(options) {
  return Reflect.construct(socket.Socket, [options], new.target ?? Socket);
}

/** The same. */
function Server(options, connectionListener) {
  return Reflect.construct(server.Server, [options, connectionListener], new.target ?? Server);
}

/** Gives a function the place of a class. */
function standFor(Class, shown) {
  Object.setPrototypeOf(shown, Class);
  shown.prototype = Class.prototype;
  Object.defineProperty(shown.prototype, 'constructor', {
    value: shown,
    writable: true,
    configurable: true,
  });
}

standFor(socket.Socket, Socket);
standFor(server.Server, Server);

/**
 * A Socket that connects.
 *
 * connect(path[, callback])
 * connect(options[, callback])
 *
 * @param {string | Buffer | URL | { path, timeout, … }} options - of the Socket and of its connect()
 * @param {() => void} [callback] - on `'connect'`
 * @returns {Socket}
 */
function connect(options, callback) {
  const made = new Socket(check.isOptions(options) ? options : undefined);
  return made.connect(options, callback);
}

/**
 * A Server.
 *
 * @param {object} [options] - or the listener
 * @param {(socket: Socket) => void} [connectionListener]
 * @returns {Server}
 */
function createServer(options, connectionListener) {
  return new Server(options, connectionListener);
}

const { isIP, isIPv4, isIPv6 } = net;

module.exports = {
  Server,
  Socket,
  Stream: Socket,
  connect,
  createConnection: connect,
  createServer,
  isIP,
  isIPv4,
  isIPv6,
  serve,
};
