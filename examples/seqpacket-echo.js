'use strict';

// A seqpacket server that sends every message back, and a client that sends it three, one of them
// empty. Linux only: elsewhere there are no seqpacket Unix sockets.
// Run: node examples/seqpacket-echo.js (after `npm start` or `npm run build` has built the addon)

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { SeqpacketServer, SeqpacketSocket } = require('afunix');

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-echo-'));
  const serverPath = path.join(folder, 'server.sock');

  // A connection is a Duplex: pipe() does all of an echo, and ends it when the client ends.
  const server = new SeqpacketServer((socket) => socket.pipe(socket));
  server.listen(serverPath);

  const client = new SeqpacketSocket();
  client.connect(serverPath);
  for (const message of ['hello', '', 'is anybody there?']) client.write(message);
  client.end();
  // Each chunk is one message, whole.
  for await (const message of client) console.log(`the answer: "${message}"`);

  // close() removes the socket file, so the folder is empty afterwards.
  server.close();
  await once(server, 'close');
  fs.rmdirSync(folder);
}

main();
