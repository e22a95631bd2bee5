'use strict';

/**
 * Messages of 8 bytes over a stream, one descriptor with each, in windows of 64 with callbacks. The
 * receiver takes every descriptor and closes it, and counts: a message's number shows whether the bytes
 * are complete, the count whether the descriptors are. Every 256th is looked at: it must be
 * /dev/null, as the one that was sent. In the end no more may be open than in the beginning.
 *
 * Three times: between two of the implementation, and each of its ends with a C program at the other. What two of
 * them do is compared with the slower of the two ends alone.
 *
 * A trial that loses descriptors has no figure. `net` cannot pass any.
 */

const fs = require('node:fs');
const { Meter, sendWindows, outcome } = require('../lib/sequence');

const SIZE = 8;
const WINDOW = 64;

const openDescriptors = () => fs.readdirSync('/proc/self/fd').length;

/**
 * Closes each descriptor, counts them and looks at some.
 *
 * @param {(fd: number) => void} close
 */
function closer(close) {
  const { rdev } = fs.statSync('/dev/null');
  const counter = {
    descriptors: 0,
    take(fd) {
      if ((counter.descriptors++ & 255) === 0 && fs.fstatSync(fd).rdev !== rdev) {
        throw new Error('another descriptor came');
      }
      close(fd);
    },
  };
  return counter;
}

const roles = {
  receive({ stream, closeFd = fs.closeSync }, { params, ready, finish, onStop }) {
    const { path, size } = params;
    const counter = closer(closeFd);
    let before = 0;
    const complete = (result) => {
      const { descriptors } = counter;
      return { ...result, descriptors, leaked: openDescriptors() - before };
    };
    const meter = new Meter(1, (result) => finish(complete(result)));

    function onConnection(socket) {
      before = openDescriptors();
      stream.readFds(socket, size, (head) => meter.take(0, head), counter.take);
    }

    onStop(() => complete(meter.result()));
    stream.listen(path, onConnection, ready);
  },

  send({ stream }, { params, finish }) {
    const { path, size, duration } = params;
    const fd = fs.openSync('/dev/null');
    const socket = stream.connect(path, () => {
      const send = (_, bytes, done) => stream.writeFd(socket, bytes, fd, done);
      sendWindows({ send, streams: 1, window: WINDOW, size, duration }, finish);
    });
  },
};

/** @param {{ sender: Function, receiver: Function }} ends which start a role of the one or the other */
async function pass(trial, { sender, receiver }) {
  const path = trial.path('server');
  const { duration } = trial;
  const receives = receiver('receive', { path, size: SIZE });
  await receives.ready;
  const sends = sender('send', { path, size: SIZE, duration });
  const measures = await outcome(sends, receives);
  // The last message, which only says so, has one, too.
  const sent = (await sends.result).sent + 1;
  const { descriptors, leaked = 0 } = await receives.result;
  if (descriptors === sent) return { ...measures, leaked };
  const [got, of] = [descriptors, sent].map((n) => n.toLocaleString('en-US'));
  throw new Error(`${got} of ${of} descriptors came`);
}

/**
 * Both ends of the implementation under test, then each with a C program at the other end.
 *
 * @param {(trial: object, ends: object) => Promise<object>} pass
 */
async function measure(trial, pass) {
  const run = (name) =>
    trial.part((part) => {
      const ours = part.start.bind(part);
      const inC = part.startLimit.bind(part, part.caseName);
      const ends = {
        both: { sender: ours, receiver: ours },
        into: { sender: inC, receiver: ours },
        out: { sender: ours, receiver: inC },
      };
      return pass(part, ends[name]);
    });
  const { rate: both, ...others } = await run('both');
  const measures = { ...others, both };
  try {
    // The C program at both ends is the same three times.
    measures.into = trial.name === 'c' ? both : (await run('into')).rate;
    measures.out = trial.name === 'c' ? both : (await run('out')).rate;
    measures.kept = both / Math.min(measures.into, measures.out);
  } catch (error) {
    measures.error = `with a C program at one end: ${error.message}`;
  }
  return measures;
}

module.exports = {
  name: 'fds',
  about:
    '8-byte messages over one stream with one descriptor each, in windows of 64 with callbacks; the receiver closes each. Between two of the implementation, and each of its ends with a C program at the other.',
  kind: 'stream',
  implementations: ['afunix', 'usocket'],
  metrics: [
    {
      key: 'both',
      label: 'descriptors/s between two',
      better: 'more',
      targets: [{ to: 'c', atLeast: 0.4, aim: 0.7 }],
    },
    { key: 'into', label: 'received from C', better: 'more' },
    { key: 'out', label: 'sent to C', better: 'more' },
    {
      key: 'kept',
      label: 'two ÷ the slower end',
      digits: 2,
      targets: [{ atLeast: 0.6 }],
    },
  ],
  costs: ['receive', 'send'],
  per: 'a descriptor between two',
  faults: { lost: 'messages lost', misplaced: 'out of order', leaked: 'descriptors left open' },
  roles,
  closer,
  measureEnds: measure,
  measure: (trial) => measure(trial, pass),
};
