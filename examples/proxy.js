'use strict';

// A proxy between Unix sockets that forwards descriptors as pipe() forwards bytes: each with the bytes it came with,
// no faster than the other end reads, and each direction to its own end.
// Run: node examples/proxy.js (after `npm start` or `npm run build` has built the addon)

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { UServer, USocket, closeFd } = require('afunix');

/** What both sides of a proxy need: an end on one is not yet the end of the other. */
const OPTIONS = { fdsWithData: true, allowHalfOpen: true };

/** One direction. The option `fdsWithData` of `from` gives chunks their descriptors. */
function forward(from, to) {
  from.on('data', (chunk) => {
    const { fds } = chunk;
    try {
      if (to.write({ data: chunk, fds })) return;
    } finally {
      // write() has its own by now: these are ours to close, whatever became of it.
      for (const fd of fds) closeFd(fd);
    }
    // Bytes or descriptors wait: no more before they have gone.
    from.pause();
    to.once('drain', () => from.resume());
  });
  from.on('end', () => to.end());
  // Failures of a connection end both; the errors themselves are nobody's here.
  from.on('error', () => {}).on('close', () => to.destroySoon());
}

/** Listens at one path and connects each client to another. */
function startProxy(listenAt, connectTo) {
  const server = new UServer(OPTIONS);
  server.on('connection', (client) => {
    const upstream = new USocket({ ...OPTIONS, path: connectTo });
    forward(client, upstream);
    forward(upstream, client);
  });
  return server.listen(listenAt);
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-proxy-'));
  const [front, back] = ['front.sock', 'back.sock'].map((name) => path.join(folder, name));

  // Behind the proxy: answers each file with its text, and sends it back.
  const service = new UServer(OPTIONS).listen(back);
  service.on('connection', (socket) => {
    socket.on('data', (chunk) => {
      const texts = chunk.fds.map((fd) => fs.readFileSync(fd, 'utf8').trim());
      socket.write({ data: texts.join(', '), fds: chunk.fds });
      for (const fd of chunk.fds) closeFd(fd);
    });
    socket.on('end', () => socket.end());
  });
  const proxy = startProxy(front, back);

  const file = path.join(folder, 'note.txt');
  fs.writeFileSync(file, 'a text that no process has been told\n');
  const fd = fs.openSync(file);
  const client = new USocket({ ...OPTIONS, path: front });
  client.end({ data: 'read this', fds: [fd] });
  fs.closeSync(fd);
  client.on('data', (answer) => {
    console.log(`the service read: ${answer}`);
    console.log(`it sent ${answer.fds.length} descriptor back`);
    for (const received of answer.fds) closeFd(received);
  });
  await once(client, 'end');
  console.log('and ended its side after ours');

  client.destroy();
  for (const server of [proxy, service]) await server[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
}

module.exports = { forward, startProxy };

if (require.main === module) main();
