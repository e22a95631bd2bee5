'use strict';

// Owns the soak of datagram sockets: three processes send millions of messages to three others, one
// of which is slow, and go on as 'drain' lets them.

const { DgramSocket } = require('../../../lib');
const soak = require('../lib/soak-messages.js');
const { flatness, startRole } = require('../lib/soak-process.js');

const { DISTRIBUTION, Expected, Messages, derive, makePool, randomFrom } = soak;

const SENDERS = 3;
/** What of a sender's messages goes to each receiver; the last is the slow one. */
const SHARES = [0.6, 0.39, 0.01];
const SLOW = SHARES.length - 1;
/** Messages that the slow one takes before it sleeps for a millisecond. */
const SIP = 16;
/** Messages after which a sender lets others have their turn. */
const TURN = 256;
/** Milliseconds without a message after which a receiver does not wait for more. */
const PATIENCE = 20_000;

const nameOf = (base, role, index) => `${base}-${role}-${index}`;
const pairSeed = (seed, sender, receiver) => derive(seed, 100 + sender * SHARES.length + receiver);
const share = (count, receiver) => Math.floor(count * SHARES[receiver]);
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Takes messages until all are there, or none came for a while after the senders were done. */
async function receive({ base, seed, receiver, count }, watch) {
  const pool = makePool(seed);
  const total = share(count, receiver) * SENDERS;
  const senders = new Map();
  for (let sender = 0; sender < SENDERS; sender++) {
    const expected = new Expected(pairSeed(seed, sender, receiver), pool);
    senders.set(nameOf(base, 'send', sender), expected);
  }
  let received = 0;
  let strangers = 0;
  watch.expect(total);
  const take = (data, path) => {
    const expected = senders.get(path);
    if (expected === undefined) strangers++;
    else expected.take(data);
    received++;
    watch.reached(received);
  };
  const socket = new DgramSocket().bind(nameOf(base, 'receive', receiver));
  const done = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', resolve);
  });
  let sendersDone = false;
  process.on('message', () => (sendersDone = true));
  let before = -1;
  const timer = setInterval(() => {
    if (received === total || (sendersDone && received === before)) socket.close();
    before = received;
  }, PATIENCE);
  const closeIfDone = () => {
    if (received === total) socket.close();
  };
  process.send('ready');
  if (receiver === SLOW) {
    for await (const { data, path } of socket) {
      take(data, path);
      closeIfDone();
      if (received % SIP === 0) await sleep(1);
    }
  } else {
    socket.on('data', (data, path) => {
      take(data, path);
      closeIfDone();
    });
  }
  await done;
  clearInterval(timer);
  const results = [...senders.values()].map(({ good, bad, first }) => ({ good, bad, first }));
  return { total, results, strangers };
}

/** Sends each receiver its share, in any order among them. */
async function send({ base, seed, sender, count }, watch) {
  const pool = makePool(seed);
  const order = randomFrom(derive(seed, 200 + sender));
  const socket = new DgramSocket().bind(nameOf(base, 'send', sender));
  const peers = SHARES.map((_, receiver) => ({
    path: nameOf(base, 'receive', receiver),
    messages: new Messages(pairSeed(seed, sender, receiver), pool),
    left: share(count, receiver),
    lastCalled: -1,
  }));
  const total = peers.reduce((sum, { left }) => sum + left, 0);
  let [sent, called, failed, wrong, drains] = [0, 0, 0, 0, 0];
  watch.expect(total);

  /** A receiver by the shares, or the first that has not got its own yet. */
  const choose = () => {
    let at = order();
    const chosen = peers.find((_, receiver) => (at -= SHARES[receiver]) < 0);
    return chosen?.left > 0 ? chosen : peers.find(({ left }) => left > 0);
  };

  await new Promise((resolve, reject) => {
    socket.on('error', reject);
    const callback = (peer, number) => (error) => {
      called++;
      if (error) failed++;
      // The order of each destination is kept; a slow one delays no other.
      if (number <= peer.lastCalled) wrong++;
      peer.lastCalled = number;
      if (called === total) resolve();
    };
    const sendMore = () => {
      for (let turn = 0; turn < TURN; turn++) {
        if (sent === total) return;
        const peer = choose();
        const { messages } = peer;
        messages.next();
        peer.left--;
        sent++;
        const data = Buffer.allocUnsafe(messages.size);
        messages.write(data, 0);
        if (!socket.sendTo(data, peer.path, callback(peer, messages.number))) {
          drains++;
          socket.once('drain', sendMore);
          return;
        }
      }
      setImmediate(sendMore);
      watch.reached(sent);
    };
    sendMore();
  });
  socket.close();
  return { called, failed, wrong, drains, total };
}

async function run({ quick, seed }) {
  const count = Math.ceil((quick ? 150_000 : 5_000_100) / SENDERS);
  const base = `\0afunix-soak-datagram-${process.pid}`;
  const receivers = SHARES.map((_, receiver) =>
    startRole(__filename, 'receive', { base, seed, receiver, count }),
  );
  await Promise.all(receivers.map(({ ready }) => ready));
  const senders = Array.from({ length: SENDERS }, (_, sender) =>
    startRole(__filename, 'send', { base, seed, sender, count }),
  );
  const sent = await Promise.all(senders.map(({ report }) => report));
  // One that has all it expects may have ended.
  for (const { send } of receivers) send('done');
  const received = await Promise.all(receivers.map(({ report }) => report));
  const sum = (list, key) => list.reduce((all, item) => all + item[key], 0);
  const total = sum(sent, 'total');
  const results = received.flatMap((report) => report.results);
  const [good, bad] = [sum(results, 'good'), sum(results, 'bad')];
  const first = results.find((result) => result.first !== null)?.first;
  const counts = `${SENDERS} senders, ${SHARES.length} receivers, one slow`;
  return [
    {
      what: 'messages, whole and in the order of each pair',
      tried: total,
      lost: Math.abs(total - good) + bad + sum(received, 'strangers'),
      note: first ?? `${counts}; ${DISTRIBUTION}; ${sum(sent, 'drains')} waits for drain`,
    },
    {
      what: 'callbacks, once and in the order of each destination',
      tried: total,
      lost: Math.abs(total - sum(sent, 'called')) + sum(sent, 'failed') + sum(sent, 'wrong'),
    },
    ...flatness([...received, ...sent], quick ? 24 : 8, SHARES.length),
  ];
}

module.exports = {
  about: 'Three processes send datagrams of 0 to 200 kB to three others, one of them slow.',
  limit: 600,
  quickLimit: 600,
  roles: { receive, send },
  run,
};
