'use strict';

// Owns what the faults case does beyond traffic: names with permissions and owners in the place of dead files, and
// questions about sockets and peers. What fails says so, or the answer is "unknown"; what is done is done right.

const fs = require('node:fs');
const path = require('node:path');

const permissions = (file) => fs.statSync(file).mode & 0o7777;

/** Emits something of these, in a later turn. */
function settled(ledger, socket, what, events) {
  ledger.expect(what);
  let isDone = false;
  const done = () => {
    if (!isDone) ledger.done(what);
    isDone = true;
  };
  for (const event of events) socket.on(event, done);
  return done;
}

/** Each class takes a name where a dead file is, with `mode` and owner. */
const names = (deadFile) =>
  async function names(afunix, ledger, { folder }) {
    const { DgramSocket, SeqpacketServer, UServer } = afunix;
    const [uid, gid] = [process.getuid(), process.getgid()];
    const long = path.join(folder, 'long'.repeat(20), 'name'.repeat(10));
    fs.mkdirSync(path.dirname(long));
    for (const [Class, options] of [
      [DgramSocket, { mode: 0o620 }],
      [UServer, { mode: 0o606 }],
      [UServer, { mode: 0o640, uid, gid }],
      [SeqpacketServer, { uid, gid }],
      [UServer, { long: true }],
    ]) {
      const what = `${Class.name} ${JSON.stringify(options)}`;
      const to = options.long ? long : path.join(folder, what.replaceAll(/\W/g, ''));
      if (!options.long) {
        // Faults may keep it from being made: then the name is free.
        ledger.attempt('a dead file', () => deadFile(afunix, folder, path.basename(to)));
      }
      const socket = ledger.attempt(`new ${what}`, () => new Class());
      if (socket === undefined) continue;
      let isReady = false;
      socket.on('listening', () => (isReady = true));
      socket.on('error', (error) => ledger.report(`${what} 'error'`, error));
      socket.on('warning', () => {});
      const done = settled(ledger, socket, `${what} to be ready`, ['listening', 'error']);
      const before = ledger.errors.length;
      ledger.attempt(`${what} takes a name`, () =>
        socket.bind ? socket.bind(to, options) : socket.listen({ path: to, ...options }),
      );
      if (ledger.errors.length > before) done();
      await ledger.settled();
      if (isReady && options.mode !== undefined && permissions(to) !== options.mode) {
        ledger.wrong(`${what}: ${permissions(to).toString(8)}, and nothing was reported`);
      }
      ledger.expect(`${what} 'close'`);
      socket.on('close', () => ledger.done(`${what} 'close'`));
      socket.close();
      await ledger.settled();
    }
  };

/** Everything that can be asked of sockets, their peers and descriptors. */
async function questions(afunix, ledger, { folder }) {
  const { DgramSocket, UServer, USocket } = afunix;
  const sockets = [];
  let isEnding = false;
  const watch = (name, socket) => {
    if (socket === undefined) return undefined;
    sockets.push([name, socket]);
    socket.on('error', (error) => ledger.report(`${name} 'error'`, error));
    socket.on('close', () => isEnding && ledger.done(`${name} 'close'`));
    return socket;
  };
  const server = watch('server', new UServer());
  const accepted = [];
  server.on('connection', (socket) => {
    accepted.push(watch('connection', socket));
    socket.resume();
  });
  settled(ledger, server, 'the server to listen', ['listening', 'error']);
  server.on('warning', () => {});
  server.listen(path.join(folder, 'questions'));
  await ledger.settled();
  const client = watch('client', new USocket());
  settled(ledger, client, 'the client to connect', ['connect', 'close']);
  ledger.attempt('connect', () => client.connect(path.join(folder, 'questions')));
  client.resume();
  await ledger.settled();
  const dgram = watch(
    'dgram',
    ledger.attempt('DgramSocket', () => new DgramSocket()),
  );
  ledger.attempt('bind', () => dgram?.bind());
  const asked = sockets.filter(([name]) => name !== 'server');
  for (const [name, socket] of asked) {
    const facts = ['peerCredentials', 'peerPidfd', 'peerGroups', 'peerLabel', 'remoteAddress'];
    for (const fact of [...facts, 'sendBufferSize', 'receiveBufferSize', 'maxMessageSize']) {
      ledger.attempt(`${name} ${fact}`, () => {
        const answer = socket[fact];
        if (fact === 'peerPidfd' && answer !== undefined) afunix.closeFd(answer);
      });
    }
    ledger.attempt(`${name} address`, () => socket.address());
  }
  ledger.attempt('setSendBufferSize', () => dgram?.setSendBufferSize(10_000));
  const memory = ledger.attempt('memfd', () => afunix.memfd('text'));
  if (memory !== undefined) {
    const copy = ledger.attempt('dup', () => afunix.dup(memory));
    ledger.attempt('fdType', () => afunix.fdType(memory));
    for (const fd of [copy, memory]) {
      if (fd !== undefined) ledger.attempt('closeFd', () => afunix.closeFd(fd));
    }
  }
  const ends = ledger.attempt('socketpair', () => afunix.socketpair()) ?? [];
  for (const fd of ends) ledger.attempt('closeFd', () => afunix.closeFd(fd));
  // One that could not connect has closed already.
  isEnding = true;
  for (const [name, socket] of sockets) {
    if (socket.closed) continue;
    ledger.expect(`${name} 'close'`);
    if (socket.destroy) socket.destroy();
    else socket.close();
  }
  await ledger.settled();
}

module.exports = { names, questions };
