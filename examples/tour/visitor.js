'use strict';

// One of the other processes of seqpacket.js: connects to the path in its first argument, says some
// messages in the name in its second, asks for the guest book and writes in it.

const fs = require('node:fs');
const { SeqpacketSocket } = require('afunix');

const [serverPath, name] = process.argv.slice(2);

const socket = new SeqpacketSocket({ receiveFds: true });
// What is written before the connection is made waits for it.
socket.connect(serverPath);

// One write, one message: they neither run together nor fall apart.
socket.write(`I am ${name}`);
socket.write('');
socket.write('how do you do?');
socket.write('the guest book, please');

socket.on('data', ({ fds: [guestBook] }) => {
  fs.writeSync(guestBook, `${name} was here, in process ${process.pid}\n`);
  // Received descriptors are ours, and so is closing them.
  fs.closeSync(guestBook);
  socket.end();
});
