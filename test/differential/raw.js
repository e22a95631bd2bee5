'use strict';

// Owns peers that are no object of any library: descriptors on which a program makes system calls. They do what a
// process does that dies, shuts down one side, never reads, or leaves with bytes unread.

const posix = require('../../lib/posix');

const { AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK, MSG_DONTWAIT } = posix;

const addressOf = (path) => ({ sun_family: AF_UNIX, sun_path: path });

/** A listening descriptor. */
function listen(path, backlog) {
  const fd = posix.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  posix.bind(fd, addressOf(path));
  posix.listen(fd, backlog);
  return fd;
}

/** A connected descriptor; the server has room in its backlog. */
function connect(path) {
  const fd = posix.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  try {
    posix.connect(fd, addressOf(path));
  } catch (error) {
    posix.close(fd);
    throw error;
  }
  return fd;
}

/** Two descriptors that are connected to each other. */
const pair = () => posix.socketpair(AF_UNIX, SOCK_STREAM);

/** The next connection, or null. */
function accept(fd) {
  try {
    return posix.accept(fd);
  } catch (error) {
    if (error.code === 'EAGAIN') return null;
    throw error;
  }
}

/** Reads at most so many bytes; `{ bytes, end }`. */
function receive(fd, limit) {
  const parts = [];
  let length = 0;
  while (length < limit) {
    const room = Buffer.alloc(Math.min(limit - length, 65536));
    let size;
    try {
      size = posix.recv(fd, room, room.length, MSG_DONTWAIT);
    } catch (error) {
      const end = error.code === 'EAGAIN' ? '' : error.code;
      return { bytes: Buffer.concat(parts), end };
    }
    if (size === 0) return { bytes: Buffer.concat(parts), end: 'end' };
    parts.push(room.subarray(0, size));
    length += size;
  }
  return { bytes: Buffer.concat(parts), end: '' };
}

/** Sends what the kernel takes; the number of bytes, or an error's code. */
function send(fd, bytes) {
  try {
    return posix.send(fd, bytes, bytes.length, MSG_DONTWAIT);
  } catch (error) {
    return error.code;
  }
}

/** 'read', 'write' or 'both'. */
function shutdown(fd, how) {
  const value = { read: posix.SHUT_RD, write: posix.SHUT_WR, both: posix.SHUT_RDWR }[how];
  try {
    posix.shutdown(fd, value);
    return 'done';
  } catch (error) {
    return error.code;
  }
}

const close = (fd) => posix.close(fd);

module.exports = { accept, close, connect, listen, pair, receive, send, shutdown };
