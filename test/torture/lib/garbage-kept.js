'use strict';

// Owns what kept messages may hold back in the garbage case: a small one a slab of 32 KiB, a larger
// one its own bytes, a stream's chunk at most twice its own.

const { DgramSocket, SeqpacketSocket, USocket } = require('../../../lib');
const { comes, settle, sleep } = require('./garbage-turns.js');

const SLAB = 32 * 1024;
const KIB = 1024;

const arrayBuffers = () => process.memoryUsage().arrayBuffers;

/**
 * Sends messages, keeps one of `every`, and sees what they hold back, and that it all goes.
 * `bound` is what one kept message of `size` may hold.
 */
async function tryKept({ what, makePair, send, size, every, count, bound }) {
  const faults = [];
  const [one, two] = makePair();
  let kept = [];
  let got = 0;
  let next = size * every;
  // Memory that sockets share exists from the first message on.
  two.on('data', (data) => {
    got += data.length;
    if (got >= next) {
      kept.push(data);
      next += size * every;
    }
  });
  const flow = async (messages) => {
    const until = got + messages * size;
    const data = Buffer.alloc(size, 1);
    for (let sent = 0; sent < messages; sent++) {
      if (!send(one, data)) await new Promise((resolve) => one.once('drain', resolve));
    }
    if (!(await comes(() => got >= until))) faults.push(`${until - got} bytes did not come`);
  };
  await flow(every);
  kept = [];
  await settle(() => false, 8);
  const before = arrayBuffers();
  await flow(count * every);
  await settle(() => false, 8);
  const most = kept.reduce((sum, data) => sum + bound(data.length), 0) + 2 * SLAB;
  const held = arrayBuffers() - before;
  if (kept.length === 0) faults.push('nothing was kept');
  if (held > most) faults.push(`${held} bytes held by ${kept.length}, ${most} documented`);
  const tried = kept.length;
  kept = [];
  await settle(() => arrayBuffers() - before <= 2 * SLAB);
  const left = arrayBuffers() - before;
  if (left > 2 * SLAB) faults.push(`${left} bytes left when they were dropped`);
  one.close();
  two.close();
  await sleep(5);
  return { what: `kept ${what}`, tried, faults };
}

/** The rows' outcomes: `{ what, tried, faults }`. */
async function keptRows(quick) {
  const count = quick ? 40 : 400;
  const slab = () => SLAB;
  const own = (length) => length;
  const send = (socket, data) => socket.send(data, () => {});
  const write = (socket, data) => socket.write(data);
  const dgram = { makePair: () => DgramSocket.pair(), send };
  const seqpacket = { makePair: () => SeqpacketSocket.pair(), send: write };
  const stream = { makePair: () => USocket.pair(), send: write };
  // A chunk that filled half of what it was received into is handed over with that.
  const chunk = (length) => (length > 8 * KIB ? 2 * length : SLAB);
  const trials = [
    { what: 'datagrams of 64 B', ...dgram, size: 64, every: 1000, count, bound: slab },
    { what: 'datagrams of 8 KiB', ...dgram, size: 8 * KIB, every: 8, count, bound: slab },
    { what: 'datagrams of 100 kB', ...dgram, size: 100_000, every: 4, count, bound: own },
    { what: 'seqpacket messages of 64 B', ...seqpacket, size: 64, every: 1000, count, bound: slab },
    { what: 'seqpacket messages of 9 kB', ...seqpacket, size: 9000, every: 4, count, bound: own },
    { what: 'chunks of writes of 64 B', ...stream, size: 64, every: 1000, count, bound: chunk },
    { what: 'chunks of writes of 20 kB', ...stream, size: 20_000, every: 8, count, bound: chunk },
    {
      what: 'chunks of writes of 1 MB',
      ...stream,
      size: 1_000_000,
      every: 1,
      count: 20,
      bound: chunk,
    },
  ];
  const outcomes = [];
  for (const trial of trials) outcomes.push(await tryKept(trial));
  return outcomes;
}

module.exports = { keptRows };
