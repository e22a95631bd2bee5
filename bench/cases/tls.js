'use strict';

/**
 * TLS over streams: the round trips of stream-rtt and the writes of stream-oneway. Node reads and writes the
 * descriptor of a net.Socket itself; any other stream it asks for its bytes. `net-duplex` shows what that costs: a plain
 * Duplex over net.
 */

const { costOf } = require('../lib/marks');
const { outcome } = require('../lib/sequence');
const { overTls } = require('../lib/tls');
const oneway = require('./stream-oneway');
const rtt = require('./stream-rtt');

const SIZE = 64;
const WARM_UP = 2000;
const BULK = { size: 64 * 1024, warmUp: 256 + 1, window: 16 };

/** The same role over TLS. */
const wrapped = (role) => (adapter, context) =>
  role({ ...adapter, stream: overTls(adapter.stream) }, context);

const roles = {
  answer: wrapped(rtt.roles.answer),
  ask: wrapped(rtt.roles.ask),
  receive: wrapped(oneway.roles.receive),
  send: wrapped(oneway.roles.send),
};

async function roundTrips(trial) {
  const path = trial.path('server');
  const pin = true;
  await trial.start('answer', { path }, { pin }).ready;
  const { duration } = trial;
  return trial.start('ask', { path, size: SIZE, warmUp: WARM_UP, duration }, { pin }).result;
}

async function writes(trial) {
  const path = trial.path('server');
  const { duration } = trial;
  const receiver = trial.start('receive', { path, ...BULK });
  await receiver.ready;
  return outcome(trial.start('send', { path, ...BULK, duration }), receiver);
}

const targets = [
  { to: 'net-duplex', atLeast: 1 },
  { to: 'net', atLeast: 0.9 },
];

module.exports = {
  name: 'tls',
  about:
    'TLS over one stream: 64-byte request and answer, both processes pinned to one processor; writes of 64 KiB one way.',
  kind: 'stream',
  implementations: ['afunix', 'serve', 'net', 'net-duplex'],
  limit: false,
  pinned: true,
  metrics: [
    { key: 'trips', label: 'round trips/s', better: 'more', targets },
    { key: 'writes', label: 'writes/s', better: 'more', targets },
  ],
  costs: ['ask', 'receive', 'send'],
  per: 'a round trip, a write',
  faults: { lost: 'lost', misplaced: 'out of order' },
  roles,

  async measure(trial) {
    const asked = await trial.part(roundTrips);
    const { rate, ...others } = await trial.part(writes);
    return { trips: asked.rate, ...costOf('ask', asked), writes: rate, ...others };
  },
};
