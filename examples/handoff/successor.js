'use strict';

// The second process of handoff.js: connects to the path in its first argument, and goes on
// answering HTTP requests on every TCP connection that comes from there as a descriptor.

const http = require('node:http');
const { USocket, fromFd } = require('afunix');

const server = http.createServer((request, response) => {
  response.end(`${request.url} was answered by process ${process.pid}`);
});

const front = new USocket(process.argv[2]);
let header = null;

front.on('readable', () => {
  for (;;) {
    // A length, and with it a connection; then bytes of its next request that were read already.
    header ??= front.read(4, 1);
    if (header === null) return;
    const length = header.data.readUInt32LE();
    const rest = length > 0 ? front.read(length) : null;
    if (length > 0 && rest === null) return;
    const socket = fromFd(header.fds[0]);
    header = null;
    if (rest !== null) socket.unshift(rest);
    server.emit('connection', socket);
  }
});
