'use strict';

// Owns senders' credentials under load: with many clients that send the moment they are connected, each message has
// those of its sender, or none; never pid 0 or uid 65534, which is what the kernel says of nobody.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const posix = require('../../lib/posix');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { closed, nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const CLIENTS = 200;
const MESSAGES = 5;
const NOBODY = 65534;
const CONNECTED = { U: [UServer, USocket], Seqpacket: [SeqpacketServer, SeqpacketSocket] };

/** Notes what messages carry: how many, how many of them without, and what is wrong. */
class Census {
  bytes = 0;
  absent = 0;
  wrong = [];

  constructor(pids) {
    this.pids = pids;
  }

  note(data, credentials = data.credentials) {
    this.bytes += data.length;
    if (credentials === undefined) {
      this.absent++;
      return;
    }
    const { pid, uid } = credentials;
    const isRight = this.pids().includes(pid) && uid === process.getuid() && uid !== NOBODY;
    if (!isRight) this.wrong.push(credentials);
  }
}

/** Clients in a process of its own: each connects, writes at once, and ends. */
function clients(afunix, kind, name, count, messages) {
  const { once } = require('node:events');
  const one = async () => {
    const client = new afunix[`${kind}Socket`]();
    client.on('error', (error) => console.error(error.message));
    client.connect(name);
    for (let number = 0; number < messages; number++) client.write('x');
    client.resume().end();
    await once(client, 'close');
  };
  const all = async () => {
    for (let done = 0; done < count; done += 50) await Promise.all(Array.from({ length: 50 }, one));
  };
  all();
}

describe('credentials of many clients', onLinux({}), () => {
  for (const [kind, [Server]] of Object.entries(CONNECTED)) {
    for (const way of ['a server', 'a server of an inherited listener']) {
      test(`${way}: ${kind}Server`, async (t) => {
        const programs = [];
        const census = new Census(() => programs.map(({ pid }) => pid));
        const server = new Server({ credentials: true }, (socket) => {
          cleanUp(t, socket).on('data', (data) => census.note(data));
        });
        if (way === 'a server') server.listen(abstractName());
        else {
          const type = kind === 'U' ? posix.SOCK_STREAM : posix.SOCK_SEQPACKET;
          const fd = posix.socket(posix.AF_UNIX, type | posix.SOCK_NONBLOCK, 0);
          posix.bind(fd, abstractName());
          posix.listen(fd, 500);
          server.listen({ fd });
        }
        if (!server.listening) await nextEvent(server, 'listening');
        for (let count = 0; count < 2; count++) {
          const args = [kind, server.address(), CLIENTS, MESSAGES];
          programs.push(startScript(t, clients, args));
        }
        const total = 2 * CLIENTS * MESSAGES;
        await until(() => census.bytes === total, `${total} bytes`);
        for (const program of programs) {
          const { code, stderr } = await program.ended();
          assert.deepEqual([code, stderr], [0, '']);
        }
        assert.deepEqual(census.wrong, []);
        // The option was set before anybody could connect: none is without.
        if (way === 'a server') assert.equal(census.absent, 0);
        await closed(server);
      });
    }

    test(`what clients get from a server that greets at once: ${kind}Socket`, async (t) => {
      const [, Socket] = CONNECTED[kind];
      const census = new Census(() => [process.pid]);
      const server = new Server((socket) => {
        cleanUp(t, socket).write('hello');
        socket.resume();
      }).listen(abstractName());
      if (!server.listening) await nextEvent(server, 'listening');
      for (let round = 0; round < 4; round++) {
        const some = Array.from({ length: 50 }, () => {
          const client = cleanUp(t, new Socket({ credentials: true }));
          client.on('data', (data) => census.note(data));
          client.connect(server.address());
          return client;
        });
        await until(() => census.bytes === (round + 1) * 50 * 5, 'greetings');
        for (const client of some) client.destroy();
      }
      assert.deepEqual(census.wrong, []);
      assert.equal(census.absent, 0);
      await closed(server);
    });

    test(`adopted sockets, with messages from before the option: ${kind}Socket`, async (t) => {
      const [, Socket] = CONNECTED[kind];
      const type = kind === 'U' ? posix.SOCK_STREAM : posix.SOCK_SEQPACKET;
      const census = new Census(() => [process.pid]);
      for (let round = 0; round < CLIENTS; round++) {
        const [left, right] = posix.socketpair(posix.AF_UNIX, type | posix.SOCK_NONBLOCK, 0);
        posix.send(right, Buffer.from('early'));
        const socket = cleanUp(t, new Socket({ fd: left, credentials: true }));
        socket.on('data', (data) => census.note(data));
        posix.send(right, Buffer.from('later'));
        await until(() => census.bytes === (round + 1) * 10, 'both messages');
        socket.destroy();
        posix.close(right);
      }
      assert.deepEqual(census.wrong, []);
    });
  }

  test('datagrams to a bound socket, from its first moment on', async (t) => {
    const name = abstractName();
    const script = async ({ DgramSocket }, to, count) => {
      const socket = new DgramSocket();
      const send = (text) => new Promise((done) => socket.sendTo(text, to, done));
      // It is not there yet: the first that can be sent is the first it gets.
      while (await send('x'));
      for (let number = 1; number < count; number++) await send('x');
      socket.close();
    };
    const programs = [1, 2, 3].map(() => startScript(t, script, [name, CLIENTS]));
    const census = new Census(() => programs.map(({ pid }) => pid));
    const socket = new DgramSocket({ credentials: true });
    socket.on('data', (data, _path, { credentials }) => census.note(data, credentials));
    // Bound while all of them try.
    await until(() => programs.every(({ pid }) => pid > 0), 'programs');
    socket.bind(name);
    await until(() => census.bytes === 3 * CLIENTS, 'all messages');
    assert.deepEqual(census.wrong, []);
    assert.equal(census.absent, 0);
    for (const program of programs) await program.ended();
    await closed(socket);
  });

  test('datagrams to an adopted socket that was bound before, and to pairs', async () => {
    const census = new Census(() => [process.pid]);
    const note = (data, _path, { credentials }) => census.note(data, credentials);
    const sender = new DgramSocket();
    let sent = 0;
    for (let round = 0; round < 50; round++) {
      const fd = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM | posix.SOCK_NONBLOCK, 0);
      const name = abstractName();
      posix.bind(fd, name);
      // Before the option is set: the kernel knows nothing of its sender.
      sender.sendTo('x', name);
      const socket = new DgramSocket({ fd, credentials: true });
      socket.on('data', note);
      sender.sendTo('x', name);
      const [one, two] = DgramSocket.pair({ credentials: true });
      two.on('data', note);
      one.send('x');
      sent += 3;
      await until(() => census.bytes === sent, 'messages');
      await Promise.all([socket, one, two].map(closed));
    }
    assert.deepEqual(census.wrong, []);
    await closed(sender);
  });
});
