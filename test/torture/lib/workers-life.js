'use strict';

// Owns the life of a worker of cases/workers.js: sockets of every class, all with traffic that does
// not end, descriptors that nobody takes, and connections to the main thread. It ends by termination,
// or as `workerData.end` says after so many turns.

const { parentPort, workerData } = require('node:worker_threads');
const afunix = require('../../../lib');

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = afunix;
const { folder, name, main, stalled, turns, end } = workerData;

let count = 0;
/** Counts traffic; the last turn is the one in which the worker ends itself. */
function turn() {
  count++;
  if (count === 20) parentPort.postMessage('running');
  if (count !== turns) return;
  if (end === 'exit') process.exit(3);
  if (end === 'throw') throw new Error('on purpose');
}

/** Two ends that send to and fro for ever, some of it with a descriptor. */
function volley(one, two, send) {
  for (const [from, to] of [
    [one, two],
    [two, one],
  ]) {
    to.on('error', () => {});
    to.on('data', () => {
      turn();
      send(to, from);
    });
  }
  send(one, two);
}

const ignore = () => {};
const { file } = workerData;

// Datagrams: a pair, and two that are bound.
volley(...DgramSocket.pair({ receiveFds: true }), (from) => from.send('turn', ignore));
const bound = [0, 1].map((index) => new DgramSocket().bind(`${folder}/${name}d${index}`));
volley(...bound, (from, to) => from.sendTo('turn', to.address(), ignore));
// Messages with descriptors that wait for a receiver that never reads.
const waiting = new DgramSocket();
for (let index = 0; index < 20; index++) waiting.sendTo('x', stalled, { fds: [file] }, ignore);
// Descriptors that wait for a reader who never comes.
for (const Socket of [SeqpacketSocket, USocket]) {
  const [one] = Socket.pair({ receiveFds: true });
  for (let index = 0; index < 30; index++) {
    one.write({ data: 'x', fds: [file, file, file] }, ignore);
  }
}

// Servers with a connection to themselves.
for (const [Server, Socket, suffix] of [
  [SeqpacketServer, SeqpacketSocket, 'q'],
  [UServer, USocket, 's'],
]) {
  const server = new Server((socket) => {
    volley(socket, client, (from) => from.write('turn', ignore));
  });
  server.listen(`${folder}/${name}${suffix}`);
  const client = new Socket();
  client.connect(server.address());
  client.on('error', ignore);
  // And one to the main thread, which sends what it gets back.
  const abroad = new Socket();
  abroad.connect(main[suffix]);
  abroad.on('error', ignore).on('data', (data) => abroad.write(data, ignore));
  abroad.write('turn', ignore);
}

// unix-dgram's interface.
const old = [0, 1].map(() => afunix.createSocket('unix_dgram'));
old.forEach((socket, index) => {
  const path = (which) => `${folder}/${name}o${which}`;
  const pass = () => {
    const data = Buffer.from('turn');
    socket.send(data, 0, data.length, path(1 - index), ignore);
  };
  socket.on('error', ignore).on('message', () => {
    turn();
    pass();
  });
  socket.bind(path(index));
  if (index === 1) pass();
});
