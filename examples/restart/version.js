'use strict';

// One version of the TCP server of restart.js: gets the listening socket from whoever runs the
// version before, tells that it is ready, and gives the socket to the version after it.
// Arguments: its own name, and the path at which versions meet.

const { once } = require('node:events');
const net = require('node:net');
const { UServer, USocket, fromFd } = require('afunix');

const [name, meetingPoint] = process.argv.slice(2);

/** The listening socket of the version before, and a function that tells it to stop; or a new one. */
async function inherit() {
  const before = new USocket();
  before.connect(meetingPoint);
  try {
    await once(before, 'connect');
  } catch {
    // Nobody is there: this is the first.
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { server, release: () => {} };
  }
  const [[fd]] = await once(before, 'fds');
  return { server: fromFd(fd), release: () => before.end('ready') };
}

async function main() {
  const { server, release } = await inherit();
  server.on('connection', (socket) => socket.end(`${name}\n`));

  // The path's file is replaced once the version before has closed its own.
  release();
  const handover = new UServer({ allow: ({ uid }) => uid === process.getuid() });
  handover.on('connection', (after) => {
    after.write({ data: 'here', fds: [server] });
    // Only when the other one is ready: until then both accept.
    after.on('data', () => {
      handover.close();
      server.close();
    });
    after.on('end', () => after.end());
  });
  const listen = () => handover.listen(meetingPoint);
  handover.on('error', (error) => {
    if (error.code !== 'EADDRINUSE') throw error;
    setTimeout(listen, 5);
  });
  handover.on('listening', () => process.send({ port: server.address().port }));
  listen();

  // The last version ends when there is nobody to take over from it.
  process.on('message', () => {
    handover.close();
    server.close();
  });
  server.on('close', () => process.connected && process.disconnect());
}

main();
