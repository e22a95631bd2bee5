'use strict';

// Messages that begin with their length and with how many descriptors they have, as those of D-Bus do (its header has
// both): read(size, fdCount) gives a part of the stream with its descriptors, or null as long as it is not there.
// Run: node examples/framed-length.js (after `npm start` or `npm run build` has built the addon)

const fs = require('node:fs');
const os = require('node:os');
const { once } = require('node:events');
const { USocket, closeFd } = require('afunix');

/** Bytes of a message's body, and its descriptors: two numbers of 4 bytes. */
const HEADER = 8;
/** More is a mistake, or an attack: nobody has to keep that much for a peer. */
const MAX_LENGTH = 1 << 20;

/** Calls back with each message's body and descriptors, which are yours to close. */
function onMessage(socket, callback) {
  let header = null;
  const next = () => {
    header ??= socket.read(HEADER);
    if (header === null) return false;
    const [length, count] = [header.readUInt32LE(0), header.readUInt32LE(4)];
    if (length > MAX_LENGTH || count > 253) {
      socket.destroy(new Error(`a message of ${length} bytes with ${count} descriptors`));
      return false;
    }
    // An empty body: there may be nothing more to come.
    const body = length === 0 && count === 0 ? { data: null, fds: [] } : socket.read(length, count);
    if (body === null) return false;
    header = null;
    callback(body.data ?? Buffer.alloc(0), body.fds);
    return true;
  };
  socket.on('readable', () => {
    while (next());
  });
}

/** Sends one message. */
function send(socket, body, fds = []) {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(Buffer.byteLength(body), 0);
  header.writeUInt32LE(fds.length, 4);
  // In one write: with the header's bytes the descriptors come no later than the body.
  return socket.write({ data: Buffer.concat([header, Buffer.from(body)]), fds });
}

async function main() {
  const [client, service] = USocket.pair();
  onMessage(service, (body, fds) => {
    console.log(`${body} with ${fds.length} descriptors`);
    for (const fd of fds) closeFd(fd);
  });
  const fd = fs.openSync(os.devNull);
  send(client, 'one');
  send(client, 'two', [fd, fd]);
  send(client, 'three');
  client.end();
  fs.closeSync(fd);
  await once(service, 'end');
}

module.exports = { onMessage, send };

if (require.main === module) main();
