'use strict';

// The attacker of cases/hostile.js: does with plain system calls what no decent client does. Imports
// afunix/posix alone; answers as hostile-process.js asks.

const fs = require('node:fs');
const posix = require('../../../lib/posix');
const { answer } = require('./hostile-process.js');

const { AF_UNIX, SOL_SOCKET } = posix;
const TYPES = {
  stream: posix.SOCK_STREAM,
  seqpacket: posix.SOCK_SEQPACKET,
  dgram: posix.SOCK_DGRAM,
};
const MOST_FDS = 253;
/** Messages of a flood, however busy the machine. */
const LEAST = 50;
/** No call blocks for longer: the victim may have forgotten us. */
const CALL_LIMIT = new BigInt64Array([10n, 0n]);
/** The victim has let go of the connection. */
const REFUSED = ['EPIPE', 'ECONNRESET', 'ENOTCONN'];

/** What is held until the process ends. */
const held = [];

const sleep = (milliseconds) =>
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

function connect(kind, path) {
  const fd = posix.socket(AF_UNIX, TYPES[kind]);
  posix.setsockopt(fd, SOL_SOCKET, posix.SO_SNDTIMEO, CALL_LIMIT);
  posix.connect(fd, { sun_family: AF_UNIX, sun_path: path });
  return fd;
}

answer({
  /** Messages with descriptors, as fast as it goes; where the victim hangs up, connects again. */
  flood({ kind, path, milliseconds }) {
    const file = fs.openSync('/dev/null');
    const message = { iov: Buffer.from('H'), fds: Array(MOST_FDS).fill(file) };
    const result = { connections: 1, refused: 0, sent: 0 };
    let fd = connect(kind, path);
    const end = performance.now() + milliseconds;
    while (performance.now() < end || result.sent < LEAST) {
      try {
        posix.sendmsg(fd, message);
        result.sent++;
      } catch (error) {
        if (error.code === 'ETOOMANYREFS') sleep(1);
        else if (!REFUSED.includes(error.code)) throw error;
        else {
          posix.close(fd);
          result.refused++;
          result.connections++;
          fd = connect(kind, path);
        }
      }
    }
    posix.close(fd);
    posix.close(file);
    return result;
  },

  /** One message, with as many descriptors as there can be. */
  sendFds({ kind, path }) {
    const file = fs.openSync('/dev/null');
    const fd = connect(kind, path);
    posix.sendmsg(fd, { iov: Buffer.from('H'), fds: Array(MOST_FDS).fill(file) });
    held.push(fd);
  },

  /** Connections that say nothing, or `text`, and stay. */
  hold({ kind, path, count, text }) {
    for (let index = 0; index < count; index++) {
      const fd = connect(kind, path);
      held.push(fd);
      if (text !== undefined) posix.send(fd, Buffer.from(text));
    }
  },

  /** Connections that are closed at once. */
  flicker({ kind, path, count }) {
    for (let index = 0; index < count; index++) posix.close(connect(kind, path));
  },

  /** Lets go of all that is held. */
  release() {
    for (const fd of held.splice(0)) posix.close(fd);
  },

  /** A datagram socket that nobody will ever read. */
  bindDeaf({ path }) {
    const fd = posix.socket(AF_UNIX, TYPES.dgram);
    posix.bind(fd, { sun_family: AF_UNIX, sun_path: path });
    held.push(fd);
  },

  /**
   * Numbered messages, each as large as the kernel lets it be, at full rate: the number first and
   * last. A stream's are the number's lowest byte alone. Returns their size.
   */
  pour({ kind, path, count, size }) {
    const fd = connect(kind, path);
    let message = Buffer.alloc(size);
    for (let index = 0; index < count; index++) {
      if (kind === 'stream') {
        message.fill(index & 0xff);
        for (let at = 0; at < message.length;) at += posix.send(fd, message.subarray(at));
        continue;
      }
      message.writeUInt32LE(index, 0);
      message.writeUInt32LE(index, message.length - 4);
      try {
        posix.send(fd, message);
      } catch (error) {
        if (error.code !== 'EMSGSIZE' || index > 0) throw error;
        message = message.subarray(0, message.length - 64);
        index--;
      }
    }
    posix.close(fd);
    return message.length;
  },
});
