'use strict';

/**
 * One stream, writes of 64 KiB from the client to the server in windows with callbacks, as seq-oneway.
 * The receiver cuts the bytes every 64 KiB again and checks the number at the start of each: bytes that are
 * missing or too many displace all that follow.
 *
 * The C loop writes from as many buffers in turn, as it matters how much memory is touched.
 */

const { Meter, cutter, sendWindows, outcome } = require('../lib/sequence');

const SIZE = 64 * 1024;
const WINDOW = 16;

/** As WARM_UP in lib/sequence.js, for fewer and larger messages. */
const WARM_UP = 8 * 256 + 1;

const roles = {
  receive({ stream }, { params, ready, finish, onStop }) {
    const { path, size, warmUp } = params;
    const meter = new Meter(1, finish, warmUp);
    onStop(() => meter.result());

    function onConnection(socket) {
      stream.read(
        socket,
        cutter(size, (head) => meter.take(0, head)),
      );
    }

    stream.listen(path, onConnection, ready);
  },

  send({ stream }, { params, finish }) {
    const { path, size, window, duration } = params;
    const socket = stream.connect(path, () => {
      const send = (_, bytes, done) => stream.write(socket, bytes, done);
      sendWindows({ send, streams: 1, window, size, duration }, finish);
    });
  },
};

module.exports = {
  name: 'stream-oneway',
  about: `Writes of 64 KiB one way over one stream between two processes, in windows of ${WINDOW} with callbacks.`,
  kind: 'stream',
  implementations: ['afunix', 'bare', 'net', 'usocket'],
  metrics: [
    {
      key: 'rate',
      label: 'writes/s',
      better: 'more',
      targets: [{ to: 'net', atLeast: 1.05, aim: 1.2, always: true }],
    },
  ],
  costs: ['receive', 'send'],
  per: 'a write',
  faults: { lost: 'lost', misplaced: 'out of order' },
  roles,

  async measure(trial) {
    const path = trial.path('server');
    const { duration } = trial;
    const receiver = trial.start('receive', { path, size: SIZE, warmUp: WARM_UP });
    await receiver.ready;
    const sender = trial.start('send', { path, size: SIZE, window: WINDOW, duration });
    return outcome(sender, receiver);
  },
};
