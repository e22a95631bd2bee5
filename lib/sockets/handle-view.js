// Owns: what stands in for the handle of a net.Socket.
'use strict';

const { executionAsyncId } = require('async_hooks');
const life = require('./life');
const { kState } = require('./members');

/** What libraries look for, and http calls, in a net.Socket's handle. */
class HandleView {
  constructor(socket) {
    this.socket = socket;
  }

  get fd() {
    return this.socket.fd;
  }

  get reading() {
    return this.socket[kState].reading;
  }

  /** http sets it before it calls: what is true is what those calls do. */
  set reading(_value) {
    // Nothing.
  }

  readStart() {
    life.resumeReading(this.socket);
  }

  readStop() {
    if (this.reading) life.stopReading(this.socket);
  }

  getAsyncId() {
    return executionAsyncId();
  }
}

module.exports = { HandleView };
