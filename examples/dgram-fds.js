'use strict';

// Passes the descriptor of an open file from one socket to another: what the receiver gets is its
// own descriptor of the same open file, whatever has become of the path.
// Run: node examples/dgram-fds.js (after `npm start` or `npm run build` has built the addon)

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { DgramSocket } = require('afunix');

async function main() {
  // Two connected sockets; they might as well be in two processes, and bound to paths.
  const [sender, receiver] = DgramSocket.pair({ receiveFds: true });

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-fds-'));
  const file = path.join(folder, 'note.txt');
  fs.writeFileSync(file, 'written before the file was deleted');
  const fd = fs.openSync(file);
  fs.rmSync(folder, { recursive: true });

  const received = once(receiver, 'data');
  sender.send({ data: 'please read this', fds: [fd] });
  fs.closeSync(fd); // Ours may be closed as soon as send() has returned.

  const [data, , { fds }] = await received;
  console.log(`message: ${data}`);
  for (const each of fds) {
    console.log(`file: ${fs.readFileSync(each, 'utf8')}`);
    fs.closeSync(each); // Received descriptors are the receiver's to close.
  }

  sender.close();
  receiver.close();
}

main();
