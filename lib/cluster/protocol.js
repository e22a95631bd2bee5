// Owns: what the workers of a cluster and its primary agree on: a name, and lines of JSON.
'use strict';

const fs = require('fs');

/** What changes with the lines below. */
const VERSION = 1;

/**
 * The abstract name at which the primary with that pid hands out listening sockets. Processes of several containers
 * may share the names of one network and have the same pid, each in its own namespace.
 */
function nameOf(pid) {
  const namespace = fs.readlinkSync('/proc/self/ns/pid').replace(/\D/g, '');
  return `\0afunix-cluster-${VERSION}-${namespace}-${pid}`;
}

/** Calls back with the first line that a socket receives, as an object; not for what is none. */
function onLine(socket, callback) {
  let text = '';
  socket.setEncoding('utf8').on('data', (data) => {
    text += data;
    if (!text.endsWith('\n')) return;
    let line;
    try {
      line = JSON.parse(text);
    } catch {
      socket.destroy();
      return;
    }
    callback(line);
  });
}

/** A line, as it is written. */
function lineOf(object) {
  return `${JSON.stringify(object)}\n`;
}

module.exports = { lineOf, nameOf, onLine };
