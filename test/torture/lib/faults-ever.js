'use strict';

// Owns scenes in which a system call fails for ever, and later works again: what each may lose, how often it may say
// so, and what it may cost. Run with the library faults-inject.c preloaded: `node faults-ever.js '[TRIAL, …]'`
// prints a line of JSON for each trial, `{ scene, call, errno, problems, reported }`.

const { once } = require('node:events');
const fs = require('node:fs');
const { constants } = require('node:os');
const afunix = require('../../../lib');
const { measure } = require('../../helpers/idle-cpu.js');

/** From this share of its time on the main thread counts as busy. */
const BUSY = 0.4;
/** Milliseconds of one look, and turns of the event loop in it from which on it counts as busy, too. */
const LOOK = 60;
const MANY_TURNS = 30;
/** 'error' events of one socket while a call fails; one that tries again with growing pauses may have a second. */
const MOST_EVENTS = 2;
/** Milliseconds in which what works again has to show it. */
const PATIENCE = 60_000;

/** The last: all of them. */
const RECEIVES = ['recvfrom', 'recvmsg', 'recvmmsg', 'receives'];
const SENDS = ['sendto', 'sendmsg', 'sendmmsg', 'sends'];

/** Not EINTR: who repeats a call that was interrupted for ever does as POSIX asks. */
const ERRNOS = [
  ...['EAGAIN', 'ENOBUFS', 'ENOMEM', 'EMFILE', 'ENFILE', 'ETOOMANYREFS', 'EPIPE', 'ECONNRESET'],
  ...['EPERM', 'EACCES', 'ENOSYS', 'EBADF', 'EINVAL', 'EIO', 'ENOTCONN', 'ECONNREFUSED', 'ENOSPC'],
  'ECONNABORTED',
];

let serial = 0;
const newName = () => `\0afunix-ever-${process.pid}-${++serial}`;
const countFds = () => fs.readdirSync('/proc/self/fd').length;

/** A trial's faults, and what its sockets said. */
class Trial {
  reported = [];
  problems = [];

  constructor(call, errno) {
    this.path = `/afunix-faults/on/${call}/${constants.errno[errno]}/ever/1`;
  }

  strike() {
    fs.accessSync(this.path);
  }

  calm() {
    fs.accessSync('/afunix-faults/off');
  }

  /** Notes a socket's failures; more than a few of one are a storm. */
  watch(socket, who) {
    const counts = { error: 0, close: 0 };
    socket.on('error', ({ code }) => {
      this.reported.push(`${who}: ${code}`);
      if (++counts.error === MOST_EVENTS + 1) this.problems.push(`${who}: a storm of errors`);
    });
    socket.on('warning', ({ code }) => this.reported.push(`${who}: warning ${code}`));
    socket.on('close', () => {
      if (++counts.close === 2) this.problems.push(`${who}: 'close' twice`);
    });
    return counts;
  }

  /** What a call did that may throw: its result, or undefined. */
  attempt(body) {
    try {
      return body();
    } catch ({ code, message }) {
      if (code === undefined) this.problems.push(`threw ${message}`);
      this.reported.push(`threw ${code}`);
      return undefined;
    }
  }

  /** While the call fails: this process has nothing to do. */
  async expectIdle() {
    // What was under way is over.
    for (let turn = 0; turn < 5; turn++) await new Promise((done) => setImmediate(done));
    const seen = [];
    for (let look = 0; look < 3; look++) {
      const { share, turns } = await measure(LOOK);
      // NaN turns are not many.
      if (share < BUSY && !(turns > MANY_TURNS)) return;
      seen.push(`${Math.round(share * 100)} %, ${turns} turns`);
    }
    this.problems.push(`busy: ${seen.join('; ')}`);
  }

  /** Waits until it holds, or notes that it never did. */
  async expect(check, what) {
    const end = performance.now() + PATIENCE;
    while (!check()) {
      if (performance.now() > end) {
        this.problems.push(`in vain: ${what}`);
        return;
      }
      await new Promise((done) => setTimeout(done, 5));
    }
  }
}

/** Callbacks of sends: each exactly once; what succeeded has to arrive, in order. */
class Sends {
  outcomes = [];
  calls = 0;

  constructor(trial, count) {
    this.trial = trial;
    this.count = count;
  }

  callback(number) {
    return (error) => {
      this.calls++;
      if (this.outcomes[number] !== undefined) {
        this.trial.problems.push(`callback ${number} twice`);
      }
      this.outcomes[number] = error ? error.code : 'sent';
    };
  }

  /** A send that throws is refused, and has no callback. */
  attempt(number, send) {
    try {
      send(this.callback(number));
    } catch (error) {
      this.callback(number)(error);
    }
  }

  async expectAll(got) {
    await this.trial.expect(() => this.calls >= this.count, `${this.count} callbacks`);
    const sent = () => this.outcomes.flatMap((code, number) => (code === 'sent' ? [number] : []));
    await this.trial.expect(() => got().length >= sent().length, 'what was sent');
    if (got().join() !== sent().join()) {
      this.trial.problems.push(`sent ${sent()}; arrived ${got()}`);
    }
    this.trial.reported.push(`outcomes ${this.outcomes}`);
  }
}

async function closed(...sockets) {
  await Promise.all(
    sockets.map((socket) => {
      if (socket.closed) return undefined;
      const over = once(socket, 'close').catch(() => {});
      if (socket.destroy) socket.destroy();
      else socket.close();
      return over;
    }),
  );
}

const receiveOptions = { plain: {}, fds: { receiveFds: true }, credentials: { credentials: true } };

async function datagramReceive(trial, options) {
  const receiver = new afunix.DgramSocket(options).bind(newName());
  const sender = new afunix.DgramSocket();
  trial.watch(receiver, 'receiver');
  const got = [];
  receiver.on('data', (data) => got.push(String(data)));
  trial.strike();
  for (const text of ['a', 'b', 'c']) sender.sendTo(text, receiver.address());
  await trial.expectIdle();
  trial.calm();
  await trial.expect(() => got.length === 3, `the messages that waited (${got})`);
  await closed(receiver, sender);
}

async function connectedReceive(trial, Socket, options) {
  const [one, two] = Socket.pair(options);
  trial.watch(one, 'peer');
  trial.watch(two, 'reader');
  const got = [];
  two.on('data', (data) => got.push(String(data)));
  trial.strike();
  one.write('a');
  await trial.expectIdle();
  trial.calm();
  await trial.expect(() => got.length === 1 || two.closed, 'the message, or an error and the end');
  if (got.length === 0 && !two.errored) trial.problems.push('lost without an error');
  await closed(one, two);
}

async function datagramSend(trial, how) {
  const receiver = new afunix.DgramSocket().bind(newName());
  const sender = new afunix.DgramSocket();
  trial.watch(sender, 'sender');
  const got = [];
  receiver.on('data', (data) => got.push(Number(data)));
  if (how === 'connected') sender.connect(receiver.address());
  const sends = new Sends(trial, 20);
  trial.strike();
  for (let number = 0; number < 20; number++) {
    const extra = how === 'fds' ? [{ fds: [0] }] : [];
    sends.attempt(number, (callback) => {
      if (how === 'connected') sender.send(`${number}`, callback);
      else sender.sendTo(`${number}`, receiver.address(), ...extra, callback);
    });
  }
  await trial.expectIdle();
  trial.calm();
  await sends.expectAll(() => got);
  await closed(receiver, sender);
}

async function connectedSend(trial, Socket, how) {
  const [one, two] = Socket.pair();
  trial.watch(one, 'writer');
  two.on('error', () => {});
  let text = '';
  two.on('data', (data) => (text += data));
  const sends = new Sends(trial, 20);
  trial.strike();
  if (how === 'corked') one.cork();
  for (let number = 0; number < 20; number++) {
    const data = `${number},`;
    sends.attempt(number, (callback) => {
      one.write(how === 'fds' ? { data, fds: [0] } : data, callback);
    });
  }
  if (how === 'corked') one.uncork();
  await trial.expectIdle();
  trial.calm();
  await sends.expectAll(() => text.split(',').slice(0, -1).map(Number));
  await closed(one, two);
}

async function accepting(trial, Server, Socket) {
  const server = new Server();
  trial.watch(server, 'server');
  const clients = [];
  let served = 0;
  server.on('connection', (socket) => {
    trial.watch(socket, 'connection');
    served++;
    socket.resume();
  });
  server.listen(newName());
  if (!server.listening) await once(server, 'listening');
  const address = server.address();
  trial.strike();
  for (let count = 0; count < 3; count++) {
    const client = new Socket();
    client.on('error', () => {});
    client.resume();
    client.connect(address);
    clients.push(client);
  }
  await trial.expectIdle();
  trial.calm();
  await trial.expect(
    () => served + clients.filter((client) => client.closed).length >= 3,
    `clients served or turned away (${served})`,
  );
  const later = new Socket().resume();
  later.on('error', () => {});
  later.connect(address);
  await trial.expect(() => served > 0 && !later.connecting, 'a later client to be served');
  await closed(later, ...clients, server);
}

async function connecting(trial, Server, Socket) {
  const server = new Server((socket) => {
    trial.watch(socket, 'connection');
    socket.resume();
  });
  trial.watch(server, 'server');
  server.listen(newName());
  if (!server.listening) await once(server, 'listening');
  const client = new Socket({ connectTimeout: 2000 });
  trial.watch(client, 'client');
  let connects = 0;
  client.on('connect', () => connects++);
  client.resume();
  trial.strike();
  trial.attempt(() => client.connect(server.address()));
  await trial.expectIdle();
  trial.calm();
  await trial.expect(() => connects + client.closed >= 1, "'connect', or an error and 'close'");
  if (client.closed && !client.errored && trial.reported.length === 0) {
    trial.problems.push('closed without an error');
  }
  await closed(client, server);
}

/** A name for a socket: what fails changes nothing, and it works later. */
async function naming(trial, Class) {
  const socket = new Class();
  trial.watch(socket, 'socket');
  const name = newName();
  const set = () => (socket.bind ? socket.bind(name) : socket.listen(name));
  let listening = 0;
  socket.on('listening', () => listening++);
  trial.strike();
  trial.attempt(set);
  await trial.expectIdle();
  trial.calm();
  if (!listening) trial.attempt(set);
  await trial.expect(() => listening === 1, "'listening'");
  await closed(socket);
}

async function pairs(trial) {
  trial.strike();
  for (const Socket of [afunix.DgramSocket, afunix.SeqpacketSocket, afunix.USocket]) {
    const made = trial.attempt(() => Socket.pair());
    if (made) {
      for (const end of made) trial.watch(end, 'end');
      await closed(...made);
    }
  }
  await trial.expectIdle();
  trial.calm();
}

/** Ends of all kinds while the call fails: each closes once, and its descriptor with it. */
async function ending(trial) {
  const server = new afunix.UServer((socket) => {
    trial.watch(socket, 'connection');
    socket.resume();
  });
  trial.watch(server, 'server');
  server.listen(newName());
  await once(server, 'listening');
  const client = new afunix.USocket(server.address());
  await once(client, 'connect');
  const [left, right] = afunix.SeqpacketSocket.pair();
  const dgram = new afunix.DgramSocket().bind(newName());
  for (const [who, socket] of Object.entries({ client, left, right, dgram })) {
    trial.watch(socket, who);
    if (socket.resume) socket.resume();
  }
  trial.strike();
  client.end('bye');
  left.end('bye');
  await trial.expectIdle();
  const over = closed(client, left, right, dgram, server);
  await trial.expectIdle();
  trial.calm();
  let isOver = false;
  over.then(() => (isOver = true));
  await trial.expect(() => isOver, 'everything to close');
}

/** What questions about an open socket answer while the system cannot: nothing, or an Error with a code. */
async function asking(trial) {
  const [one, two] = afunix.USocket.pair();
  const dgram = new afunix.DgramSocket().bind(newName());
  trial.watch(one, 'one');
  trial.watch(dgram, 'dgram');
  trial.strike();
  for (const socket of [one, dgram]) {
    trial.attempt(() => socket.address());
    trial.attempt(() => socket.remoteAddress);
    trial.attempt(() => socket.peerCredentials);
    trial.attempt(() => socket.sendBufferSize);
    trial.attempt(() => socket.receiveBufferSize);
  }
  trial.attempt(() => dgram.setSendBufferSize(10_000));
  await trial.expectIdle();
  trial.calm();
  const arrived = once(two, 'data');
  one.write('x');
  await arrived;
  await closed(one, two, dgram);
}

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = afunix;

/** Name → what can fail in it, and what is run. */
const SCENES = {};
for (const [name, options] of Object.entries(receiveOptions)) {
  SCENES[`DgramSocket receives, ${name}`] = [RECEIVES, (trial) => datagramReceive(trial, options)];
  for (const Socket of [SeqpacketSocket, USocket]) {
    const run = (trial) => connectedReceive(trial, Socket, options);
    SCENES[`${Socket.name} receives, ${name}`] = [RECEIVES, run];
  }
}
for (const how of ['plain', 'connected', 'fds']) {
  SCENES[`DgramSocket sends, ${how}`] = [[...SENDS, 'dup'], (trial) => datagramSend(trial, how)];
}
for (const how of ['plain', 'corked', 'fds']) {
  for (const Socket of [SeqpacketSocket, USocket]) {
    const run = (trial) => connectedSend(trial, Socket, how);
    SCENES[`${Socket.name} sends, ${how}`] = [[...SENDS, 'dup'], run];
  }
}
for (const [Server, Socket] of [
  [SeqpacketServer, SeqpacketSocket],
  [UServer, USocket],
]) {
  const around = ['setsockopt', 'getsockopt', 'epoll_ctl', 'fcntl'];
  SCENES[`${Server.name} accepts`] = [
    ['accept4', ...around],
    (trial) => accepting(trial, Server, Socket),
  ];
  SCENES[`${Socket.name} connects`] = [
    ['socket', 'connect', ...around],
    (trial) => connecting(trial, Server, Socket),
  ];
}
for (const Class of [DgramSocket, SeqpacketServer, UServer]) {
  const calls = ['bind', 'listen', 'getsockname', 'epoll_ctl', 'setsockopt', 'fcntl'];
  SCENES[`${Class.name} takes a name`] = [calls, (trial) => naming(trial, Class)];
}
SCENES['pairs are made'] = [['socketpair', 'epoll_ctl', 'setsockopt', 'close'], pairs];
SCENES['everything ends'] = [['close', 'shutdown', 'getsockopt', 'getsockname', ...SENDS], ending];
SCENES['questions are asked'] = [
  ['getsockname', 'getpeername', 'getsockopt', 'setsockopt'],
  asking,
];

/** All trials: `{ scene, call, errno }` each. */
function everyTrial() {
  return Object.entries(SCENES).flatMap(([scene, [calls]]) =>
    calls.flatMap((call) => ERRNOS.map((errno) => ({ scene, call, errno }))),
  );
}

async function main(trials) {
  for (const { scene, call, errno } of trials) {
    console.log(JSON.stringify({ begins: { scene, call, errno } }));
    const before = countFds();
    const trial = new Trial(call, errno);
    const onUncaught = (error) => trial.problems.push(`uncaught: ${error.stack}`);
    process.on('uncaughtException', onUncaught);
    try {
      await SCENES[scene][1](trial);
    } catch (error) {
      trial.problems.push(`the scene: ${error.stack}`);
    }
    trial.calm();
    await trial.expect(() => countFds() <= before, `descriptors to be closed, of ${before}`);
    process.off('uncaughtException', onUncaught);
    const { problems, reported } = trial;
    console.log(JSON.stringify({ scene, call, errno, problems, reported: reported.slice(0, 10) }));
  }
}

if (require.main === module) main(JSON.parse(process.argv[2]));

module.exports = { ERRNOS, SCENES, everyTrial };
