'use strict';

// Owns what happens where a subscriber of `afunix.close` closes or connects what is about to close: nothing twice,
// and nothing is left open.

const assert = require('node:assert/strict');
const diagnostics = require('node:diagnostics_channel');
const { test } = require('node:test');
const afunix = require('../../lib');
const { createSocket } = require('../../lib/compat/unix-dgram.js');
const { publishClose } = require('../../lib/util/diagnostics.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

/** Something that closes as the sockets do. */
class Thing {
  fd = 5;
  closed = 0;

  close() {
    if (!publishClose(this)) return;
    this.closed++;
  }
}

test('a subscriber that closes what is reported to it has one report, and it closes once', (t) => {
  const [thing, other] = [new Thing(), new Thing()];
  const heard = [];
  const close = ({ socket }) => {
    heard.push(socket);
    socket.close();
    // Another one may end meanwhile, and has its reports as ever.
    if (socket === thing) other.close();
  };
  diagnostics.subscribe('afunix.close', close);
  t.after(() => diagnostics.unsubscribe('afunix.close', close));
  thing.close();
  assert.deepEqual(heard, [thing, other]);
  assert.deepEqual([thing.closed, other.closed], [1, 1]);
  // An owner that opens and closes again has reports again.
  thing.close();
  assert.deepEqual([thing.closed, heard.length], [2, 4]);
});

/** What has a close(), open. */
const OWNERS = {
  DgramSocket: () => new afunix.DgramSocket().bind(),
  'one of unix-dgram': () => createSocket('unix_dgram'),
  SeqpacketServer: () => new afunix.SeqpacketServer().listen(abstractName()),
  UServer: () => new afunix.UServer().listen(abstractName()),
  SeqpacketSocket: () => afunix.SeqpacketSocket.pair()[0],
  USocket: () => afunix.USocket.pair()[0],
};

for (const [what, open] of Object.entries(OWNERS)) {
  test(`${what}: 'close' and each callback once`, async (t) => {
    const owner = open();
    const seen = [];
    const close = ({ socket }) => {
      if (socket !== owner) return;
      seen.push('published');
      owner.close(() => seen.push('inner callback'));
    };
    diagnostics.subscribe('afunix.close', close);
    t.after(() => diagnostics.unsubscribe('afunix.close', close));
    owner.on('close', () => seen.push('close'));
    owner.close(() => seen.push('outer callback'));
    await quiet();
    const isOfPackage = what === 'one of unix-dgram';
    const after = isOfPackage ? [] : ['close', 'inner callback', 'outer callback'];
    assert.deepEqual(seen.sort(), [...after, 'published'].sort());
  });
}

/** How a socket is connected: it refuses that until it has closed. */
const CONNECT = {
  SeqpacketSocket: { 'a name': (socket, name) => socket.connect(name) },
  USocket: {
    'a name': (socket, name) => socket.connect(name),
    'a descriptor': (socket) => {
      const fds = afunix.socketpair();
      try {
        socket.connect({ fd: fds[0] });
      } catch (error) {
        fds.forEach(afunix.closeFd);
        throw error;
      }
    },
  },
};

for (const [name, ways] of Object.entries(CONNECT)) {
  for (const [what, connect] of Object.entries(ways)) {
    test(`${name}: a subscriber cannot connect it, to ${what}`, async () => {
      const [socket, other] = afunix[name].pair();
      other.resume();
      const refused = [];
      const close = (message) => {
        if (message.socket !== socket) return;
        try {
          connect(socket, abstractName());
        } catch ({ code }) {
          refused.push(code);
        }
      };
      diagnostics.subscribe('afunix.close', close);
      socket.destroy();
      diagnostics.unsubscribe('afunix.close', close);
      await Promise.all([socket, other].map((each) => nextEvent(each, 'close')));
      assert.deepEqual([refused, socket.destroyed], [['EISCONN'], true]);
    });
  }
}
