'use strict';

// The other process of datagrams.js: a clerk who answers each datagram that comes in at any of the
// names in its arguments. A name that starts with @ is an abstract one.

const fs = require('node:fs');
const { DgramSocket } = require('afunix');

/** What the clerk has to say to a message, and to the open file that may come with it. */
function answerTo(message, [fd]) {
  return fd === undefined ? message.toUpperCase() : fs.readFileSync(fd, 'utf8');
}

function openOffice(name) {
  const socket = new DgramSocket({ receiveFds: true, credentials: process.platform === 'linux' });

  socket.on('data', (data, path, { fds, credentials }) => {
    const answer = answerTo(data.toString(), fds);
    // Received descriptors are ours, and so is closing them.
    fds.forEach((fd) => fs.closeSync(fd));
    // `path` is where the sender is bound, so that is where the answer goes.
    socket.sendTo(JSON.stringify({ answer, sender: credentials }), path);
  });

  return socket.bind(name.replace(/^@/, '\0'));
}

const sockets = process.argv.slice(2).map(openOffice);
process.send('open');
process.on('disconnect', () => sockets.forEach((socket) => socket.close()));
