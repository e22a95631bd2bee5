'use strict';

// A datagram server that sends every message back, and a client that asks it something.
// Run: node examples/dgram-echo.js (after `npm start` or `npm run build` has built the addon)

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { DgramSocket } = require('afunix');

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-echo-'));
  const serverPath = path.join(folder, 'server.sock');

  const server = new DgramSocket().bind(serverPath);
  server.on('data', (data, from) => {
    // `from` is the path that the sender is bound to.
    server.sendTo(data, from);
  });

  // Bound as well: a socket without a name cannot be answered.
  const client = new DgramSocket().bind(path.join(folder, 'client.sock'));
  for (const question of ['hello', 'is anybody there?']) {
    const answered = once(client, 'data'); // Rejects if there is an 'error' instead.
    client.sendTo(question, serverPath);
    const [answer, from] = await answered;
    console.log(`${path.basename(from)} answered: ${answer}`);
  }

  // close() removes the socket files, so the folder is empty afterwards.
  client.close();
  server.close();
  fs.rmdirSync(folder);
}

main();
