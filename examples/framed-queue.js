'use strict';

// A protocol as Wayland's: a message does not say how many descriptors it has, its type does, and libwayland sends them
// early: in order, and no later than the message. So they are a queue of their own. read(0, null) takes all that have come, and
// each message takes its own from the queue.
// Run: node examples/framed-queue.js (after `npm start` or `npm run build` has built the addon)

const fs = require('node:fs');
const os = require('node:os');
const { once } = require('node:events');
const { USocket, closeFd } = require('afunix');

/** Bytes of a header: a type, and the length of the whole message. */
const HEADER = 4;
/** How many descriptors the messages of each type have. */
const DESCRIPTORS = { 1: 0, 2: 1, 3: 2 };

/** Calls back with each message's type, body and descriptors, which are yours to close. */
function onMessage(socket, callback) {
  let queue = [];
  let bytes = Buffer.alloc(0);
  const next = () => {
    if (bytes.length < HEADER) return false;
    const [type, length] = [bytes.readUInt16LE(0), bytes.readUInt16LE(2)];
    const count = DESCRIPTORS[type];
    if (count === undefined || length < HEADER) {
      socket.destroy(new Error(`type ${type}, length ${length}`));
      return false;
    }
    if (bytes.length < length || queue.length < count) return false;
    const body = bytes.subarray(HEADER, length);
    bytes = bytes.subarray(length);
    callback(type, body, queue.splice(0, count));
    return true;
  };
  socket.on('readable', () => {
    for (let chunk; (chunk = socket.read()) !== null;) bytes = Buffer.concat([bytes, chunk]);
    queue.push(...(socket.read(0, null)?.fds ?? []));
    while (next());
  });
  // What no message has asked for.
  socket.on('close', () => {
    for (const fd of queue) closeFd(fd);
    queue = [];
  });
}

/** One message's bytes. */
function encode(type, text) {
  const body = Buffer.from(text);
  const header = Buffer.alloc(HEADER);
  header.writeUInt16LE(type, 0);
  header.writeUInt16LE(HEADER + body.length, 2);
  return Buffer.concat([header, body]);
}

async function main() {
  const [client, compositor] = USocket.pair();
  onMessage(compositor, (type, body, fds) => {
    console.log(`${body}: type ${type} with ${fds.length} descriptors`);
    for (const fd of fds) closeFd(fd);
  });
  const fd = fs.openSync(os.devNull);
  // As libwayland does: several messages at once, and the descriptors of all with the first bytes.
  const bytes = Buffer.concat([encode(1, 'sync'), encode(2, 'pool'), encode(3, 'two files')]);
  client.write({ data: bytes.subarray(0, 6), fds: [fd, fd, fd] });
  client.end(bytes.subarray(6));
  fs.closeSync(fd);
  await once(compositor, 'close');
}

module.exports = { encode, onMessage };

if (require.main === module) main();
