'use strict';

// Owns random lives of one connected socket: whatever was called in those before, each callback comes once, and the
// connection that follows carries data both ways and ends as if it were the first.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket, closeFd } = require('../../lib');
const { eachSeed } = require('../differential/chance.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { nextEvent, tick, turn } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const KINDS = {
  SeqpacketSocket: { Class: SeqpacketSocket, Server: SeqpacketServer },
  USocket: { Class: USocket, Server: UServer },
};
const EVENTS = ['close', 'data', 'end', 'error', 'finish', 'prefinish', 'readable'];
const LIVES = Number(process.env.LIVES ?? 100);
const PAUSES = [tick, turn, () => quiet(3)];

/** What may be called, by name. `accepted` is the far end, once there was one. */
function operations(socket, { name, accepted, again, callback, listen }) {
  const inListeners = EVENTS.flatMap((event) => [
    [`connect again in '${event}'`, () => listen(event, again)],
    [`connect again behind '${event}'`, () => listen(event, () => process.nextTick(again))],
  ]);
  const giveUp = () => {
    try {
      closeFd(socket.detach().fd);
    } catch (error) {
      assert.ok(['ENOTCONN', 'EBUSY'].includes(error.code), error);
    }
  };
  return {
    ...Object.fromEntries(inListeners),
    connect: () => socket.connect(name),
    'connect to nobody': () => socket.connect(`${name}, nobody`),
    end: () => socket.end(callback('end')),
    'end with a message': () => socket.end('bye', callback('end')),
    destroy: () => socket.destroy(),
    'destroy with an error': () => socket.destroy(new Error('mine')),
    destroySoon: () => socket.destroySoon(),
    write: () => socket.write('hello', callback('write')),
    'write without a callback': () => socket.write('hello'),
    'write much': () => {
      for (let count = 0; count < 4; count++) socket.write(Buffer.alloc(60_000), callback('write'));
    },
    'write a descriptor': () => socket.write({ data: 'x', fds: [0] }, callback('write')),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    'give it up': giveUp,
    "give it up in 'data'": () => listen('data', giveUp),
    'the peer dies': () => accepted()?.destroy(),
    'the peer ends': () => accepted()?.end(),
    'the peer writes': () => accepted()?.write('hello'),
  };
}

/** One socket: some lives with calls at random, whose names it notes, and one that is looked at. */
async function live({ Class, Server }, chance, called) {
  const connections = [];
  const server = new Server({ allowHalfOpen: chance.below(2) === 0 }, (connection) => {
    connections.push(connection.on('error', () => {}));
    if (chance.below(4) > 0) connection.resume();
  });
  server.listen(abstractName());
  const socket = new Class({ allowHalfOpen: chance.below(2) === 0 }).on('error', () => {});
  const done = [];
  const listeners = [];
  let isLast = false;
  const calls = operations(socket, {
    name: server.address(),
    accepted: () => connections.at(-1),
    callback: (what) => {
      const outcome = { what, times: 0 };
      done.push(outcome);
      return () => outcome.times++;
    },
    again: () => {
      if (!isLast) socket.destroy().connect(server.address());
    },
    listen: (event, listener) => {
      listeners.push([event, listener]);
      socket.once(event, listener);
    },
  });
  const names = [...Object.keys(calls), 'connect', 'connect', 'connect', 'destroy', 'destroy'];
  for (let count = 3 + chance.below(12); count > 0; count--) {
    const name = chance.one(names);
    called.push(name);
    try {
      calls[name]();
    } catch (error) {
      assert.equal(error.code, 'EISCONN');
    }
    await PAUSES[chance.below(5)]?.();
  }
  isLast = true;
  for (const [event, listener] of listeners) socket.off(event, listener);
  socket.destroy();
  await PAUSES[chance.below(5)]?.();
  const before = connections.length;
  const received = [];
  socket.connect(server.address());
  socket.on('data', (data) => received.push(String(data))).resume();
  await nextEvent(socket, 'connect');
  // Attempts of before that were given up may have been accepted, too.
  await until(() => connections.length > before && !connections.at(-1).destroyed, 'its connection');
  const accepted = connections.at(-1).resume();
  const events = eventsOf(socket, ['connect', 'error', 'end']);
  accepted.write('the last');
  socket.write('last words');
  assert.equal(String((await nextEvent(accepted, 'data'))[0]), 'last words');
  await until(() => received.length > 0, 'what was written');
  // What is written at once is a chunk of a stream, too.
  assert.deepEqual([received, events], [['the last'], []]);
  await new Promise((ended) => socket.end((error) => ended(assert.equal(error ?? null, null))));
  for (const each of [socket, ...connections]) each.destroy();
  await closing(socket);
  server.close();
  await nextEvent(server, 'close');
  assert.deepEqual(
    done.filter(({ times }) => times !== 1),
    [],
  );
}

for (const [name, kind] of Object.entries(KINDS)) {
  describe(`a ${name} that has had other lives`, onLinux({}), () => {
    test(`is as new: ${LIVES} at random`, async () => {
      await eachSeed(LIVES, async (chance) => {
        const called = [];
        try {
          await live(kind, chance, called);
        } catch (error) {
          error.message = `${called.join(', ')}: ${error.message}`;
          throw error;
        }
      });
    });
  });
}
