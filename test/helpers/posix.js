'use strict';

// Owns descriptors of afunix/posix in tests: closed with their test, and with a time limit, because a
// call that blocks for ever would block the test runner too.

const fs = require('node:fs');
const posix = require('../../lib/posix/index.js');

const { AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_RCVTIMEO, SO_SNDTIMEO } = posix;

/** Seconds that a call in a test may block. */
const PATIENCE = 90;

/** The bytes of a `struct timeval`. */
function timeval(milliseconds) {
  const words = new BigInt64Array(2);
  words[0] = BigInt(Math.floor(milliseconds / 1000));
  words[1] = BigInt((milliseconds % 1000) * 1000);
  return words;
}

/** Limits what calls on a descriptor wait, and closes it when the test ends. */
function own(t, fd) {
  t.after(() => {
    try {
      posix.close(fd);
    } catch (error) {
      if (error.code !== 'EBADF') throw error;
    }
  });
  for (const limit of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    posix.setsockopt(fd, SOL_SOCKET, limit, timeval(PATIENCE * 1000));
  }
  return fd;
}

/** A socket that is closed when the test ends. */
const open = (t, domain = AF_UNIX, type = SOCK_STREAM) => own(t, posix.socket(domain, type, 0));

/** Two connected sockets that are closed when the test ends. */
const pair = (t, type = SOCK_STREAM) => posix.socketpair(AF_UNIX, type).map((fd) => own(t, fd));

/** Whether a descriptor is close-on-exec. */
function isCloseOnExec(fd) {
  const [, flags] = /^flags:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  return (parseInt(flags, 8) & 0o2000000) !== 0;
}

/** What recv() of up to `size` bytes returns, as a string. */
function receive(fd, size = 1000, flags = 0) {
  const room = Buffer.alloc(size);
  return room.toString('utf8', 0, posix.recv(fd, room, size, flags));
}

module.exports = { isCloseOnExec, open, own, pair, receive, timeval };
