'use strict';

// Owns captureRejections: whom an async listener that throws ends, as with net and dgram.

const assert = require('node:assert/strict');
const dgram = require('node:dgram');
const { EventEmitter } = require('node:events');
const net = require('node:net');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { listen } = require('../helpers/streams.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** For what is made while it runs, as for the whole of a program that sets it. */
function capturing(make) {
  EventEmitter.captureRejections = true;
  try {
    return make();
  } finally {
    EventEmitter.captureRejections = false;
  }
}

async function fail() {
  throw new Error('of a listener');
}

/** The 'error' and 'close' of an emitter, with the error's words. */
function endsOf(emitter) {
  const ends = [];
  emitter.on('error', (error) => ends.push(error.message));
  emitter.on('close', (hadError) => ends.push(`close ${hadError}`));
  return ends;
}

const SERVERS = [
  ['net.Server', () => capturing(() => new net.Server()), net.Socket],
  ['UServer', () => capturing(() => new UServer()), USocket],
  ['UServer, by option', () => new UServer({ captureRejections: true }), USocket],
  ['SeqpacketServer', () => capturing(() => new SeqpacketServer()), SeqpacketSocket],
  [
    'SeqpacketServer, by option',
    () => new SeqpacketServer({ captureRejections: true }),
    SeqpacketSocket,
  ],
];

describe('what an async listener throws', onLinux(), () => {
  for (const [name, make, Socket] of SERVERS) {
    const start = async (t) => {
      const server = make();
      await listen(t, server);
      return server;
    };

    test(`for 'connection' of a ${name} ends that connection, and no other`, async (t) => {
      const server = await start(t);
      const events = eventsOf(server, ['error', 'close']);
      server.once('connection', fail);
      for (const isRefused of [true, false]) {
        const client = cleanUp(t, new Socket()).connect(server.address());
        client.on('error', () => {});
        const [socket] = await nextEvent(server, 'connection');
        const ends = endsOf(socket);
        if (isRefused) await closing(socket);
        else await quiet();
        assert.deepEqual(ends, isRefused ? ['of a listener', 'close true'] : []);
        client.destroy();
      }
      assert.deepEqual(events, []);
    });

    test(`for another event of a ${name} is its 'error'`, async (t) => {
      const server = await start(t);
      server.on('of ours', fail);
      server.emit('of ours');
      const [error] = await nextEvent(server, 'error');
      assert.equal(error.message, 'of a listener');
      assert.equal(server.listening, true);
    });
  }

  for (const [name, makeServer, makeSocket] of [
    ['net.Socket', () => net.createServer(), () => new net.Socket()],
    ['USocket', () => new UServer(), () => new USocket()],
    ['SeqpacketSocket', () => new SeqpacketServer(), () => new SeqpacketSocket()],
  ]) {
    test(`for 'data' of a ${name} destroys it`, async (t) => {
      const server = makeServer();
      server.on('connection', (socket) => socket.write('data'));
      const client = cleanUp(t, capturing(makeSocket)).connect(await listen(t, server));
      const ends = endsOf(client);
      client.on('data', fail);
      await closing(client);
      assert.deepEqual(ends, ['of a listener', 'close true']);
    });
  }

  test("for 'data' of a DgramSocket is its 'error', as for 'message' of a dgram.Socket", async (t) => {
    const udp = capturing(() => dgram.createSocket('udp4'));
    const ours = capturing(() => new DgramSocket());
    t.after(() => udp.close());
    t.after(() => ours.close());
    const path = temporaryPath(t);
    ours.bind(path);
    await new Promise((done) => udp.bind(0, '127.0.0.1', done));
    const ends = { udp: endsOf(udp), ours: endsOf(ours) };
    const messages = [];
    udp.once('message', fail).on('message', (data) => messages.push(`udp ${data}`));
    ours.once('data', fail).on('data', (data) => messages.push(`ours ${data}`));
    for (const word of ['one', 'two']) {
      udp.send(word, udp.address().port, '127.0.0.1');
      await nextEvent(udp, 'message');
      ours.sendTo(word, path);
      await nextEvent(ours, 'data');
      await quiet();
    }
    assert.deepEqual(ends, { udp: ['of a listener'], ours: ['of a listener'] });
    assert.deepEqual(messages, ['udp one', 'ours one', 'udp two', 'ours two']);
  });
});
