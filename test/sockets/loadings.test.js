'use strict';

// Owns the package's JavaScript evaluated more than once over one addon, as module registries that are reset
// and two installed versions do: sockets belong to the loading that made them, and none takes another's events.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, startWorker } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { closed, sendTo } = require('../helpers/sockets.js');
const { abstractName, temporaryFolder } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const NUMBERS = Array.from({ length: 40 }, (_, number) => number);

/** The package evaluated anew; the addon stays the one that is loaded. */
function loadAgain() {
  const kept = new Map();
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(LIB)) {
      kept.set(file, require.cache[file]);
      delete require.cache[file];
    }
  }
  const again = require(LIB);
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(LIB)) delete require.cache[file];
  }
  for (const [file, module] of kept) require.cache[file] = module;
  return again;
}

/**
 * A copy of lib/ in another folder with an edit, as another version that is installed too has it; over the
 * same addon, which a process loads once.
 */
function loadOther(t) {
  const folder = temporaryFolder(t);
  fs.cpSync(LIB, path.join(folder, 'lib'), { recursive: true });
  fs.cpSync(path.join(LIB, '..', 'package.json'), path.join(folder, 'package.json'));
  const file = path.join(folder, 'lib', 'sockets', 'members.js');
  fs.appendFileSync(file, '\nmodule.exports.version = "other";\n');
  process.env.AFUNIX_ADDON = path.join(LIB, '..', 'build', 'Release', 'afunix.node');
  try {
    return createRequire(path.join(folder, 'x.js'))('./lib');
  } finally {
    delete process.env.AFUNIX_ADDON;
  }
}

const LOADINGS = {
  'the same files evaluated again': () => loadAgain(),
  'a copy of another version': (t) => loadOther(t),
};

/** A server with an echo and a client of the two loadings, and what the client got. */
async function echoThrough(t, Server, Socket) {
  const server = new Server((socket) => {
    cleanUp(t, socket).on('data', (data) => socket.write(data));
  }).listen(abstractName());
  t.after(() => server.close());
  if (!server.listening) await once(server, 'listening');
  const client = cleanUp(t, new Socket());
  client.connect(server.address());
  const send = async (text) => {
    client.write(text);
    const [data] = await within(once(client, 'data'), `the echo of ${text}`);
    assert.equal(String(data), text);
  };
  const end = async () => {
    client.destroy();
    server.close();
    await within(once(server, 'close'), 'the server to close');
  };
  return { send, end };
}

for (const [name, load] of Object.entries(LOADINGS)) {
  describe(`two loadings: ${name}`, onLinux({}), () => {
    test('are different, and each has the events of its own datagram sockets', async (t) => {
      const first = require(LIB);
      const one = new first.DgramSocket().bind();
      const second = load(t);
      assert.notEqual(second.DgramSocket, first.DgramSocket);
      const other = new second.DgramSocket().bind();
      const got = [];
      one.on('data', (data, from) => got.push(`one: ${data} ${from === other.address()}`));
      other.on('data', (data, from) => got.push(`other: ${data} ${from === one.address()}`));
      for (const [socket, to] of [
        [other, one],
        [one, other],
        [one, other],
      ]) {
        const arrived = once(to, 'data');
        socket.sendTo('text', to.address());
        await within(arrived, 'a message');
      }
      assert.deepEqual(got, ['one: text true', 'other: text true', 'other: text true']);
      await Promise.all([closed(one), closed(other)]);
    });

    for (const kind of ['U', 'Seqpacket']) {
      test(`serve each other: ${kind}Server`, async (t) => {
        const first = require(LIB);
        const second = load(t);
        const pairs = [
          [first, second],
          [second, first],
          [second, second],
          [first, first],
        ];
        const stages = [];
        for (const [server, client] of pairs) {
          stages.push(await echoThrough(t, server[`${kind}Server`], client[`${kind}Socket`]));
        }
        // All of them live at the same time.
        for (const { send } of stages) await send('to and fro');
        for (const { end } of stages) await end();
      });
    }

    test('have queues and failures of their own', async (t) => {
      const [first, second] = [require(LIB), load(t)];
      const name = abstractName();
      const receiver = new first.DgramSocket();
      receiver.bind(name);
      const senders = [new first.DgramSocket(), new second.DgramSocket()];
      const outcomes = senders.map(() => []);
      const reported = senders.map((sender, index) =>
        Promise.all(
          NUMBERS.map(async (number) => {
            const failed = await sendTo(sender, `${number}`, name).catch(({ code }) => code);
            outcomes[index].push(failed ?? number);
          }),
        ),
      );
      const seen = [];
      receiver.on('data', (data) => seen.push(Number(data)));
      await within(Promise.all(reported), 'the callbacks');
      for (const outcome of outcomes) {
        assert.deepEqual(outcome, NUMBERS);
      }
      await until(() => seen.length === 80, '80 messages');
      await closed(receiver);
      for (const sender of senders) {
        await assert.rejects(sendTo(sender, 'x', name), { code: 'ECONNREFUSED' });
      }
      await Promise.all(senders.map(closed));
    });

    test('adopt what the other has given up, and not what it has', async (t) => {
      const [first, second] = [require(LIB), load(t)];
      const [one, two] = first.USocket.pair().map((socket) => cleanUp(t, socket));
      assert.throws(() => new second.USocket({ fd: one.fd }), { code: 'EEXIST' });
      const { fd } = one.detach();
      const again = cleanUp(t, new second.USocket({ fd }));
      const arrived = once(again, 'data');
      two.write('still there');
      assert.equal(String((await within(arrived, 'data'))[0]), 'still there');
    });
  });
}

test('a loading that is dropped leaves the events of the others alone', async () => {
  const first = require(LIB);
  const cluster = require('node:cluster');
  const listeners = cluster.listenerCount('fork');
  const one = new first.DgramSocket().bind();
  // As a watcher does that loads a program anew at each change.
  for (let round = 0; round < 20; round++) {
    const again = loadAgain();
    const socket = new again.DgramSocket();
    const arrived = once(one, 'data');
    socket.sendTo(`${round}`, one.address());
    assert.equal(String((await within(arrived, 'a message'))[0]), `${round}`);
    await closed(socket);
  }
  await closed(one);
  // Nor does it leave anything behind.
  assert.equal(cluster.listenerCount('fork'), listeners);
});

test('a worker has loadings of its own', async (t) => {
  const script = async ({ DgramSocket }, name, port) => {
    const { once } = require('node:events');
    const { workerData } = require('node:worker_threads');
    for (const file of Object.keys(require.cache)) delete require.cache[file];
    const again = require(workerData[0]);
    const [one, other] = [new DgramSocket().bind(), new again.DgramSocket().bind()];
    const both = Promise.all([once(one, 'data'), once(other, 'data')]);
    one.sendTo('to other', other.address());
    other.sendTo('to one', one.address());
    const texts = (await both).map(([data]) => String(data));
    one.close();
    other.close();
    port.postMessage(texts);
  };
  const worker = startWorker(t, script);
  assert.deepEqual(await worker.messages.next(), ['to one', 'to other']);
  assert.equal(await worker.exited(), 0);
});
