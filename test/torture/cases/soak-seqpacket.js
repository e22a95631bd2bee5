'use strict';

// Owns the soak of seqpacket sockets: two other processes send millions of messages of all sizes to
// a server, which now and then pauses.

const { SeqpacketServer, SeqpacketSocket } = require('../../../lib');
const { DISTRIBUTION, Expected, Messages, derive, makePool } = require('../lib/soak-messages.js');
const { flatness, startRole } = require('../lib/soak-process.js');

const SENDERS = 2;
/** Messages after which a sender lets others have their turn. */
const TURN = 256;
/** Messages after which a connection of the receiver pauses for a moment. */
const PAUSE_EVERY = 50_000;

/** Takes all connections to their end. The first message of each is its sender's number. */
async function receive({ name, seed, total }, watch) {
  const pool = makePool(seed);
  const results = [];
  let received = 0;
  watch.expect(total);
  const server = new SeqpacketServer({ credentials: true });
  const done = new Promise((resolve, reject) => {
    server.on('connection', (socket) => {
      let expected = null;
      socket.on('data', (data) => {
        if (expected === null) {
          expected = new Expected(derive(seed, 10 + data[0]), pool);
          return;
        }
        expected.take(data);
        received++;
        watch.reached(received);
        if (received % PAUSE_EVERY === 0) {
          socket.pause();
          setTimeout(() => socket.resume(), 5);
        }
      });
      socket.on('error', reject);
      socket.on('close', () => {
        results.push({ good: expected.good, bad: expected.bad, first: expected.first });
        if (results.length === SENDERS) resolve();
      });
    });
  });
  server.listen(name);
  process.send('ready');
  await done;
  server.close();
  return { results };
}

/** Sends its share, as fast as it goes. */
async function send({ name, seed, sender, count }, watch) {
  const messages = new Messages(derive(seed, 10 + sender), makePool(seed));
  const socket = new SeqpacketSocket();
  let [called, failed, drains, wrong, lastCalled] = [0, 0, 0, 0, -1];
  watch.expect(count);
  const callback = (number) => (error) => {
    called++;
    if (error) failed++;
    if (number <= lastCalled) wrong++;
    lastCalled = number;
  };
  await new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', resolve);
    socket.resume();
    const sendMore = () => {
      for (let turn = 0; turn < TURN; turn++) {
        if (messages.number + 1 === count) {
          socket.end();
          return;
        }
        messages.next();
        const data = Buffer.allocUnsafe(messages.size);
        messages.write(data, 0);
        if (!socket.write(data, callback(messages.number))) {
          drains++;
          socket.once('drain', sendMore);
          return;
        }
      }
      watch.reached(messages.number);
      setImmediate(sendMore);
    };
    socket.connect(name, () => {
      socket.write(Buffer.of(sender));
      sendMore();
    });
  });
  return { called, failed, drains, wrong };
}

async function run({ quick, seed }) {
  const total = quick ? 200_000 : 10_000_000;
  const count = total / SENDERS;
  const name = `\0afunix-soak-seqpacket-${process.pid}`;
  const receiver = startRole(__filename, 'receive', { name, seed, total });
  await receiver.ready;
  const senders = Array.from({ length: SENDERS }, (_, sender) =>
    startRole(__filename, 'send', { name, seed, sender, count }),
  );
  const sent = await Promise.all(senders.map(({ report }) => report));
  const received = await receiver.report;
  const sum = (list, key) => list.reduce((all, item) => all + item[key], 0);
  const [good, bad] = [sum(received.results, 'good'), sum(received.results, 'bad')];
  const first = received.results.find((result) => result.first !== null)?.first;
  return [
    {
      what: 'messages, whole and in order',
      tried: total,
      lost: Math.abs(total - good) + bad,
      note: first ?? `${SENDERS} senders; ${DISTRIBUTION}; ${sum(sent, 'drains')} waits for drain`,
    },
    {
      what: 'callbacks, once and in order',
      tried: total,
      lost: Math.abs(total - sum(sent, 'called')) + sum(sent, 'failed') + sum(sent, 'wrong'),
    },
    ...flatness([received, ...sent], quick ? 24 : 8),
  ];
}

module.exports = {
  about: 'Two processes send seqpacket messages of 0 to 200 kB to a server that pauses at times.',
  limit: 600,
  quickLimit: 600,
  roles: { receive, send },
  run,
};
