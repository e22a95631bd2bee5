'use strict';

// Owns the silence of sockets to which nothing happens: whatever has come before, a poll is armed only for
// what the socket waits for. One that stays armed loses nothing, and takes a processor for ever.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const lib = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { own } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { nextEvent, openSocket } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = lib;
const { AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } = posix;

/** Whether reading a descriptor gave something, without waiting for it. */
function takeOne(fd, room = Buffer.alloc(100_000)) {
  try {
    return posix.recv(fd, room, room.length, MSG_DONTWAIT) > 0;
  } catch (error) {
    if (error.code === 'EAGAIN') return false;
    throw error;
  }
}

/** Reads a descriptor empty. */
function drain(fd) {
  const room = Buffer.alloc(100_000);
  while (takeOne(fd, room));
}

/** Sends as much as the kernel takes at once; returns how many bytes that is. */
function stuff(fd) {
  const data = Buffer.alloc(1000);
  for (let sent = 0; ; sent += data.length) {
    try {
      posix.send(fd, data, data.length, MSG_DONTWAIT);
    } catch (error) {
      if (error.code === 'EAGAIN') return sent;
      throw error;
    }
  }
}

/** A socket of `Class`, and a duplicate of its descriptor. */
function makeDuplicated(t, Class) {
  const [fd, peer] = lib.socketpair(Class === USocket ? SOCK_STREAM : SOCK_SEQPACKET);
  const copy = own(t, posix.dup(fd));
  return { one: cleanUp(t, new Class({ fd })), copy, peer: own(t, peer) };
}

/** A socket and the descriptor of its peer, with which nothing happens but what the test does. */
function makeHalf(t, Class, options) {
  const [fd, peer] = lib.socketpair(Class === USocket ? SOCK_STREAM : SOCK_SEQPACKET);
  const one = cleanUp(t, new Class({ ...options, fd }));
  one.on('error', () => {});
  return { one, peer: own(t, peer) };
}

/** Writes until something waits. */
function fill(socket, size = 10_000) {
  while (socket.writableLength === 0) socket.write(Buffer.alloc(size), () => {});
}

const CONNECTED = {
  async 'that has nothing to do'({ one }) {
    one.resume();
    await quiet();
  },
  async 'that never read'() {
    await quiet();
  },
  async 'whose peer has ended'({ one, peer }) {
    one.resume();
    posix.send(peer, Buffer.from('last'));
    posix.shutdown(peer, posix.SHUT_WR);
    await nextEvent(one, 'end');
    assert.equal(one.destroyed, false);
  },
  async 'whose peer has ended, unread'({ one, peer }) {
    one.pause();
    posix.send(peer, Buffer.from('last'));
    posix.shutdown(peer, posix.SHUT_WR);
    await quiet();
  },
  async 'whose peer has ended while writes wait'({ one, peer }) {
    one.resume();
    posix.shutdown(peer, posix.SHUT_WR);
    await nextEvent(one, 'end');
    fill(one);
    await quiet();
  },
  async 'that has ended'({ one }) {
    one.resume().end('last');
    await nextEvent(one, 'finish');
  },
  async 'that has ended while its peer reads nothing'({ one }) {
    one.resume();
    fill(one);
    one.end();
    await quiet();
  },
  async 'whose writes wait for the peer'({ one }) {
    one.resume();
    fill(one);
    await quiet();
  },
  async 'whose writes waited and are sent'({ one, peer }) {
    one.resume();
    fill(one);
    let isSent = false;
    one.write('last', () => (isSent = true));
    await until(() => {
      drain(peer);
      return isSent;
    }, 'the last write');
  },
  async 'that had to wait twice'({ one, peer }) {
    one.resume();
    for (let round = 0; round < 2; round++) {
      fill(one);
      await until(() => {
        drain(peer);
        return one.writableLength === 0;
      }, 'all to be sent');
    }
  },
  async 'that is paused, with much to read'({ one, peer }) {
    one.on('data', () => {});
    await quiet();
    one.pause();
    stuff(peer);
    await quiet(20);
  },
  async 'that is paused, with more to read than it may buffer'({ one, peer }) {
    one.on('data', () => {}).pause();
    while (stuff(peer) > 0) await quiet(20);
  },
  async 'that went on after a pause'({ one, peer }) {
    one.on('data', () => {}).pause();
    const sent = stuff(peer);
    await quiet(20);
    one.resume();
    await until(() => one.bytesRead === sent, 'all to be read');
  },
};

for (const [name, Class] of Object.entries({ USocket, SeqpacketSocket })) {
  describe(`a ${name} keeps the process idle`, onLinux(), () => {
    for (const [state, bring] of Object.entries(CONNECTED)) {
      test(`one ${state}`, async (t) => {
        const half = makeHalf(t, Class, { allowHalfOpen: true });
        await bring(half);
        await assertIdle(`a ${name} ${state}`);
      });
    }

    test('one that read nothing before its peer died', async (t) => {
      const [one, two] = Class.pair({ pauseOnConnect: true });
      cleanUp(t, one).on('error', () => {});
      two.destroy();
      await quiet();
      await assertIdle(`a paused ${name} whose peer is dead`);
    });
  });
}

/** A receiver that reads on command: its name and descriptor. */
function makeReceiver(t) {
  const fd = own(t, posix.socket(AF_UNIX, SOCK_DGRAM, 0));
  const path = temporaryPath(t);
  posix.bind(fd, { sun_family: AF_UNIX, sun_path: path });
  return { fd, path };
}

/** Sends until something waits; returns the callbacks' count. */
function fillDestination(socket, path) {
  const outcomes = { waiting: 0 };
  const done = () => outcomes.waiting--;
  while (socket.writableLength < 500) {
    outcomes.waiting++;
    socket.sendTo(Buffer.alloc(100), path, done);
  }
  return outcomes;
}

describe('a DgramSocket keeps the process idle', onLinux(), () => {
  test('one that is bound, or connected, or neither', async (t) => {
    const { path } = makeReceiver(t);
    openSocket(t).bind();
    openSocket(t).connect(path);
    openSocket(t);
    await quiet();
    await assertIdle('a DgramSocket');
  });

  test('one whose destination is full', async (t) => {
    const { path } = makeReceiver(t);
    fillDestination(openSocket(t).bind(), path);
    await quiet();
    await assertIdle('a DgramSocket whose messages wait');
  });

  for (const connected of [false, true]) {
    test(`one whose ${connected ? 'peer' : 'destination'} was full, and has read all`, async (t) => {
      const { path, fd } = makeReceiver(t);
      const socket = openSocket(t).bind();
      if (connected) socket.connect(path);
      for (let round = 0; round < 2; round++) {
        let waiting = 0;
        const done = () => waiting--;
        while (socket.writableLength < 500) {
          waiting++;
          if (connected) socket.send(Buffer.alloc(100), done);
          else socket.sendTo(Buffer.alloc(100), path, done);
        }
        await until(() => {
          drain(fd);
          return waiting === 0;
        }, 'all to be sent');
      }
      drain(fd);
      await quiet();
      await assertIdle('a DgramSocket whose messages were sent');
    });
  }

  test('one with one destination full and one that was', async (t) => {
    const [first, second] = [makeReceiver(t), makeReceiver(t)];
    const socket = openSocket(t);
    const outcomes = fillDestination(socket, first.path);
    const sent = new Promise((resolve) => socket.sendTo('x', second.path, resolve));
    await until(() => {
      drain(first.fd);
      return outcomes.waiting === 0;
    }, 'all to be sent');
    await sent;
    fillDestination(socket, second.path);
    await quiet();
    await assertIdle('a DgramSocket with two destinations');
  });

  test('one whose full destination has died', async (t) => {
    const { path, fd } = makeReceiver(t);
    const outcomes = fillDestination(openSocket(t), path);
    posix.close(fd);
    await until(() => outcomes.waiting === 0, 'the callbacks');
    await assertIdle('a DgramSocket whose destination died');
  });

  test('one with a loop whose body is busy', async (t) => {
    const [one, two] = DgramSocket.pair();
    for (const end of [one, two]) t.after(() => end.close());
    const iterator = two[Symbol.asyncIterator]();
    const first = iterator.next();
    let waiting = 0;
    for (let count = 0; count < 500; count++) one.send('x', () => waiting--, waiting++);
    await first;
    await quiet(20);
    assert.ok(waiting > 0);
    await assertIdle('a DgramSocket whose iterator is busy');
    await iterator.return();
  });
});

describe("a socket of createSocket('unix_dgram') keeps the process idle", onLinux(), () => {
  test('congested, and after that', async (t) => {
    const { path, fd } = makeReceiver(t);
    const socket = lib.createSocket('unix_dgram');
    t.after(() => socket.close());
    socket.connect(path);
    let isFull = false;
    socket.on('congestion', () => (isFull = true));
    while (!isFull) socket.send(Buffer.alloc(100));
    await quiet();
    await assertIdle('a congested socket');
    const writable = nextEvent(socket, 'writable');
    drain(fd);
    await writable;
    await assertIdle("a socket after 'writable'");
  });
});

for (const [name, Server, Socket] of [
  ['UServer', UServer, USocket],
  ['SeqpacketServer', SeqpacketServer, SeqpacketSocket],
]) {
  describe(`a ${name} keeps the process idle`, onLinux(), () => {
    test('that is paused while clients wait', async (t) => {
      const server = new Server().listen(abstractName());
      t.after(() => server.close());
      server.on('connection', (socket) => cleanUp(t, socket));
      const connect = () => cleanUp(t, new Socket()).connect(server.address());
      connect();
      await nextEvent(server, 'connection');
      server.pause();
      for (let count = 0; count < 20; count++) connect();
      await quiet();
      await assertIdle(`a paused ${name}`);
    });

    test('that was paused before it listened, and one that accepted all', async (t) => {
      const server = new Server().pause().listen(abstractName());
      t.after(() => server.close());
      let accepted = 0;
      server.on('connection', (socket) => cleanUp(t, socket) && accepted++);
      for (let count = 0; count < 20; count++) {
        cleanUp(t, new Socket()).connect(server.address());
      }
      await quiet();
      await assertIdle(`a ${name} that was paused`);
      server.resume();
      await until(() => accepted === 20, 'the connections');
      await assertIdle(`a ${name} with connections`);
    });
  });
}

for (const Class of [USocket, SeqpacketSocket]) {
  describe(`a closed ${Class.name} keeps the process idle`, onLinux(), () => {
    test('although a duplicate of its descriptor is open, and readable', async (t) => {
      const { one, copy, peer } = makeDuplicated(t, Class);
      one.resume();
      posix.send(peer, Buffer.from('read'));
      await until(() => one.bytesRead === 4, 'the message');
      one.destroy();
      await nextEvent(one, 'close');
      posix.send(peer, Buffer.from('not read'));
      await quiet();
      await assertIdle(`a closed ${Class.name}`);
      assert.ok(takeOne(copy));
    });
  });
}
