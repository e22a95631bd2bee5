'use strict';

// Owns USocket against Node's own net, at either end: the two have to look alike from the far side,
// and to their users.

const assert = require('node:assert/strict');
const net = require('node:net');
const { pipeline } = require('node:stream/promises');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const {
  MB,
  connect,
  digestOf,
  openNetServer,
  openServer,
  textOf,
  traffic,
} = require('../helpers/streams.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const LARGE = 50 * MB;

/** Connects the two kinds: `{ server, client, accepted }`, where options go to both ends. */
async function meet(t, kinds, options = {}) {
  const { server, path } = await kinds.serve(t, options);
  const accepting = nextEvent(server, 'connection');
  const client = kinds.connect(t, path, options);
  const [[accepted]] = await Promise.all([accepting, nextEvent(client, 'connect')]);
  return { server, client, accepted };
}

function connectNet(t, path, options) {
  const socket = net.connect({ ...options, path });
  t.after(() => socket.destroy());
  return socket;
}

const US_TO_NET = { serve: openNetServer, connect };
const NET_TO_US = { serve: openServer, connect: connectNet };
const NET_TO_NET = { serve: openNetServer, connect: connectNet };
const US_TO_US = { serve: openServer, connect };

const KINDS = [
  ['USocket to a net server', US_TO_NET],
  ['net client to a UServer', NET_TO_US],
  ['USocket to a UServer', US_TO_US],
];

for (const [name, kinds] of KINDS) {
  describe(name, () => {
    test('50 MB each way at once', async (t) => {
      // Otherwise whoever is done first ends the other, which may have some left to send.
      const { client, accepted } = await meet(t, kinds, { allowHalfOpen: true });
      const sides = [client, accepted].map((socket) => {
        const sent = traffic(LARGE);
        const sending = pipeline(sent.stream, socket, { end: true });
        return { sent, sending, received: digestOf(socket) };
      });
      const received = await Promise.all(sides.map((side) => side.received));
      await Promise.all(sides.map((side) => side.sending));
      assert.deepEqual(received[1], { hash: sides[0].sent.hash, length: LARGE });
      assert.deepEqual(received[0], { hash: sides[1].sent.hash, length: LARGE });
      for (const socket of [client, accepted]) {
        assert.deepEqual([socket.bytesRead, socket.bytesWritten], [LARGE, LARGE]);
      }
    });

    test('an echo in many small pieces keeps its order', async (t) => {
      const { client, accepted } = await meet(t, kinds);
      accepted.pipe(accepted);
      const lines = Array.from({ length: 20_000 }, (_, at) => `line ${at}\n`);
      for (const line of lines) client.write(line);
      client.end();
      assert.equal(await textOf(client), lines.join(''));
    });
  });
}

/**
 * What a pair of sockets goes through: their events, what they reported to their users. It must be the
 * same whatever kind they are.
 */
const STORIES = {
  'the client ends': async ({ client, accepted }, note) => {
    accepted.resume();
    client.resume();
    client.end('bye', () => note('end callback'));
    await closing(client);
    await closing(accepted);
  },

  'the server ends, with data': async ({ client, accepted }, note) => {
    client.on('data', (data) => note(`data ${data}`));
    accepted.resume();
    accepted.end('bye');
    await closing(client);
    await closing(accepted);
  },

  'both end at once': async ({ client, accepted }) => {
    client.resume();
    accepted.resume();
    client.end();
    accepted.end();
    await closing(client);
    await closing(accepted);
  },

  'the server ends, and nobody ever reads': async ({ client, accepted }) => {
    accepted.resume();
    accepted.end();
    await closing(client);
    await closing(accepted);
  },

  'the client destroys': async ({ client, accepted }) => {
    accepted.resume();
    client.destroy();
    await closing(client);
    await closing(accepted);
  },

  'the client destroys with an error': async ({ client, accepted }) => {
    accepted.resume();
    client.destroy(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
    await closing(client);
    await closing(accepted);
  },

  'the client destroys with data unread': async ({ client, accepted }) => {
    accepted.resume();
    client.pause();
    accepted.write('never read');
    await until(() => accepted.writableLength === 0, 'the data to be sent');
    client.destroy();
    await closing(client);
    await closing(accepted);
  },

  'destroySoon sends what waits': async ({ client, accepted }, note) => {
    let length = 0;
    accepted.on('data', (data) => (length += data.length));
    client.resume();
    client.write(Buffer.alloc(5 * MB), () => note('written'));
    client.destroySoon();
    await closing(client);
    await closing(accepted);
    note(`${length} bytes`);
  },

  'a write after the end': async ({ client, accepted }, note) => {
    accepted.resume();
    client.resume();
    client.end('bye');
    client.write('late', (error) => note(`late: ${error.code}`));
    await closing(client);
    await closing(accepted);
  },

  'a write after destroy': async ({ client, accepted }, note) => {
    accepted.resume();
    client.destroy();
    client.write('late', (error) => note(`late: ${error.code}`));
    await closing(client);
    await closing(accepted);
  },

  'destroyed with writes that wait': async ({ client, accepted }, note) => {
    accepted.pause();
    // What net says depends on the version of Node: success or ECANCELED for the first, ECANCELED or
    // ERR_STREAM_DESTROYED for the second. See the test of its own below.
    client.write(Buffer.alloc(5 * MB), () => note('first'));
    client.write('second', (error) => note(`second failed: ${error?.code !== undefined}`));
    await quiet();
    client.destroy();
    await closing(client);
    accepted.resume();
    await closing(accepted);
  },

  'a write to a peer that is gone': async ({ client, accepted }, note) => {
    accepted.destroy();
    // Before anybody could hear of the end.
    client.write('too late', (error) => note(`write: ${error?.code}`));
    await closing(client);
  },

  'half open: the server ends first': async ({ client, accepted }, note) => {
    client.on('data', (data) => note(`client got ${data}`));
    accepted.on('data', (data) => note(`server got ${data}`));
    accepted.end('question');
    await nextEvent(client, 'end');
    note(`${client.readyState} ${client.writable} ${client.destroyed}`);
    client.write('an answer');
    await nextEvent(accepted, 'data');
    client.end();
    await closing(client);
    await closing(accepted);
  },

  'data and the end wait for a reader that paused': async ({ client, accepted }, note) => {
    client.pause();
    accepted.resume();
    accepted.end('patience');
    await assertIdle('a paused client');
    note('read now');
    client.on('data', (data) => note(`data ${data}`));
    client.resume();
    await closing(client);
    await closing(accepted);
  },

  'read() by hand': async ({ client, accepted }, note) => {
    client.on('readable', () => {
      for (let data; (data = client.read(3)) !== null;) note(`read ${data}`);
    });
    accepted.resume();
    accepted.end('abcdef');
    await closing(client);
    await closing(accepted);
  },

  'text in pieces that split characters': async ({ client, accepted }, note) => {
    let text = '';
    client.setEncoding('utf8');
    client.on('data', (piece) => (text += piece));
    accepted.resume();
    for (const byte of Buffer.from('grüße, 世界')) {
      accepted.write(Buffer.of(byte));
      await quiet(1);
    }
    accepted.end();
    await closing(client);
    await closing(accepted);
    note(text);
  },

  'encodings, cork, and empty writes': async ({ client, accepted }, note) => {
    const chunks = [];
    accepted.on('data', (data) => chunks.push(data));
    client.resume();
    client.cork();
    client.write('68657820', 'hex');
    client.write('', () => note('empty'));
    client.write('Ymlu', 'base64');
    client.write('\xe9', 'latin1');
    client.uncork();
    client.setDefaultEncoding('utf16le');
    client.write('x');
    client.end(new Uint8Array([1, 2]), () => note('ended'));
    await closing(client);
    await closing(accepted);
    note(Buffer.concat(chunks).toString('hex'));
  },

  'the order of callbacks': async ({ client, accepted }, note) => {
    accepted.resume();
    client.resume();
    client.write('a', () => note('a'));
    note('after a');
    client.write('b', () => note('b'));
    process.nextTick(() => note('tick'));
    client.end('c', () => note('end'));
    await closing(client);
    await closing(accepted);
  },

  'pipe to itself': async ({ client, accepted }, note) => {
    accepted.pipe(accepted);
    client.end('echo');
    note(await textOf(client));
    await closing(client);
    await closing(accepted);
  },

  'a time-out does not close': async ({ client, accepted }, note) => {
    client.resume();
    accepted.resume();
    client.setTimeout(30, () => note('timeout'));
    await nextEvent(client, 'timeout');
    note(`${client.timeout} ${client.readyState}`);
    client.setTimeout(0);
    client.end();
    await closing(client);
    await closing(accepted);
  },

  'an iterator that breaks off': async ({ client, accepted }, note) => {
    accepted.resume();
    accepted.write('first');
    for await (const data of client) {
      note(`got ${data}`);
      break;
    }
    await closing(client);
    await closing(accepted);
  },
};

const OPTIONS = { 'half open: the server ends first': { allowHalfOpen: true } };

describe('a story is the same with USocket as with net:', () => {
  // Shutting down takes net a turn of the event loop, USocket none: an error can come between.
  const hasFinishedFirst = (events) => events.join().startsWith('finish,error');

  /** Plays it with these kinds, and returns what each side and the user saw. */
  async function play(t, kinds, name) {
    const met = await meet(t, kinds, OPTIONS[name]);
    const client = eventsOf(met.client, ['end', 'finish', 'error', 'close']);
    const accepted = eventsOf(met.accepted, ['end', 'finish', 'error', 'close']);
    const notes = [];
    await STORIES[name](met, (text) => notes.push(text));
    if (hasFinishedFirst(client)) client.shift();
    return { client, accepted, notes, state: met.client.readyState };
  }

  for (const name of Object.keys(STORIES)) {
    test(name, async (t) => {
      const expected = await play(t, NET_TO_NET, name);
      assert.ok(expected.client.length > 0);
      for (const [, kinds] of KINDS) {
        const found = await play(t, kinds, name);
        assert.deepEqual(found, expected);
      }
    });
  }
});

test('what destroy() cancels is reported to its callback', async (t) => {
  const { client } = await meet(t, US_TO_NET);
  const codes = [];
  client.write(Buffer.alloc(5 * MB), (error) => codes.push(error?.code));
  client.write('second', (error) => codes.push(error?.code));
  client.destroy();
  await closing(client);
  assert.deepEqual(codes, ['ERR_STREAM_DESTROYED', 'ERR_STREAM_DESTROYED']);
});

describe('properties are those of net.Socket', () => {
  const states = (socket) => {
    const { connecting, pending, destroyed, readable, writable, closed } = socket;
    const { bytesRead, bytesWritten, allowHalfOpen } = socket;
    // net calls a socket 'open' that was never connected; bufferSize comes with the connection.
    const { readyState, bufferSize } = pending && !connecting ? {} : socket;
    return [
      { connecting, pending, readyState, destroyed, readable, writable, closed },
      { bytesRead, bytesWritten, bufferSize, allowHalfOpen },
    ];
  };

  test('from before the connection to after the end', async (t) => {
    const histories = [];
    for (const kinds of [NET_TO_NET, US_TO_NET]) {
      const { path } = await openNetServer(t, (socket) => socket.end('five!'));
      const socket = kinds === NET_TO_NET ? new net.Socket() : new USocket();
      const history = [states(socket)];
      socket.connect({ path });
      socket.on('data', () => {});
      socket.on('connect', () => {
        history.push(states(socket));
        socket.write('1234567');
      });
      socket.on('end', () => history.push(states(socket)));
      await nextEvent(socket, 'close');
      history.push(states(socket));
      histories.push(history);
    }
    const [expected, found] = histories;
    // net gives no number before setTimeout().
    assert.deepEqual(JSON.parse(JSON.stringify(found)), JSON.parse(JSON.stringify(expected)));
  });
});
