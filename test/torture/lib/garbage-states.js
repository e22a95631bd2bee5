'use strict';

// Owns the states of sockets and servers in the garbage case: how each is made with nobody referring
// to it afterwards, and whether docs/ has it held or collected.
//
// `make(trial)` makes one object, or several. Collected ones may have `then(trial)`, held ones
// `works(trial, references)`: both return what is wrong, if anything is. `release(trial)` ends what
// holds them, where that is not their own close().

const fs = require('node:fs');
const afunix = require('../../../lib');
const { comes, countFds, settle, sleep } = require('./garbage-turns.js');

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = afunix;

const ignore = () => {};
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A socket that is bound and reads no more, with its queue full: sends to it wait. */
async function stalled(trial) {
  const name = trial.name();
  const socket = trial.keep(new DgramSocket().bind(name));
  // An iterator that is not asked for more stops reading once it has 64 messages.
  const messages = socket[Symbol.asyncIterator]();
  messages.next();
  const filler = trial.keep(new DgramSocket());
  for (let count = 0; count < 100; count++) filler.sendTo('x', name, ignore);
  // While it still reads, messages of others find room too.
  let waiting;
  do {
    waiting = filler.writableLength;
    await sleep(10);
    // The loop has polled, also where all the time went to somebody else.
    await turn();
    await turn();
  } while (waiting !== filler.writableLength);
  if (waiting === 0) throw new Error('the receiver takes everything');
  // Without its iterator it would read on.
  trial.iterators = [...(trial.iterators ?? []), messages];
  return { name, messages, socket };
}

/** The bytes of anything open, for sending: a descriptor that each message carries a duplicate of. */
const withFd = (data = 'x') => ({ data, fds: [0] });

/** The classes that are alike: what differs between seqpacket and stream sockets. */
const CONNECTED = [
  {
    Socket: SeqpacketSocket,
    Server: SeqpacketServer,
    kind: 'SeqpacketSocket',
    serves: 'SeqpacketServer',
  },
  { Socket: USocket, Server: UServer, kind: 'USocket', serves: 'UServer' },
];

/** A server that the trial keeps, and where it is. */
async function serve(trial, Server, options, onConnection = ignore) {
  const server = trial.keep(new Server(options, onConnection).listen(trial.name()));
  await turn();
  return server;
}

const dgramCollected = [
  {
    what: 'DgramSocket, closed with messages that wait',
    make: async (trial) => {
      const { name } = await stalled(trial);
      const socket = new DgramSocket();
      for (let count = 0; count < 10; count++) socket.sendTo('x', name, { fds: [0] }, ignore);
      return socket.close();
    },
  },
  {
    what: 'DgramSocket, a closed pair with descriptors on their way',
    make: async () => {
      const [one, two] = DgramSocket.pair({ receiveFds: true });
      for (let count = 0; count < 5; count++) one.send(withFd(), ignore);
      one.close();
      await turn();
      return [one, two.close()];
    },
  },
  {
    what: "createSocket('unix_dgram'), bound and closed",
    make: (trial) => {
      const socket = afunix.createSocket('unix_dgram', ignore);
      socket.bind(trial.name());
      socket.close();
      return socket;
    },
  },
  {
    what: "createSocket('unix_dgram'), closed with messages that wait",
    make: async (trial) => {
      const { name } = await stalled(trial);
      const socket = afunix.createSocket('unix_dgram');
      for (let count = 0; count < 10; count++) socket.send(Buffer.from('x'), 0, 1, name, ignore);
      socket.close();
      return socket;
    },
  },
];

const connectedCollected = CONNECTED.flatMap(({ Socket, Server, kind, serves }) => [
  { what: `${kind}, not connected`, make: () => new Socket() },
  {
    what: `${kind}, refused`,
    make: async (trial) => {
      const socket = new Socket();
      socket.on('error', ignore).connect(trial.name());
      await turn();
      return socket;
    },
  },
  {
    what: `${kind}, destroyed while connecting to a full backlog`,
    make: async (trial) => {
      const { socket } = await connecting(trial, Socket, Server);
      socket.destroy();
      return socket;
    },
  },
  {
    what: `${kind}, a destroyed pair with data and descriptors that wait`,
    make: async () => {
      const [one, two] = Socket.pair({ receiveFds: true });
      for (let count = 0; count < 600; count++) one.write(withFd(Buffer.alloc(2000)), ignore);
      await turn();
      return [one.destroy(), two.destroy()];
    },
  },
  {
    what: `${kind}, ended by both`,
    make: async () => {
      const [one, two] = Socket.pair();
      const over = [one, two].map((end) => new Promise((resolve) => end.once('close', resolve)));
      one.resume().end('x');
      two.resume().end('x');
      await Promise.all(over);
      return [one, two];
    },
  },
  { what: `${serves}, not listening`, make: () => new Server() },
  {
    what: `${serves}, closed`,
    make: async (trial) => {
      const server = new Server().listen(trial.name());
      await turn();
      return server.close();
    },
  },
  {
    what: `${serves}, closed with connections in its backlog and in its queue`,
    make: async (trial) => {
      const server = new Server().listen(trial.name());
      await turn();
      for (let count = 0; count < 5; count++) {
        trial.keep(new Socket().on('error', ignore)).connect(server.address());
      }
      server.once('connection', () => server.pause());
      await new Promise((resolve) =>
        server.once('connection', (socket) => resolve(socket.destroy())),
      );
      return server.close();
    },
  },
]);

/** A socket that tries to connect to a server whose backlog is full. */
async function connecting(trial, Socket, Server) {
  const server = await serve(trial, Server);
  server.pause();
  const name = trial.name();
  const full = trial.keep(new Server());
  full.pause();
  full.listen({ path: name, backlog: 0 });
  await turn();
  trial.keep(new Socket().on('error', ignore)).connect(name);
  const socket = new Socket({ connectTimeout: 60_000 });
  socket.on('error', ignore).connect(name);
  if (!socket.connecting) throw new Error('the backlog is not full');
  return { socket, full };
}

const dgramHeld = [
  { what: 'DgramSocket, unbound', make: () => new DgramSocket() },
  {
    what: 'DgramSocket, unbound, with listeners',
    make: () => new DgramSocket({ receiveFds: true }).on('data', ignore),
  },
  {
    what: 'DgramSocket, unbound, having sent',
    make: (trial) => {
      const name = trial.name();
      trial.keep(new DgramSocket().bind(name));
      const socket = new DgramSocket();
      socket.sendTo('x', name, ignore);
      return socket;
    },
  },
  {
    what: 'DgramSocket, connected and disconnected',
    make: (trial) => {
      const name = trial.name();
      trial.keep(new DgramSocket().bind(name));
      return new DgramSocket().connect(name).disconnect();
    },
  },
  {
    what: "createSocket('unix_dgram'), unbound",
    make: () => afunix.createSocket('unix_dgram', ignore),
  },
  {
    what: "createSocket('unix_dgram'), unbound, having sent",
    make: (trial) => {
      const name = trial.name();
      trial.keep(new DgramSocket().bind(name));
      const socket = afunix.createSocket('unix_dgram');
      socket.send(Buffer.from('x'), 0, 1, name, ignore);
      return socket;
    },
  },
  {
    what: 'DgramSocket, bound',
    make: (trial) => {
      const name = trial.name();
      const got = { count: 0 };
      trial.got = [...(trial.got ?? []), { name, got }];
      return new DgramSocket().bind(name).on('data', () => got.count++);
    },
    works: async ({ got }) => {
      const sender = new DgramSocket();
      for (const { name } of got) sender.sendTo('x', name, ignore);
      const all = await comes(() => got.every((one) => one.got.count === 1));
      sender.close();
      return all ? undefined : 'a message did not come';
    },
  },
  {
    what: 'DgramSocket, bound, nobody listens',
    make: (trial) => new DgramSocket().bind(trial.name()),
  },
  {
    what: 'DgramSocket, connected',
    make: (trial) => {
      const name = trial.name();
      trial.keep(new DgramSocket().bind(name));
      return new DgramSocket({ receiveFds: true }).connect(name);
    },
  },
  {
    what: 'DgramSocket, paused by an iterator that was dropped with descriptors in it',
    make: async (trial) => {
      const [one, two] = DgramSocket.pair({ receiveFds: true });
      const messages = two[Symbol.asyncIterator]();
      const first = messages.next();
      for (let count = 0; count < 100; count++) one.send(withFd(), ignore);
      for (const fd of (await first).value.fds) fs.closeSync(fd);
      await sleep(10);
      trial.keep(one);
      return two;
    },
    // As after a break: it reads again, and what nobody takes is closed.
    works: async ({ before }, references) => {
      const sockets = 2 * references.length;
      await settle(() => countFds() === before + sockets);
      const more = countFds() - before - sockets;
      return more === 0 ? undefined : `${more} descriptors of messages nobody can take`;
    },
  },
  { what: 'DgramSocket, a pair', make: () => DgramSocket.pair({ receiveFds: true }) },
  {
    what: 'DgramSocket, unbound, with messages and descriptors that wait',
    make: async (trial) => {
      const { name, messages, socket: receiver } = await stalled(trial);
      const sent = { count: 0 };
      trial.sent = [...(trial.sent ?? []), { sent, messages, receiver }];
      const socket = new DgramSocket();
      for (let count = 0; count < 10; count++) {
        socket.sendTo('x', name, { fds: [0] }, (error) => (sent.count += error ? 0 : 1));
      }
      return socket;
    },
    // Sent once there is room.
    works: async (trial) => {
      for (const { messages, receiver } of trial.sent) {
        await messages.return();
        receiver.resume?.();
        receiver.on('data', ignore);
      }
      const areSent = await comes(() => trial.sent.every(({ sent }) => sent.count === 10));
      return areSent ? undefined : 'not all that waited was sent';
    },
  },
  {
    what: "createSocket('unix_dgram'), bound",
    make: (trial) => {
      const socket = afunix.createSocket('unix_dgram', ignore);
      socket.bind(trial.name());
      return socket;
    },
  },
  {
    what: "createSocket('unix_dgram'), connected",
    make: (trial) => {
      const name = trial.name();
      trial.keep(new DgramSocket().bind(name));
      const socket = afunix.createSocket('unix_dgram', ignore);
      socket.connect(name);
      return socket;
    },
  },
  {
    what: "createSocket('unix_dgram'), connected and congested",
    make: async (trial) => {
      const { name } = await stalled(trial);
      const socket = afunix.createSocket('unix_dgram', ignore);
      socket.connect(name);
      for (let count = 0; count < 20; count++) socket.send(Buffer.from('x'), ignore);
      return socket;
    },
  },
  {
    what: "createSocket('unix_dgram'), unbound, with messages that wait",
    make: async (trial) => {
      const { name } = await stalled(trial);
      const socket = afunix.createSocket('unix_dgram');
      for (let count = 0; count < 10; count++) socket.send(Buffer.from('x'), 0, 1, name, ignore);
      return socket;
    },
  },
];

const connectedHeld = CONNECTED.flatMap(({ Socket, Server, kind, serves }) => [
  {
    what: `${kind}, paused from the start`,
    make: () => {
      const [one, two] = Socket.pair({ pauseOnConnect: true, receiveFds: true });
      return [one, two];
    },
  },
  {
    what: `${kind}, paused with descriptors that nobody has taken`,
    make: async () => {
      const [one, two] = Socket.pair({
        receiveFds: true,
        readableHighWaterMark: 4,
        highWaterMark: 4,
      });
      for (let count = 0; count < 100; count++) one.write(withFd('some bytes'), ignore);
      await sleep(5);
      // The messages that wait go, and nothing is left that would be read.
      one.destroy();
      return two;
    },
  },
  {
    what: `${kind}, ended by the peer, half open`,
    make: async () => {
      const [one, two] = Socket.pair({ allowHalfOpen: true });
      two.resume();
      const ended = new Promise((resolve) => two.once('end', resolve));
      one.resume().end();
      await ended;
      one.destroy();
      return two;
    },
  },
  {
    what: `${kind}, connected`,
    make: async (trial) => {
      const server = await serve(trial, Server);
      server.on('connection', (peer) => trial.keep(peer.on('error', ignore)));
      const socket = new Socket();
      const connected = new Promise((resolve) => socket.once('connect', resolve));
      socket.connect(server.address());
      await connected;
      return socket;
    },
  },
  { what: `${kind}, a pair`, make: () => Socket.pair({ receiveFds: true }) },
  {
    what: `${kind}, with descriptors that nobody has taken, reading`,
    make: async () => {
      const [one, two] = Socket.pair({ receiveFds: true });
      one.write(withFd(), ignore);
      await sleep(2);
      return [one, two];
    },
  },
  {
    what: `${kind}, paused, with data that waits to be sent`,
    make: () => {
      const [one, two] = Socket.pair({ pauseOnConnect: true });
      for (let count = 0; count < 600; count++) one.write(Buffer.alloc(2000), ignore);
      if (one.writableLength === 0) throw new Error('nothing waits');
      // The end that only would have to read may go, and with it what holds the other.
      two.on('error', ignore);
      KEPT.push(two);
      return one;
    },
    release: async (_trial, references) => {
      for (const two of KEPT.splice(0)) two.destroy();
      await comes(() => references.every((reference) => reference.deref()?.closed ?? true), 1000);
    },
  },
  {
    what: `${kind}, connecting to a full backlog`,
    make: async (trial) => (await connecting(trial, Socket, Server)).socket,
  },
  {
    what: `${serves}, listening`,
    make: async (trial) => {
      const name = trial.name();
      const got = { count: 0 };
      trial.got = [...(trial.got ?? []), { name, got }];
      const server = new Server((socket) => {
        got.count++;
        socket.destroy();
      }).listen(name);
      await turn();
      return server;
    },
    works: connectToAll(Socket),
  },
  {
    what: `${serves}, paused, with a connection in its backlog`,
    make: async (trial) => {
      const name = trial.name();
      const server = new Server().pause().listen(name);
      await turn();
      trial.keep(new Socket().on('error', ignore)).connect(name);
      return server;
    },
    works: async (_trial, references) => {
      let count = 0;
      const number = references.length;
      for (const reference of references) {
        const server = reference.deref();
        server.on('connection', (socket) => (count++, socket.destroy()));
        server.resume();
      }
      return (await comes(() => count === number)) ? undefined : 'a connection was not accepted';
    },
  },
  {
    what: `${serves}'s connection, paused from the start`,
    make: async (trial) => {
      const server = await serve(trial, Server, { pauseOnConnect: true });
      const came = new Promise((resolve) => server.once('connection', resolve));
      trial.keep(new Socket().on('error', ignore)).connect(server.address());
      const socket = await came;
      trial.servers = [...(trial.servers ?? []), server];
      return socket;
    },
    works: async ({ servers }, references) => {
      const counts = servers.map(
        (server) => new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
      );
      if ((await Promise.all(counts)).some((count) => count !== 1)) return 'miscounted';
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      for (const reference of references) reference.deref()?.destroy();
      const late = sleep(2000).then(() => 'late');
      const outcome = await Promise.race([Promise.all(closed), late]);
      return outcome === 'late' ? "no 'close' of a server" : undefined;
    },
  },
]);

/** Peers of sockets under trial, which nothing else may hold. */
const KEPT = [];

/** Connects to every server and waits until it has noticed. */
function connectToAll(Socket) {
  return async ({ got }) => {
    const sockets = got.map(({ name }) => new Socket().on('error', ignore).connect(name));
    const all = await comes(() => got.every((one) => one.got.count === 1));
    for (const socket of sockets) socket.destroy();
    return all ? undefined : 'a connection was not accepted';
  };
}

module.exports = {
  collectedStates: [...dgramCollected, ...connectedCollected],
  heldStates: [...dgramHeld, ...connectedHeld],
};
