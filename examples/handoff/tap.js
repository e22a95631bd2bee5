'use strict';

// A Duplex between a socket and whatever speaks a protocol over it, which can be taken off again
// without closing the socket. What was not read through it is left to the socket.

const { Duplex } = require('node:stream');

/** Before a body, if there is one. */
const END_OF_HEADERS = Buffer.from('\r\n\r\n');

class Tap extends Duplex {
  #socket;
  #isOpen = true;

  constructor(socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('data', this.#pass).on('end', this.#finish).on('error', this.#fail);
    socket.on('close', this.#close);
    socket.pause();
  }

  /** Whether no byte was passed on since the tap was made: nobody has begun to read a message. */
  isIdle = true;
  /** Whether the last bytes that were passed on may be the end of an HTTP request without a body. */
  endsRequest = false;

  /** Reads from the socket again. */
  open() {
    this.#isOpen = true;
    this.#socket?.resume();
  }

  /** From here on nothing more is read from the socket. */
  shut() {
    this.#isOpen = false;
    this.#socket.pause();
  }

  /** Takes the tap off. @returns {net.Socket} the socket, paused, open and as if it had been alone */
  takeOff() {
    this.shut();
    const socket = this.#socket;
    socket.off('data', this.#pass).off('end', this.#finish).off('error', this.#fail);
    socket.off('close', this.#close);
    this.#socket = null;
    this.destroy();
    return socket;
  }

  #pass = (chunk) => {
    this.isIdle = false;
    this.endsRequest = chunk.subarray(-4).equals(END_OF_HEADERS);
    if (!this.push(chunk)) this.#socket.pause();
  };

  #finish = () => this.push(null);

  #fail = (error) => this.destroy(error);

  #close = () => this.destroy();

  _read() {
    if (this.#isOpen) this.#socket.resume();
  }

  _write(chunk, encoding, callback) {
    this.#socket.write(chunk, callback);
  }

  _final(callback) {
    this.#socket.end(callback);
  }

  _destroy(error, callback) {
    this.#socket?.destroy(error);
    callback(error);
  }
}

module.exports = { Tap };
