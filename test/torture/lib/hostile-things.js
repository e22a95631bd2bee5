'use strict';

// Owns what somebody may put at a socket's path, for cases/hostile.js. Imports afunix/posix alone.

const fs = require('node:fs');
const posix = require('../../../lib/posix');

const { AF_UNIX, SOCK_STREAM } = posix;

function bind(name) {
  const fd = posix.socket(AF_UNIX, SOCK_STREAM);
  posix.bind(fd, { sun_family: AF_UNIX, sun_path: name });
  fs.chmodSync(name, 0o600);
  return fd;
}

/** Each makes one at a name, and may return how to let go of it; a link leads to `precious`. */
const KINDS = {
  file: (name) => fs.writeFileSync(name, 'precious', { mode: 0o600 }),
  link: (name, precious) => fs.symlinkSync(precious, name),
  folder: (name) => fs.mkdirSync(name, { mode: 0o700 }),
  dead: (name) => posix.close(bind(name)),
  living: (name) => {
    const fd = bind(name);
    posix.listen(fd, 5);
    return () => posix.close(fd);
  },
  mute: (name) => {
    const fd = bind(name);
    return () => posix.close(fd);
  },
};

/** What it is, whatever name it has. */
function identify(name) {
  const { dev, ino, mode, nlink } = fs.lstatSync(name);
  return `${dev} ${ino} mode ${mode.toString(8)} links ${nlink}`;
}

module.exports = { KINDS, identify };
