'use strict';

// Owns descriptors that a socket adopts as soon as they have come, as connections are passed on: what that costs where
// many sockets are open, and who has the descriptor then.

const assert = require('node:assert/strict');
const net = require('node:net');
const { test } = require('node:test');
const { USocket, closeFd, socketpair } = require('../../lib');
const { needsDescriptors } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { closed, nextEvent } = require('../helpers/sockets.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** Passes on one end of a new pair, and returns the other one. */
function passOne(socket) {
  const [passed, kept] = socketpair();
  socket.write({ data: 'x', fds: [passed] });
  closeFd(passed);
  return kept;
}

const OPEN = 6000;
const PASSED = 101;

/** The median of the nanoseconds that it takes to adopt one of many that come. */
async function costOfAdopting() {
  const [from, to] = USocket.pair();
  const times = [];
  const adopted = [];
  to.on('fds', (fds) => {
    for (const fd of fds) {
      const start = process.hrtime.bigint();
      adopted.push(new USocket({ fd }));
      times.push(Number(process.hrtime.bigint() - start));
    }
  }).resume();
  const kept = Array.from({ length: PASSED }, () => passOne(from));
  await until(() => times.length === PASSED, 'the descriptors');
  kept.forEach(closeFd);
  for (const socket of [from, to, ...adopted]) await closed(socket);
  return times.sort((one, other) => one - other)[PASSED >> 1];
}

test(
  'adopting what has come costs the same however many sockets are open',
  onLinux(needsDescriptors(OPEN + 4 * PASSED)),
  async () => {
    let ratio;
    // The processor may be another's for a moment.
    for (let attempt = 0; attempt < 3; attempt++) {
      const alone = await costOfAdopting();
      const others = Array.from({ length: OPEN / 2 }, () => USocket.pair()).flat();
      ratio = (await costOfAdopting()) / alone;
      await Promise.all(others.map((socket) => closed(socket)));
      if (ratio < 4) return;
    }
    assert.fail(`${ratio} times`);
  },
);

test('EEXIST where Node has what has come in the same turn', onLinux(), async (t) => {
  const [from, to] = USocket.pair();
  for (const end of [from, to]) cleanUp(t, end);
  const outcome = new Promise((done) => {
    to.on('fds', ([fd]) => {
      const owner = cleanUp(t, new net.Socket({ fd }));
      try {
        done([owner, new USocket({ fd })]);
      } catch (error) {
        done([owner, error]);
      }
    }).resume();
  });
  const kept = cleanUp(t, new USocket(passOne(from)));
  const [owner, error] = await within(outcome, 'the descriptor');
  assert.equal(error.code, 'EEXIST');
  kept.write('to its owner');
  assert.equal(String((await nextEvent(owner, 'data'))[0]), 'to its owner');
});
