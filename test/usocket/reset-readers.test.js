'use strict';

// Owns the reader of a connection that is reset behind what it has not read: whatever it waits for, it gets the rest, as
// at an end, and then the error.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { makePair } = require('../helpers/usocket.js');

assertNoLeaks();

const SENT = '0123456789';

/** Reads by `read(...sizes)` on each 'readable', until that has no more. */
function readBy(socket, log, ...sizes) {
  socket.on('readable', () => {
    for (;;) {
      const part = socket.read(...sizes);
      if (part === null) return;
      log.push(part.data === undefined ? `${part}` : `${part.data} and ${part.fds.length}`);
    }
  });
}

/** How it is read: what is noted, for a socket that has received SENT when the peer goes. */
const READERS = {
  'by threes': {
    begin: (socket, log) => readBy(socket, log, 3),
    expected: ['012', '345', '678', '9'],
  },
  'by more than there is': {
    begin: (socket, log) => readBy(socket, log, 100),
    expected: [SENT],
  },
  'by more characters than there are': {
    begin: (socket, log) => readBy(socket.setEncoding('latin1'), log, 100),
    expected: [SENT],
  },
  'by bytes and descriptors that did not come': {
    begin: (socket, log) => readBy(socket, log, 4, 1),
    expected: ['0123 and 0', '4567 and 0', '89 and 0'],
  },
  'by more than there is, where descriptors end chunks': {
    options: { receiveFds: true, fdsWithData: true },
    begin: (socket, log) => readBy(socket, log, 100),
    expected: [SENT],
  },
  'late, by one who had paused': {
    begin: (socket) => socket.on('data', () => {}).pause(),
    goOn: (socket, log) => log.push(`${socket.read(100)}`),
    expected: [SENT],
  },
  'late, by one who heard of it': {
    begin: (socket, log) =>
      socket.once('readable', () => {}).on('readable', () => log.push('more')),
    goOn: (socket, log) => log.push(`${socket.read()}`),
    expected: ['more', 'more', SENT],
  },
};

describe('a connection is reset behind data, which is read', onLinux(), () => {
  for (const [how, { options, begin, goOn, expected }] of Object.entries(READERS)) {
    test(how, async (t) => {
      const [one, two] = makePair(t, { pauseOnConnect: true, ...options });
      const log = [];
      one.write('never read');
      two.write(SENT);
      begin(one, log);
      one.read(0);
      await quiet();
      assert.equal(one.destroyed, false);
      const events = eventsOf(one, ['end', 'error', 'close']);
      two.destroy();
      await quiet();
      goOn?.(one, log);
      await closing(one);
      assert.deepEqual(log, expected);
      assert.deepEqual(events, ['error ECONNRESET', 'close true']);
    });
  }
});

test('one that has read all before the error is known hears no more', onLinux(), async (t) => {
  const [one, two] = makePair(t, { maxPendingFds: 1 });
  const events = eventsOf(two, ['readable', 'end', 'error', 'close']);
  two.on('readable', () => {
    while (two.read() !== null);
  });
  one.write({ data: 'x', fds: [0, 0] });
  await closing(two);
  assert.deepEqual(events, ['readable', 'error ERR_AFUNIX_TOO_MANY_FDS', 'close true']);
});
