'use strict';

// Owns readers that begin before there is a connection: they get all that comes, and the end.

const assert = require('node:assert/strict');
const { Writable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, closeFd } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, makeSocket, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const { AF_UNIX, SOCK_SEQPACKET } = posix;
const SENT = ['one', 'two', 'three'];

/** What reads a socket to its end: the messages as texts. */
const READERS = {
  async 'for await'(socket) {
    const texts = [];
    for await (const message of socket) texts.push(String(message));
    return texts;
  },
  async pipeline(socket) {
    const texts = [];
    const write = (message, _encoding, done) => {
      texts.push(String(message));
      done();
    };
    await pipeline(socket, new Writable({ objectMode: true, write }));
    return texts;
  },
  async "'readable'"(socket) {
    const texts = [];
    socket.on('readable', () => {
      for (let message; (message = socket.read()) !== null;) texts.push(String(message));
    });
    await new Promise((done) => socket.on('end', done));
    return texts;
  },
  async "'data'"(socket) {
    const texts = [];
    socket.on('data', (message) => texts.push(String(message)));
    await new Promise((done) => socket.on('end', done));
    return texts;
  },
};

/** A listening descriptor with a backlog, at which nobody accepts. */
function listening(backlog) {
  const path = abstractName();
  const fd = posix.socket(AF_UNIX, SOCK_SEQPACKET, 0);
  posix.bind(fd, { sun_family: AF_UNIX, sun_path: path });
  posix.listen(fd, backlog);
  return { fd, path };
}

/** Serves each connection with the messages. */
function serve(t, fd) {
  const server = new SeqpacketServer();
  t.after(() => server.close());
  server.on('connection', (socket) => {
    cleanUp(t, socket).on('error', () => {});
    for (const text of SENT) socket.write(text);
    socket.end();
  });
  return server.listen({ fd });
}

for (const [name, read] of Object.entries(READERS)) {
  describe(`${name} that begins`, onLinux(), () => {
    test('before connect()', async (t) => {
      const { fd, path } = listening(10);
      serve(t, fd);
      const socket = makeSocket(t);
      const reading = read(socket);
      await quiet();
      socket.connect(path);
      assert.deepEqual(await within(reading, 'the messages'), SENT);
    });

    test('right after connect() at a full backlog', async (t) => {
      const { fd, path } = listening(1);
      const others = [makeSocket(t), makeSocket(t)].map((other) => other.connect(path));
      for (const other of others) other.resume();
      const socket = makeSocket(t, { connectTimeout: 60_000 }).connect(path);
      const reading = read(socket);
      await quiet(20);
      assert.equal(socket.connecting, true);
      serve(t, fd);
      assert.deepEqual(await within(reading, 'the messages'), SENT);
    });
  });
}

test('what is put back comes before messages that were received with it', onLinux(), async (t) => {
  const [one, two] = SeqpacketSocket.pair();
  for (const end of [one, two]) cleanUp(t, end);
  const texts = [];
  one.on('data', (data) => {
    texts.push(String(data));
    if (texts.length === 2) one.unshift(Buffer.from('again'));
  });
  for (const text of ['one', 'two', 'three', 'four']) two.write(text);
  await until(() => texts.length === 5, 'the messages');
  assert.deepEqual(texts, ['one', 'two', 'again', 'three', 'four']);
});

test('fds of a message is a property like any other, taken or not', onLinux(), async (t) => {
  const [one, two] = SeqpacketSocket.pair({ receiveFds: true });
  for (const end of [one, two]) cleanUp(t, end);
  two.write({ data: 'x', fds: [0] });
  const [message] = await nextEvent(one, 'data');
  for (let time = 0; time < 2; time++) {
    assert.ok(Object.keys(message).includes('fds'));
    assert.equal(message.fds.length, 1);
  }
  closeFd(message.fds[0]);
});
