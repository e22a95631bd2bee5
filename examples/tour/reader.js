'use strict';

// The other process of streams.js: asks at the path in its first argument for the files named in the
// others, and reads them from the descriptors that come.

const fs = require('node:fs');
const { USocket, fdType } = require('afunix');

const [serverPath, ...names] = process.argv.slice(2);

const socket = new USocket(serverPath);
socket.write(`${names.join('\n')}\n`);

// Descriptors come just before the bytes they were sent with, and are ours to close.
socket.on('fds', (fds) => {
  for (const fd of fds) {
    process.send(`reads "${fs.readFileSync(fd)}" from descriptor ${fd}, a ${fdType(fd)}`);
    fs.closeSync(fd);
  }
});
socket.on('data', (data) => process.send(`received: ${data}`));
socket.on('close', () => process.disconnect());
