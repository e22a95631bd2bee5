'use strict';

// Owns SeqpacketServer and SeqpacketSocket against other programs: Python (helpers/
// peer-seqpacket.py), socat and systemd-socket-activate.

const assert = require('node:assert/strict');
const { createHash, randomBytes } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { skipUnlessPython, startPython } = require('../helpers/python.js');
const {
  closing,
  connectTo,
  eventsOf,
  messagesOf,
  startServer,
  texts,
} = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** What a peer sends before it closes. */
const TEXTS = Array.from({ length: 100 }, (_, index) => `${index}`);
const SIZES = [0, 1, 1000, 65536, 0, 200_000, 0];
const KINDS = [
  ['a path', 'UNIX', (t) => temporaryPath(t)],
  ['an abstract name', 'ABSTRACT', () => abstractName()],
];

const digest = (data) => createHash('sha256').update(data).digest('hex');

/** Waits for another program to bind a path or an abstract name, and to listen there. */
function untilListening(name) {
  const ending = ` ${name.replace(/^\0/, '@')}`;
  // The flags in the fourth column say whether it listens.
  const listens = (line) => line.endsWith(ending) && line.split(/\s+/)[3] === '00010000';
  const table = () => fs.readFileSync('/proc/net/unix', 'utf8').split('\n');
  return until(() => table().some(listens), `somebody to listen at ${ending}`);
}

/** A Python process with seqpacket sockets that follows commands. */
class Peer {
  constructor(t) {
    this.program = startPython(t, path.join(__dirname, '..', 'helpers', 'peer-seqpacket.py'));
  }

  /** Runs one of the commands there; waits for the answer. */
  async call(command, args = {}) {
    this.program.write(`${JSON.stringify({ command, ...args })}\n`);
    const answer = JSON.parse(await this.program.lines.next(`Python's answer to ${command}`));
    if (answer.error !== undefined) throw new Error(`Python failed to ${command}: ${answer.error}`);
    return answer.result;
  }
}

/** Connects Python to us, or us to Python: `{ peer, pid, socket }`. */
async function meet(t, weServe, makeName = abstractName, options = {}) {
  const peer = new Peer(t);
  const name = makeName(t);
  if (weServe) {
    const server = startServer(t, options, name);
    const accepted = nextEvent(server, 'connection');
    const pid = await peer.call('connect', { path: name });
    return { peer, pid, socket: (await accepted)[0] };
  }
  const pid = await peer.call('listen', { path: name });
  const socket = connectTo(t, name, options);
  await peer.call('accept');
  return { peer, pid, socket };
}

describe('Python', onLinux(skipUnlessPython()), () => {
  for (const [role, weServe] of [
    ['client', true],
    ['server', false],
  ]) {
    for (const [kind, , makeName] of KINDS) {
      test(`as ${role} at ${kind}: messages of every size, both ways, and the end`, async (t) => {
        const { peer, pid, socket } = await meet(t, weServe, makeName);
        assert.equal(socket.peerCredentials.pid, pid);
        const events = eventsOf(socket, ['end', 'error', 'close']);
        const messages = messagesOf(socket);
        for (const eor of [false, true]) {
          const sent = peer.call('send', { sizes: SIZES, eor });
          const got = await messages.take(SIZES.length, 'a message from Python');
          assert.deepEqual(
            got.map(({ length }) => length),
            SIZES,
          );
          assert.deepEqual(got.map(digest), await sent);
        }
        const ours = SIZES.map((size) => randomBytes(size));
        for (const data of ours) socket.write(data);
        const received = await peer.call('receive', { count: SIZES.length });
        assert.deepEqual(
          received.map((message) => [message.digest, message.size, message.truncated]),
          ours.map((data) => [digest(data), data.length, false]),
        );
        await peer.call('send_texts', { texts: ['', 'last', ''] });
        await peer.call('close');
        assert.deepEqual(await texts(messages, 3), ['', 'last', '']);
        await closing(socket);
        assert.deepEqual(events, ['end', 'close false']);
      });
    }

    for (const count of [1, 64, 253]) {
      test(`as ${role} sends and receives ${count} descriptors`, async (t) => {
        const before = countFds();
        const { paths, texts: contents } = makeFiles(t, count);
        const { peer, socket } = await meet(t, weServe, abstractName, { receiveFds: true });
        const open = countFds();
        const messages = messagesOf(socket);
        for (const text of ['with text', 'again']) {
          await peer.call('send_files', { paths, text });
          const message = await messages.next();
          assert.equal(String(message), text);
          assert.deepEqual(readAndClose(message.fds), contents);
        }
        const fds = paths.map((file) => fs.openSync(file));
        socket.write({ data: 'ours', fds });
        socket.write({ data: '', fds });
        fds.forEach((fd) => fs.closeSync(fd));
        const received = await peer.call('receive', { count: 2 });
        assert.deepEqual(
          received.map(({ text, files, truncated }) => [text, files, truncated]),
          [
            ['ours', contents, false],
            ['', contents, false],
          ],
        );
        assert.ok(open > before);
        await assertNoLeak(open);
      });
    }

    test(`as ${role} ends its side first, then gets our last messages and our end`, async (t) => {
      const { peer, socket } = await meet(t, weServe, abstractName, { allowHalfOpen: true });
      await peer.call('send_texts', { texts: ['bye'] });
      await peer.call('shut_down');
      socket.resume();
      await nextEvent(socket, 'end');
      socket.write('a last word');
      socket.end('');
      // An empty message, and the end, which Python cannot distinguish from one.
      const received = await peer.call('receive', { count: 3 });
      assert.deepEqual(
        received.map(({ text }) => text),
        ['a last word', '', ''],
      );
      await closing(socket);
    });

    test(`as ${role} closes with our data unread, and all of its own was read: ECONNRESET`, async (t) => {
      const { peer, socket } = await meet(t, weServe);
      const events = eventsOf(socket, ['end', 'error', 'close']);
      const got = [];
      socket.on('data', (message) => got.push(String(message)));
      socket.write('nobody reads this');
      await peer.call('send_texts', { texts: TEXTS });
      await until(() => got.length === TEXTS.length, 'all messages');
      await peer.call('close');
      await closing(socket);
      assert.deepEqual(got, TEXTS);
      assert.deepEqual(events, ['error ECONNRESET', 'close true']);
    });

    test(`as ${role} closes with our data unread, and its own, too: its messages come, and the end`, async (t) => {
      const { peer, socket } = await meet(t, weServe);
      const events = eventsOf(socket, ['end', 'error', 'close']);
      const got = [];
      socket.on('data', (message) => got.push(String(message)));
      socket.pause();
      socket.write('nobody reads this');
      await peer.call('send_texts', { texts: TEXTS });
      await peer.call('close');
      socket.resume();
      await closing(socket);
      assert.deepEqual(got, TEXTS);
      assert.deepEqual(events, ['end', 'close false']);
    });
  }
});

describe('socat', onLinux(skipUnless('socat')), () => {
  /** A name as socat takes it. */
  const shown = (name) => name.replace(/^\0/, '');

  for (const [kind, family, makeName] of KINDS) {
    test(`${family}-CONNECT with type=5 talks to our server at ${kind}`, async (t) => {
      const name = makeName(t);
      const server = startServer(t, undefined, name);
      const accepted = nextEvent(server, 'connection');
      const socat = startProgram(t, 'socat', ['-', `${family}-CONNECT:${shown(name)},type=5`]);
      const [socket] = await accepted;
      const messages = messagesOf(socket);
      for (const round of ['one', 'two', 'three']) {
        socat.write(round);
        assert.deepEqual(await texts(messages, 1), [round]);
        socket.write(`answer to ${round}\n`);
        assert.equal(await socat.lines.next("socat's output"), `answer to ${round}`);
      }
      socket.end();
      const { code, stderr } = await socat.ended();
      assert.equal(code, 0, stderr);
      await closing(socket);
    });

    test(`${family}-LISTEN with type=5 at ${kind} echoes`, async (t) => {
      const name = makeName(t);
      const socat = startProgram(t, 'socat', [`${family}-LISTEN:${shown(name)},type=5`, 'PIPE']);
      await untilListening(name);
      const client = connectTo(t, name);
      const events = eventsOf(client, ['end', 'error', 'close']);
      const messages = messagesOf(client);
      for (const size of [1, 100, 4000]) {
        const data = randomBytes(size);
        client.write(data);
        assert.ok((await messages.next("socat's echo")).equals(data));
      }
      client.end();
      await closing(client);
      assert.deepEqual(events, ['end', 'close false']);
      const { code, stderr } = await socat.ended();
      assert.equal(code, 0, stderr);
    });
  }
});

describe('systemd-socket-activate', onLinux(skipUnless('systemd-socket-activate')), () => {
  /** Listens where the command says, says so, and echoes until a connection has ended. */
  const serve = (lib) => {
    const { SeqpacketServer } = require(lib);
    const server = new SeqpacketServer((socket) => {
      socket.pipe(socket);
      socket.on('close', () => server.close());
    });
    // SD_LISTEN_FDS_START of sd_listen_fds(3).
    server.listen({ fd: 3 });
    console.log(JSON.stringify({ name: server.address(), fds: process.env.LISTEN_FDS }));
  };

  for (const [kind, , makeName] of KINDS) {
    test(`--seqpacket starts us at the first connection to ${kind}`, async (t) => {
      const name = makeName(t);
      const source = `(${serve})(process.argv[1])`;
      const address = name.replace(/^\0/, '@');
      const args = ['--seqpacket', '-l', address, process.execPath, '-e', source, LIB];
      const program = startProgram(t, 'systemd-socket-activate', args);
      await untilListening(name);
      const client = connectTo(t, name);
      const messages = messagesOf(client);
      const sent = ['one', '', 'two', ''];
      for (const text of sent) client.write(text);
      const started = JSON.parse(await program.lines.next('the child to start'));
      assert.deepEqual(started, { name, fds: '1' });
      assert.deepEqual(await texts(messages, 4), sent);
      client.end();
      await closing(client);
      const { code, stderr } = await program.ended();
      assert.equal(code, 0, stderr);
    });
  }
});
