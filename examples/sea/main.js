'use strict';

// The program of a single executable (see build.js). The addon is an asset of the executable; the system
// loads it from a file alone, so that it is written to a private folder, loaded, and removed: what is
// loaded stays.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { getRawAsset } = require('node:sea');
const { useAddon } = require('afunix/addon');

/** afunix, whose addon is loaded as soon as it is required. */
function load() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-addon-')); // Nobody else's: mode 0700.
  try {
    const file = path.join(folder, 'afunix.node');
    fs.writeFileSync(file, new Uint8Array(getRawAsset('afunix.node')));
    useAddon(file);
    return require('afunix');
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

const { DgramSocket, UServer, USocket } = load();

const [left, right] = DgramSocket.pair();
right.on('data', (data) => {
  console.log(`${data} from a single executable`);
  left.close();
  right.close();
});
left.send('hello');

const server = new UServer((connection) => connection.end('goodbye')).listen('\0example-of-sea');
server.on('listening', () => {
  const client = new USocket('\0example-of-sea');
  client.on('data', (data) => console.log(String(data)));
  client.on('close', () => server.close());
});
