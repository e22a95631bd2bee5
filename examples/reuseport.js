'use strict';

// An echo server on two worker processes that share a port: the kernel deals connections to them,
// the primary does nothing. Then one worker leaves, and no connection is reset.
// Run: node examples/reuseport.js (after `npm start` or `npm run build` built the addon)

const { fork } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const { text } = require('node:stream/consumers');
const { createReuseportFd, drainServer } = require('afunix');

const HOST = '127.0.0.1';

function work(port) {
  const server = net.createServer((socket) => socket.end(`worker ${process.pid}`));
  server.listen({ fd: createReuseportFd(port, HOST) }, () => process.send(server.address().port));
  process.on('message', async () => {
    await drainServer(server);
    process.disconnect();
  });
}

/** Starts a worker on the port; 0 for a port that the system chooses. */
async function start(port) {
  const worker = fork(__filename, ['worker', port]);
  const [chosen] = await once(worker, 'message');
  console.log(`worker ${worker.pid} listens on port ${chosen}`);
  return { worker, port: chosen };
}

/** Connects so many times, one after the other, and counts who answers. */
async function ask(port, times) {
  const counts = {};
  for (let i = 0; i < times; i++) {
    const answer = await text(net.connect(port, HOST));
    counts[answer] = (counts[answer] ?? 0) + 1;
  }
  return counts;
}

async function main() {
  const { worker: first, port } = await start(0);
  const { worker: second } = await start(port);
  console.log('40 connections:', await ask(port, 40));

  const asked = ask(port, 200);
  first.send('leave');
  const [code] = await once(first, 'exit');
  console.log(`worker ${first.pid} left with code ${code}`);
  console.log('200 connections meanwhile:', await asked);
  console.log('20 connections after:', await ask(port, 20));
  second.kill();
}

if (process.argv[2] === 'worker') work(process.argv[3]);
else main();
