'use strict';

// Owns the traffic of the faults case: for each class of the package one run that moves numbered messages
// and ends by itself. What was wrong with it is in its ledger, see faults-ledger.js.

const fs = require('node:fs');
const path = require('node:path');
const { Sequence } = require('./faults-ledger.js');
const { names, questions } = require('./faults-names.js');

function numbered(number, size = 64) {
  const data = Buffer.alloc(size, number & 0xff);
  data.writeUInt32LE(number);
  return data;
}

/** A dead socket file where somebody wants to bind. */
function deadFile(afunix, folder, name) {
  const file = path.join(folder, name);
  const live = `${file}.live`;
  const socket = new afunix.DgramSocket();
  try {
    socket.bind(live);
    fs.linkSync(live, file);
  } finally {
    socket.close();
  }
  return file;
}

/** Checks that descriptors lead where they should, and closes them. */
function closeReceived(afunix, ledger, fds) {
  for (const fd of fds) {
    if (fs.fstatSync(fd).rdev !== 0x103) ledger.wrong('a descriptor of something else came');
    ledger.attempt('closeFd', () => afunix.closeFd(fd));
  }
}

const dgramWith = (withFds) =>
  async function dgram(afunix, ledger, { folder, dead, passed }) {
    const { DgramSocket } = afunix;
    const options = { receiveFds: withFds };
    const sockets = [];
    const make = (name) => {
      const socket = ledger.attempt(`new ${name}`, () => new DgramSocket(options));
      if (socket === undefined) return undefined;
      sockets.push([name, socket]);
      socket.on('close', () => ledger.done(`${name} 'close'`));
      socket.on('error', (error) => ledger.report(`${name} 'error'`, error));
      return socket;
    };
    const sequences = { near: new Sequence(ledger, 'near'), peer: new Sequence(ledger, 'peer') };
    const answers = new Sequence(ledger, 'answers');
    const [there, here] = [dead, path.join(folder, 'near')];
    const receiver = make('receiver');
    const sender = make('sender');
    const peer = make('peer');
    const closeAll = async () => {
      // Not before: a socket that closes by itself is wrong.
      for (const [name] of sockets) ledger.expect(`${name} 'close'`);
      for (const [, socket] of sockets) socket.close();
      await ledger.settled();
    };
    if (!receiver || !sender || !peer) return closeAll();
    let answered = 0;
    receiver.on('data', (data, from, { fds }) => {
      const number = data.readUInt32LE();
      (from === '' ? sequences.peer : sequences.near).take(number);
      const wanted = withFds && number % 4 === 0 ? 2 : 0;
      const isTold = ledger.errors.some(({ code }) => code === 'ERR_AFUNIX_FDS_LOST');
      if (fds.length !== wanted && !isTold) {
        ledger.wrong(`${fds.length} descriptors, not ${wanted}`);
      }
      closeReceived(afunix, ledger, fds);
      if (from === '' || number % 5 !== 0) return;
      const mine = answered++;
      ledger.expect('callback of an answer');
      receiver.sendTo(numbered(mine), from, (error) => {
        if (error) {
          ledger.report('answer', error);
          answers.fail(mine);
        }
        ledger.done('callback of an answer');
      });
    });
    sender.on('data', (data) => answers.take(data.readUInt32LE()));
    const started = ledger.attempt('start', () => {
      receiver.bind(there);
      sender.bind(here);
      peer.connect(there);
      return true;
    });
    if (!started) return closeAll();
    const send = (number, sequence, through) => {
      ledger.expect('callback of send');
      const fds = withFds && number % 4 === 0 ? [passed, passed] : undefined;
      through(fds ? { data: numbered(number), fds } : numbered(number), (error) => {
        if (error) {
          ledger.report('send', error);
          sequence.fail(number);
        }
        ledger.done('callback of send');
      });
    };
    // More than a receiver's queue holds, twice.
    const count = 40;
    for (let number = 0; number < count; number++) {
      send(number, sequences.near, (message, callback) => {
        if (message.fds) sender.sendTo(message.data, there, { fds: message.fds }, callback);
        else sender.sendTo(message, there, callback);
      });
      send(number, sequences.peer, (message, callback) => peer.send(message, callback));
    }
    await ledger.settled();
    // All that was sent arrives: a datagram socket survives every error.
    const missing = () =>
      count -
      sequences.near.seen.size -
      sequences.near.failed.size +
      (count - sequences.peer.seen.size - sequences.peer.failed.size) +
      (answered - answers.seen.size - answers.failed.size);
    ledger.expect('arrival of what was sent');
    await ledger.settled(() => missing() === 0);
    ledger.due.delete('arrival of what was sent');
    return closeAll();
  };

/** A connected socket: it reports one error at most, and closes once. Others survive their errors. */
function watch(ledger, socket, name, isConnected = true) {
  let errors = 0;
  ledger.expect(`${name} 'close'`);
  socket.on('close', () => ledger.done(`${name} 'close'`));
  socket.on('error', (error) => {
    if (++errors > 1 && isConnected) ledger.wrong(`${name}: a second 'error': ${error}`);
    ledger.report(`${name} 'error'`, error);
  });
}

/** Listens, connects and runs `speak(client)`; `serve(connection)` on the other side. */
async function converse(ledger, { Server, Socket, options, serve, speak, place }) {
  const server = ledger.attempt('new server', () => new Server(options));
  if (server === undefined) return;
  ledger.expect("server 'close'");
  server.on('close', () => ledger.done("server 'close'"));
  server.on('warning', (error) => ledger.report("server 'warning'", error));
  server.on('error', (error) => ledger.report("server 'error'", error));
  server.on('connection', (socket) => {
    ledger.expect('connection', 1);
    ledger.done('connection');
    watch(ledger, socket, 'connection');
    serve(socket);
  });
  const couldListen = ledger.attempt('listen', () => server.listen(place));
  // A server of streams says it by 'error'.
  if (couldListen === undefined || !server.listening) {
    await new Promise(setImmediate);
    if (ledger.errors.length === 0) ledger.wrong('listen failed and nothing was reported');
    if (server.listening) server.close();
    else ledger.done("server 'close'");
    return ledger.settled();
  }
  const client = ledger.attempt('new client', () => new Socket(options));
  if (client === undefined) {
    server.close();
    return ledger.settled();
  }
  watch(ledger, client, 'client');
  // Also where the server could not make a socket of a connection: that closes it.
  client.on('close', () => server.close());
  ledger.attempt('connect', () => client.connect(place));
  speak(client);
  await ledger.settled();
}

const seqpacketWith = (withFds) =>
  async function seqpacket(afunix, ledger, { dead, passed }) {
    const count = 60;
    const there = new Sequence(ledger, 'there');
    const back = new Sequence(ledger, 'back');
    let ok = 0;
    const write = (socket, sequence, number, message) => {
      ledger.expect('callback of write');
      socket.write(message, (error) => {
        if (error) {
          ledger.report('write', error);
          sequence.fail(number);
        } else ok++;
        ledger.done('callback of write');
      });
    };
    await converse(ledger, {
      Server: afunix.SeqpacketServer,
      Socket: afunix.SeqpacketSocket,
      options: { receiveFds: withFds },
      place: dead,
      serve(socket) {
        socket.on('data', (data) => {
          const number = data.readUInt32LE();
          there.take(number);
          if (withFds) {
            const isTold = ledger.errors.some(({ code }) => code === 'ERR_AFUNIX_FDS_LOST');
            const wanted = number % 4 === 0 ? 2 : 0;
            if (data.fds.length !== wanted && !isTold) ledger.wrong('descriptors are missing');
            closeReceived(afunix, ledger, data.fds);
          }
          if (!socket.writableEnded && !socket.destroyed) {
            write(socket, back, number, numbered(number, 2000));
          }
        });
      },
      speak(client) {
        client.on('data', (data) => back.take(data.readUInt32LE()));
        for (let number = 0; number < count; number++) {
          const data = numbered(number, 4000);
          const fds = withFds && number % 4 === 0;
          write(client, there, number, fds ? { data, fds: [passed, passed] } : data);
        }
        client.end();
      },
    });
    const got = there.seen.size + back.seen.size;
    const isBroken = ledger.errors.some(
      ({ where }) => where.endsWith("'error'") || where === 'listen',
    );
    if (!isBroken && got !== ok && there.seen.size > 0) ledger.wrong(`${ok} sent, ${got} came`);
    if (ledger.errors.length === 0 && got !== 2 * count) {
      ledger.wrong(`${got} of ${2 * count} came`);
    }
  };

/** Counts words: each is one more than the last. */
class Words {
  constructor(ledger, name) {
    Object.assign(this, { ledger, name, bytes: 0, rest: Buffer.alloc(0) });
  }

  take(chunk) {
    const all = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    const whole = all.length & ~3;
    const base = (this.bytes - this.rest.length) / 4;
    for (let at = 0; at < whole; at += 4) {
      if (all.readUInt32LE(at) === base + at / 4) continue;
      this.ledger.wrong(`${this.name}: word ${base + at / 4} is ${all.readUInt32LE(at)}`);
      break;
    }
    this.rest = all.subarray(whole);
    this.bytes += chunk.length;
    this.ledger.moved++;
  }
}

const streamWith = (withFds) =>
  async function stream(afunix, ledger, { dead, passed }) {
    const there = new Words(ledger, 'there');
    const back = new Words(ledger, 'back');
    let [total, sentFds, gotFds] = [0, 0, 0];
    const take = (fds) => {
      gotFds += fds.length;
      closeReceived(afunix, ledger, fds);
    };
    await converse(ledger, {
      Server: afunix.UServer,
      Socket: afunix.USocket,
      options: {},
      place: dead,
      serve(socket) {
        socket.on('fds', take);
        socket.on('data', (data) => there.take(data));
        socket.pipe(socket);
      },
      speak(client) {
        client.on('data', (data) => back.take(data));
        for (let round = 0; round < 48; round++) {
          const words = round % 6 === 5 ? 20_000 : 40 + round;
          const data = Buffer.alloc(words * 4);
          for (let at = 0; at < words; at++) data.writeUInt32LE(total / 4 + at, at * 4);
          total += data.length;
          ledger.expect('callback of write');
          const callback = (error) => {
            if (error) ledger.report('write', error);
            ledger.done('callback of write');
          };
          const fds = withFds && round % 5 === 0 ? [passed, passed, passed] : undefined;
          ledger.attempt('write', () => {
            if (fds) client.write({ data, fds }, callback);
            else client.write(data, callback);
          });
          if (fds) sentFds += fds.length;
        }
        client.end();
      },
    });
    if (there.bytes > total || back.bytes > there.bytes) ledger.wrong('more came than was sent');
    const isBroken = ledger.errors.some(({ where }) => where !== "server 'warning'");
    if (!isBroken && (there.bytes !== total || back.bytes !== total)) {
      ledger.wrong(`${total} bytes, ${there.bytes} there, ${back.bytes} back`);
    }
    if (gotFds > sentFds || (!isBroken && gotFds !== sentFds)) {
      ledger.wrong(`${gotFds} of ${sentFds} descriptors`);
    }
  };

/** createSocket('unix_dgram'): what its errors look like is that package's. */
async function unixDgram(afunix, ledger, { folder, dead }) {
  const make = (name) => {
    try {
      const socket = afunix.createSocket('unix_dgram');
      socket.on('error', (error) => ledger.report(`${name} 'error'`, error, true));
      return socket;
    } catch (error) {
      ledger.report(`new ${name}`, error, true);
      return undefined;
    }
  };
  const receiver = make('receiver');
  const client = make('client');
  const free = make('free');
  const closeAll = () => {
    for (const socket of [receiver, client, free]) socket?.close();
  };
  if (!receiver || !client || !free) return closeAll();
  const sequences = { client: new Sequence(ledger, 'client'), free: new Sequence(ledger, 'free') };
  receiver.on('message', (data, { path: from }) => {
    (from ? sequences.client : sequences.free).take(data.readUInt32LE());
  });
  let ready = 0;
  for (const [socket, event] of [
    [receiver, 'listening'],
    [client, 'connect'],
    [client, 'listening'],
  ]) {
    socket.on(event, () => ready++);
  }
  receiver.bind(dead);
  client.bind(path.join(folder, 'client'));
  client.connect(dead);
  if (ready < 3) {
    if (ledger.errors.length === 0) ledger.wrong('not ready, and nothing was reported');
    return closeAll();
  }
  const count = 40;
  let next = 0;
  let isPumping = false;
  ledger.expect('the last message of the client');
  const pump = () => {
    if (isPumping) return;
    isPumping = true;
    while (isPumping && next < count) {
      const number = next++;
      ledger.expect('callback of send');
      client.send(numbered(number), (error) => {
        ledger.done('callback of send');
        if (!error) return;
        if (error.code === 1) {
          // Congestion: 'writable' will come, and then this one again.
          next = number;
          isPumping = false;
          return;
        }
        ledger.report('send', error, true);
        sequences.client.fail(number);
      });
    }
    if (next === count) ledger.done('the last message of the client');
  };
  client.on('writable', pump);
  pump();
  for (let number = 0; number < count; number++) {
    ledger.expect('callback of sendto');
    const data = numbered(number);
    free.send(data, 0, data.length, dead, (error) => {
      if (error) {
        ledger.report('sendto', error, true);
        sequences.free.fail(number);
      }
      ledger.done('callback of sendto');
    });
  }
  await ledger.settled();
  const missing = () =>
    2 * count -
    sequences.client.seen.size -
    sequences.client.failed.size -
    sequences.free.seen.size -
    sequences.free.failed.size;
  ledger.expect('arrival of what was sent');
  await ledger.settled(() => missing() === 0);
  ledger.due.clear();
  closeAll();
}

/** Pairs and adopted descriptors: made or not, nothing is left of them. */
async function pairs(afunix, ledger) {
  const isConnected = (name) => name !== 'DgramSocket';
  const classes = ['DgramSocket', 'SeqpacketSocket', 'USocket'];
  for (const name of classes) {
    const ends = ledger.attempt(`${name}.pair`, () => afunix[name].pair());
    if (ends === undefined) continue;
    ends.forEach((end, index) => watch(ledger, end, `${name} ${index}`, isConnected(name)));
    exchange(ledger, name, ends);
  }
  for (const [name, type] of [
    ['DgramSocket', afunix.socketpair.SOCK_DGRAM],
    ['SeqpacketSocket', afunix.socketpair.SOCK_SEQPACKET],
    ['USocket', afunix.socketpair.SOCK_STREAM],
  ]) {
    const fds = ledger.attempt('socketpair', () => afunix.socketpair(type));
    if (fds === undefined) continue;
    const ends = [];
    for (const fd of fds) {
      const end = ledger.attempt(`new ${name}`, () => new afunix[name]({ fd }));
      // A descriptor that could not be adopted is still ours.
      if (end === undefined) ledger.attempt('closeFd', () => afunix.closeFd(fd));
      else ends.push(end);
    }
    ends.forEach((end, index) => {
      watch(ledger, end, `adopted ${name} ${index}`, isConnected(name));
    });
    if (ends.length === 2) exchange(ledger, `adopted ${name}`, ends);
    else for (const end of ends) end.close();
  }
  await ledger.settled();
}

/** One message, both closed by whoever has it or fails. */
function exchange(ledger, name, [left, right]) {
  const closeBoth = () => {
    left.close();
    right.close();
  };
  const send = left.send ?? left.write;
  right.on('data', (data) => {
    if (data.readUInt32LE() !== 7) ledger.wrong(`${name}: another message came`);
    closeBoth();
  });
  left.on('error', closeBoth);
  right.on('close', closeBoth);
  ledger.expect(`${name} callback`);
  send.call(left, numbered(7), (error) => {
    if (error) {
      ledger.report(`${name} send`, error);
      closeBoth();
    }
    ledger.done(`${name} callback`);
  });
}

const SCENARIOS = {
  DgramSocket: dgramWith(false),
  'DgramSocket, fds': dgramWith(true),
  Seqpacket: seqpacketWith(false),
  'Seqpacket, fds': seqpacketWith(true),
  USocket: streamWith(false),
  'USocket, fds': streamWith(true),
  unix_dgram: unixDgram,
  pairs,
  names: names(deadFile),
  questions,
};

module.exports = { SCENARIOS, deadFile };
