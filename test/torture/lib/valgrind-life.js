'use strict';

// Owns a process of cases/valgrind.js that ends with live sockets of every class, in every state, in
// the way that its argument names: by itself, by process.exit(), by an exception, or after workers that
// did the same or were terminated. `node valgrind-life.js FOLDER WAY`.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const afunix = require('../../../lib');
const posix = require('../../../lib/posix');

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = afunix;

const WAYS = ['unref', 'exit', 'throw'];
/** Turns of the traffic after which the end comes. */
const TURNS = 60;
/** More than a socket's send buffer takes. */
const LARGE = 1 << 20;

const ignore = () => {};
const send = (socket, data) => (socket.send ?? socket.write).call(socket, data, ignore);

/** Two ends that send to and fro for ever, some of it with a descriptor. */
function volley(one, two, fd, turn) {
  for (const end of [one, two]) {
    end.on('data', () => send(end, turn() % 3 === 0 ? { data: 'x', fds: [fd] } : 'x'));
  }
  send(one, 'x');
}

/** Sockets and servers in every state. They live until the environment ends. */
function live(folder, turn) {
  const file = fs.openSync(__filename);
  const all = [];
  const keep = (...sockets) => {
    all.push(...sockets);
    for (const socket of sockets) socket.on('error', ignore);
    return sockets;
  };
  const named = (name) => path.join(folder, name);

  // Datagrams: unused, bound, with traffic, with messages that wait for who never reads, and read by
  // nobody.
  keep(new DgramSocket());
  const [stalled] = keep(new DgramSocket().bind(named('stalled')));
  const [sender] = keep(new DgramSocket());
  for (let count = 0; count < 20; count++) {
    sender.sendTo('x', stalled.address(), { fds: [file] }, ignore);
    sender.sendTo(Buffer.alloc(5000), stalled.address(), ignore);
  }
  volley(...keep(...DgramSocket.pair({ receiveFds: true, credentials: true })), file, turn);
  const old = [0, 1].map((index) => {
    const [socket] = keep(afunix.createSocket('unix_dgram'));
    const to = named(`old${1 - index}`);
    const pass = () => socket.send(Buffer.from('x'), 0, 1, to, ignore);
    socket.on('message', () => {
      turn();
      pass();
    });
    socket.bind(named(`old${index}`));
    return pass;
  });
  old[0]();

  for (const [Server, Socket, name] of [
    [SeqpacketServer, SeqpacketSocket, 'q'],
    [UServer, USocket, 's'],
  ]) {
    // Traffic, descriptors that nobody takes, and more than fits.
    volley(...keep(...Socket.pair({ receiveFds: true })), file, turn);
    const [one, two] = keep(...Socket.pair({ receiveFds: true, credentials: true }));
    for (let count = 0; count < 10; count++) one.write({ data: 'x', fds: [file, file] }, ignore);
    if (Socket === USocket) one.write(Buffer.alloc(LARGE), ignore);
    for (let count = 0; count < 300; count++) one.write(Buffer.alloc(2000), ignore);
    two.once('data', () => two.pause());
    // Connected, waiting to be taken, and waiting for room.
    const [server] = keep(new Server((socket) => volley(...keep(socket), client, file, turn)));
    server.listen(named(name));
    const [client] = keep(new Socket());
    client.connect(named(name));
    const [full] = keep(new Server());
    full.pause().listen(named(`${name}-full`), 1);
    for (let count = 0; count < 5; count++) {
      const [waiting] = keep(new Socket());
      waiting.connect(named(`${name}-full`));
      waiting.write('x', ignore);
    }
  }
  // Into memory of the user's.
  const onread = { buffer: Buffer.alloc(100), callback: () => turn() > 0 };
  const [from, into] = afunix.socketpair(afunix.socketpair.SOCK_STREAM);
  keep(new USocket({ fd: into, onread }), new USocket({ fd: from }));
  all.at(-1).write(Buffer.alloc(1000), ignore);

  // What is no socket of ours but came from us.
  const [left, right] = posix.socketpair(posix.AF_UNIX, posix.SOCK_SEQPACKET, 0);
  posix.sendmsg(left, { iov: Buffer.from('x'), fds: [file] });
  posix.recvmsg(right, { iov: Buffer.alloc(10) });
  const server = net.createServer(ignore).listen({ fd: afunix.createReuseportFd(0, '127.0.0.1') });
  all.push(server);
  afunix.memfd('x');
  return all;
}

/** No longer keeps the process. A connection with bytes that wait does in any case, as in net, until they are sent. */
function letGo(socket) {
  if (socket.writableLength > 0 && socket.destroy !== undefined) socket.destroy();
  else socket.unref?.();
}

/** Lives until the traffic has taken its turns, then ends as `way` says. */
function liveAndEnd(folder, way, onRunning) {
  let count = 0;
  const all = live(folder, () => {
    if (++count === TURNS) {
      if (way === 'exit') process.exit(0);
      if (way === 'throw') throw new Error('on purpose');
      if (way === 'unref') all.forEach(letGo);
      onRunning();
    }
    return count;
  });
}

async function runWorkers(folder) {
  for (const way of [...WAYS, 'terminate', 'terminate']) {
    const place = path.join(folder, `${way}-${Math.random()}`);
    fs.mkdirSync(place);
    const worker = new Worker(__filename, { workerData: [place, way], stderr: true });
    worker.on('error', ignore);
    const exit = new Promise((resolve) => worker.on('exit', resolve));
    worker.on('message', () => way === 'terminate' && worker.terminate());
    await exit;
  }
}

if (isMainThread) {
  const [folder, way] = process.argv.slice(2);
  if (way === 'threads') runWorkers(folder);
  else liveAndEnd(folder, way, ignore);
} else {
  liveAndEnd(...workerData, () => parentPort.postMessage('running'));
}
