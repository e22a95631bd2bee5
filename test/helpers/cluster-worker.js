'use strict';

// Owns the program of a worker in tests of clusters: a server of some kind that answers with its pid. It reports what
// happens to its server, and closes it when it is asked to.
//
//   cluster-worker.js KIND OPTIONS     OPTIONS: of listen(), as JSON, and for this program:
//     moveTo       the folder to go to behind listen()
//     closeAtOnce  closes the server behind listen()
//     leaveAtOnce  leaves the cluster behind listen()
//     abortFirst   aborts a listen() behind it, and listens again at once
//     others       how many servers more listen first; warnings are reported as errors
//     counts       reports how many descriptors it has, before listen() and when that has failed
//     givesUp      gives up what listens, and listens again, some times, and counts descriptors
//     drops        how many servers come and go first, one after another; reports how many of them are left in memory
//     leaves       opens files until no more than so many descriptors are left, before listen()

const cluster = require('node:cluster');
const { once } = require('node:events');
const fs = require('node:fs');
const afunix = require('../../lib');
const unix = require('../../lib/net');

const { closeFd } = afunix;

const [, , kind, json] = process.argv;
const options = JSON.parse(json);

/** Not to a primary that has let go of this worker. */
const report = (event, message) => {
  if (process.connected) process.send({ event, message, pid: process.pid });
};

const count = () => {
  if (options.counts || options.givesUp) report('count', fs.readdirSync('/proc/self/fd').length);
};

/** Leaves so many descriptors to this process. */
function openFiles(left) {
  const files = [];
  try {
    for (;;) files.push(fs.openSync('/dev/null'));
  } catch {
    for (const fd of files.slice(-left)) fs.closeSync(fd);
  }
}

const answer = (socket) => {
  socket.on('error', () => {});
  socket.end(String(process.pid));
};

const makers = {
  UServer: () => new afunix.UServer(answer),
  SeqpacketServer: () => new afunix.SeqpacketServer(answer),
  'afunix/net': () => unix.createServer(answer),
  serve: () => require('node:net').createServer(answer),
};

const server = makers[kind]();
server.on('error', (error) => {
  report('error', `${error.code} ${error.message}`);
  setTimeout(count, 20);
});
server.on('listening', () => report('listening', server.address()));
server.on('close', () => report('close'));
process.on('message', (message) => {
  if (message === 'close') server.close();
  if (message !== 'give up') return;
  const { fd } = server.detach();
  new afunix.UServer(answer).listen({ fd }, () => report('given up'));
});
/** Listens and gives that up, again and again; then it says how many descriptors it has. */
if (options.givesUp) {
  let times = 0;
  server.on('listening', () => {
    closeFd(server.detach().fd);
    if (++times === 5) count();
    if (times < 20) server.listen(options);
    else setTimeout(count, 20);
  });
}
count();
if (options.leaves) openFiles(options.leaves);
process.on('warning', ({ name }) => report('error', name));
for (let number = 0; number < (options.others ?? 0); number++) {
  makers[kind]().listen(`${options.path}${number}`);
}
if (options.drops) {
  (async () => {
    const dropped = [];
    for (let number = 0; number < options.drops; number++) {
      const one = makers[kind]().listen(`${options.path}${number}`);
      dropped.push(new WeakRef(one));
      await once(one, 'listening');
      await new Promise((done) => one.close(done));
    }
    await new Promise((done) => setTimeout(done, 20));
    globalThis.gc();
    report('kept', dropped.filter((one) => one.deref() !== undefined).length);
  })();
}
if (options.abortFirst) {
  const controller = new AbortController();
  server.listen({ ...options, signal: controller.signal });
  controller.abort();
}
if (kind === 'serve') afunix.serve(server, options);
else server.listen(options);
if (options.moveTo) process.chdir(options.moveTo);
report('called', String(server.listening));
if (options.closeAtOnce) server.close();
if (options.leaveAtOnce) cluster.worker.disconnect();
