'use strict';

// One version of the web server of restart.js, on a TCP port and on a Unix path. It gets both listening sockets, and
// idle keep-alive connections, from whoever runs the version before, and gives them to the version after it.
// Arguments: its own name, the path to serve at, and the path at which versions meet.

const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const { UServer, USocket, closeFd, fromFd } = require('afunix');
const { onMessage, send } = require('../framed-length.js');
const { Tap } = require('../handoff/tap.js');

const [name, servePath, meetingPoint] = process.argv.slice(2);

/** Of both kinds: nothing is read before the tap reads. */
const OPTIONS = { pauseOnConnect: true };
const BODYLESS = new Set(['GET', 'HEAD']);

const taps = new Set();
/** Who succeeds this version, once it is ready. */
let successor = null;

const web = http.createServer((request, response) => {
  const { socket: tap } = request;
  const isBodyless = BODYLESS.has(request.method);
  // A request behind this one stays in the kernel, for whoever has the connection then.
  if (isBodyless) tap.shut();
  response.on('finish', () => {
    tap.isIdle = isBodyless && tap.endsRequest && tap.readableLength === 0;
    if (successor === null || !move(tap)) tap.open();
  });
  response.end(`${name}\n`);
});

/** Serves a connection: a new one, or one that was served by the version before. */
function serve(connection) {
  const tap = new Tap(connection);
  taps.add(tap);
  tap.on('close', () => {
    taps.delete(tap);
    endIfDone();
  });
  web.emit('connection', tap);
}

/** Gives an idle connection away; false while it is not idle. Its client notices nothing. */
function move(tap) {
  if (!tap.isIdle) return false;
  const connection = tap.takeOff();
  if (connection.destroyed || connection.readableEnded) {
    connection.destroy();
    return true;
  }
  if (connection instanceof USocket) {
    const { fd, data } = connection.detach();
    send(successor, data ?? '', [fd]);
    closeFd(fd);
  } else {
    // net has no detach(): another descriptor of the connection travels, and this one is closed.
    send(successor, connection.read() ?? '', [connection]);
    connection.destroy();
  }
  return true;
}

/** Nothing is left to do here. */
function endIfDone() {
  if (successor === null || taps.size > 0) return;
  successor.end();
  if (process.connected) process.disconnect();
}

/** Listening sockets, new ones. */
async function listen() {
  const tcp = net.createServer(OPTIONS).listen(0, '127.0.0.1');
  // The file is for all versions: the last one removes it.
  const unix = new UServer(OPTIONS).listen({ path: servePath, unlinkOnClose: false });
  await Promise.all([once(tcp, 'listening'), once(unix, 'listening')]);
  return { tcp, unix };
}

/** Those of the version before; then its connections, as they become idle. */
async function inherit(before) {
  const listeners = await new Promise((resolve) => {
    let isFirst = true;
    onMessage(before, (rest, fds) => {
      if (isFirst) {
        isFirst = false;
        // Adopted sockets do not own the file.
        resolve(fds.map((fd) => fromFd(fd, OPTIONS)));
        return;
      }
      const connection = fromFd(fds[0], { pauseOnCreate: true, ...OPTIONS });
      if (rest.length > 0) connection.unshift(rest);
      serve(connection);
    });
  });
  return { tcp: listeners[0], unix: listeners[1] };
}

async function main() {
  const before = new USocket();
  before.connect(meetingPoint);
  const hasPredecessor = await once(before, 'connect').then(
    () => true,
    () => false,
  );
  const { tcp, unix } = hasPredecessor ? await inherit(before) : await listen();
  for (const server of [tcp, unix]) server.on('connection', serve);
  // Until the other one hears of this both accept: no connection is refused or waits.
  const isReleased = hasPredecessor ? once(before, 'end') : Promise.resolve();
  if (hasPredecessor) before.write('ready');

  // Whoever has the path next replaces the file once this one has let it go.
  const meeting = new UServer({
    allow: ({ uid }) => uid === process.getuid(),
    allowHalfOpen: true,
  });
  meeting.on('connection', (after) => {
    send(after, '', [tcp, unix]);
    after.once('data', () => {
      meeting.close();
      tcp.close();
      closeFd(unix.detach().fd);
      successor = after;
      for (const tap of [...taps]) move(tap);
      endIfDone();
    });
  });
  const meet = () => meeting.listen({ path: meetingPoint, mode: 0o600 });
  meeting.on('error', (error) => {
    if (error.code !== 'EADDRINUSE') throw error;
    setTimeout(meet, 2);
  });
  meeting.on('listening', () => process.send({ name, port: tcp.address().port }));
  meet();
  await isReleased;

  process.on('message', () => {
    // The last version ends with its clients.
    for (const server of [meeting, tcp, unix]) server.close();
    for (const tap of taps) tap.destroy();
    fs.rmSync(servePath, { force: true });
    process.disconnect();
  });
}

main();
