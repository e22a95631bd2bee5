'use strict';

// Owns the program of a worker in tests of clusters: a server of some kind that answers with its pid. It reports what
// happens to its server, and closes it when it is asked to.
//
//   cluster-worker.js KIND OPTIONS     OPTIONS: of listen(), as JSON

const afunix = require('../../lib');
const unix = require('../../lib/net');

const [, , kind, json] = process.argv;
const options = JSON.parse(json);

/** Not to a primary that has let go of this worker. */
const report = (event, message) => {
  if (process.connected) process.send({ event, message, pid: process.pid });
};

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
server.on('error', (error) => report('error', `${error.code} ${error.message}`));
server.on('listening', () => report('listening', server.address()));
server.on('close', () => report('close'));
process.on('message', (message) => {
  if (message === 'close') server.close();
});
if (kind === 'serve') afunix.serve(server, options);
else server.listen(options);
if (options.moveTo) process.chdir(options.moveTo);
report('called', String(server.listening));
if (options.closeAtOnce) server.close();
