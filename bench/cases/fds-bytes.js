'use strict';

/**
 * As fds, with messages of one byte that the receiver reads by `read(null, null)` on 'readable': what is there, bytes
 * and descriptors. It closes each with fs.closeSync(), and counts both until the stream's end.
 */

const fs = require('node:fs');
const { Count, costOf } = require('../lib/marks');
const { sendWindows } = require('../lib/sequence');
const fds = require('./fds');

const WINDOW = 64;
/** As that of lib/sequence.js. */
const WARM_UP = 80 * 256 + 1;
/** How long a receiver may wait for the end after its sender has ended, in ms. */
const GRACE = 2000;

const roles = {
  receive({ stream }, { params, ready, finish, onStop }) {
    const counter = fds.closer(fs.closeSync);
    const count = new Count(params.warmUp);
    let bytes = 0;
    const result = () => ({ ...count.result(), descriptors: counter.descriptors, bytes });

    function onFd(fd) {
      counter.take(fd);
      count.add();
    }

    function onConnection(socket) {
      stream.readAllFds(socket, (some) => (bytes += some.length), onFd);
      socket.on('end', () => finish(result()));
    }

    onStop(result);
    stream.listen(params.path, onConnection, ready);
  },

  send({ stream }, { params, finish }) {
    const { path, duration } = params;
    const fd = fs.openSync('/dev/null');
    const byte = Buffer.alloc(1);
    const socket = stream.connect(path, () => {
      const send = (_stream, _numbered, done) => stream.writeFd(socket, byte, fd, done);
      const plan = { send, streams: 1, window: WINDOW, size: 4, duration };
      // What would be the number of the last message is a byte with a descriptor as the others.
      sendWindows(plan, ({ sent, ...others }) => finish({ ...others, sent: sent + 1 }));
    });
  },
};

async function pass(trial, { sender, receiver }) {
  const path = trial.path('server');
  const { duration } = trial;
  const receives = receiver('receive', { path, warmUp: WARM_UP });
  await receives.ready;
  const sends = sender('send', { path, duration });
  const sent = await sends.result;
  if (sent.stuck) throw new Error(`stuck after ${sent.sent} messages`);
  const grace = setTimeout(() => receives.stop(), GRACE);
  const received = await receives.result.finally(() => clearTimeout(grace));
  const { descriptors, bytes, rate } = received;
  if (descriptors !== sent.sent || bytes !== sent.sent) {
    throw new Error(`${descriptors} descriptors and ${bytes} bytes of ${sent.sent} came`);
  }
  if (!rate) throw new Error(`only ${descriptors} messages came`);
  return { rate, ...costOf('receive', received), ...costOf('send', sent) };
}

module.exports = {
  ...fds,
  name: 'fds-bytes',
  about:
    "One-byte messages with one descriptor each, which the receiver reads by read(null, null) on 'readable' and closes with fs.closeSync(). Between two of the implementation, and each of its ends with a C program at the other.",
  metrics: fds.metrics.map((metric) =>
    metric.key === 'both' ? { ...metric, targets: [] } : metric,
  ),
  faults: {},
  roles,
  measure: (trial) => fds.measureEnds(trial, pass),
};
