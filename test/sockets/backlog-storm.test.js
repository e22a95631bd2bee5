'use strict';

// Owns many sockets that wait at one full backlog: one look at a time for all of them, in order, and little processor
// time.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const binding = require('../../lib/native/binding.js');
const posix = require('../../lib/posix/index.js');
const { needsDescriptors } = require('../helpers/descriptors.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { closed } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const SOCKETS = 300;
const { AF_UNIX, SOCK_SEQPACKET, SOCK_STREAM } = posix;

/** Counts the calls of a native function while `body` runs. */
async function countCalls(name, body) {
  const original = binding[name];
  let count = 0;
  binding[name] = (...args) => {
    count++;
    return original(...args);
  };
  try {
    await body();
  } finally {
    binding[name] = original;
  }
  return count;
}

for (const [type, Server, Socket] of [
  [SOCK_STREAM, UServer, USocket],
  [SOCK_SEQPACKET, SeqpacketServer, SeqpacketSocket],
]) {
  describe(`${Socket.name}, ${SOCKETS} of them at a full backlog`, onLinux(), () => {
    test('look one at a time, and connect in order', async (t) => {
      const path = abstractName();
      const fd = posix.socket(AF_UNIX, type, 0);
      posix.bind(fd, { sun_family: AF_UNIX, sun_path: path });
      posix.listen(fd, 1);
      const connected = [];
      const sockets = Array.from({ length: SOCKETS }, (_, number) => {
        const socket = cleanUp(t, new Socket({ connectTimeout: 60_000 }));
        return socket.on('connect', () => connected.push(number)).connect(path);
      });
      await until(() => connected.length === 2, 'the backlog to be full');
      const start = performance.now();
      const looks = await countCalls('connect', () => assertIdle(`${SOCKETS} that wait`));
      // The pause between two looks is 8 ms before long.
      const most = 10 + (performance.now() - start) / 4;
      assert.ok(looks > 0 && looks <= most, `${looks} looks, at most ${most} expected`);
      const server = new Server({ fd: undefined });
      server.on('connection', (socket) => cleanUp(t, socket).resume());
      server.listen({ fd });
      t.after(() => server.close());
      await until(() => connected.length === SOCKETS, 'all to connect');
      assert.deepEqual(
        connected,
        sockets.map((_, number) => number),
      );
    });
  });
}

/** Sockets that are destroyed at once. */
const MANY = 8000;

/** Milliseconds of processor time that destroying these takes. */
function costOfDestroying(sockets) {
  const before = process.cpuUsage();
  for (const socket of sockets) socket.destroy();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e3;
}

test(
  'those that wait are destroyed as fast as others, however many',
  onLinux(needsDescriptors(2 * MANY)),
  async (t) => {
    const path = abstractName();
    const server = new UServer().listen(path, 1);
    t.after(() => server.close());
    let ratio;
    // A collection may fall into one of the two.
    for (let attempt = 0; attempt < 3; attempt++) {
      const others = Array.from({ length: MANY / 2 }, () => USocket.pair()).flat();
      const waiting = Array.from({ length: MANY }, () => new USocket(path).on('error', () => {}));
      ratio = costOfDestroying(waiting) / costOfDestroying(others);
      await Promise.all([...others, ...waiting].map((socket) => closed(socket)));
      if (ratio < 3) return;
    }
    assert.fail(`${ratio} times`);
  },
);
