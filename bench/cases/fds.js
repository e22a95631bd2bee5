'use strict';

/**
 * Messages of 8 bytes over a stream, one descriptor with each, in windows of 64 with callbacks. The
 * receiver takes every descriptor and closes it, and counts: a message's number shows whether the bytes
 * are complete, the count whether the descriptors are. Every 256th is looked at: it must be
 * /dev/null, as the one that was sent. In the end no more may be open than in the beginning.
 *
 * A trial that loses descriptors has no figure. `net` cannot pass any.
 */

const fs = require('node:fs');
const { Meter, sendWindows, outcome } = require('../lib/sequence');

const SIZE = 8;
const WINDOW = 64;

const openDescriptors = () => fs.readdirSync('/proc/self/fd').length;

const roles = {
  receive({ stream, closeFd = fs.closeSync }, { params, ready, finish, onStop }) {
    const { path, size } = params;
    const { rdev } = fs.statSync('/dev/null');
    let descriptors = 0;
    let before = 0;
    const complete = (result) => ({ ...result, descriptors, leaked: openDescriptors() - before });
    const meter = new Meter(1, (result) => finish(complete(result)));

    function onFd(fd) {
      if ((descriptors++ & 255) === 0 && fs.fstatSync(fd).rdev !== rdev) {
        throw new Error('another descriptor came');
      }
      closeFd(fd);
    }

    function onConnection(socket) {
      before = openDescriptors();
      stream.readFds(socket, size, (head) => meter.take(0, head), onFd);
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

module.exports = {
  name: 'fds',
  about:
    '8-byte messages over one stream with one descriptor each, in windows of 64 with callbacks; the receiver closes each.',
  kind: 'stream',
  implementations: ['afunix', 'usocket'],
  metrics: [
    {
      key: 'rate',
      label: 'descriptors/s',
      ratioTo: 'c',
      target: { of: 'ratio', atLeast: 0.4, aim: 0.7 },
    },
  ],
  faults: { lost: 'messages lost', misplaced: 'out of order', leaked: 'descriptors left open' },
  roles,

  async measure(trial) {
    const path = trial.path('server');
    const { duration } = trial;
    const receiver = trial.start('receive', { path, size: SIZE });
    await receiver.ready;
    const sender = trial.start('send', { path, size: SIZE, duration });
    const measures = await outcome(sender, receiver);
    // The last message, which only says so, has one, too.
    const sent = (await sender.result).sent + 1;
    const { descriptors, leaked = 0 } = await receiver.result;
    if (descriptors === sent) return { ...measures, leaked };
    const [got, of] = [descriptors, sent].map((n) => n.toLocaleString('en-US'));
    return { error: `${got} of ${of} descriptors came` };
  },
};
