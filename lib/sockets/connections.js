// Owns: loops over the connections of a server.
'use strict';

const { kState } = require('./members');

/** A server's method: begins to accept, if there is a listener or loop that wants connections. */
const kAcceptIfWanted = Symbol('kAcceptIfWanted');

/** Connections one by one: what nobody asks for stays in the backlog. */
class Connections {
  constructor(server) {
    this.server = server;
    this.isOver = false;
    /**
     * `{ socket, isShared }`: came for other listeners while this loop was busy; or, accepted already, when the server
     * was given up, and then nobody else may have got it.
     */
    this.buffered = [];
    /** What next() waits for. */
    this.waiting = [];
    this.isIdle = false;
    this.onConnection = (socket) => this.put(socket);
    this.onClose = () => this.end();
    this.setIdle(true);
    server.on('connection', this.onConnection);
    server.on('close', this.onClose);
  }

  next() {
    if (this.buffered.length > 0) return Promise.resolve(this.result(this.buffered.shift().socket));
    if (this.isOver || (!this.server.listening && this.server[kState].connections === 0)) {
      this.end();
      return Promise.resolve(this.result());
    }
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.setIdle(false);
      this.server[kAcceptIfWanted]();
    });
  }

  return(value) {
    this.end();
    for (const { socket, isShared } of this.buffered) if (!isShared) socket.destroy();
    return Promise.resolve({ value, done: true });
  }

  put(socket) {
    const isShared = this.server.listenerCount('connection') > 1;
    if (this.waiting.length === 0) this.buffered.push({ socket, isShared });
    else this.waiting.shift()(this.result(socket));
    this.setIdle(this.waiting.length === 0);
  }

  end() {
    if (this.isOver) return;
    this.isOver = true;
    for (const resolve of this.waiting.splice(0)) resolve(this.result());
    this.setIdle(false);
    this.server.off('connection', this.onConnection);
    this.server.off('close', this.onClose);
    this.server[kAcceptIfWanted]();
  }

  setIdle(isIdle) {
    this.server[kState].idleLoops += isIdle - this.isIdle;
    this.isIdle = isIdle;
  }

  result(value) {
    return { value, done: value === undefined };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

module.exports = { Connections, kAcceptIfWanted };
