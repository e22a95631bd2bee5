'use strict';

// Owns what a stranger's code puts on Object.prototype: no class looks for its options there.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const afunix = require('../../lib');
const unixDgram = require('../../lib/compat/unix-dgram.js');
const unix = require('../../lib/net');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { polluted } = require('../helpers/prototypes.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

const OPTIONS = [
  ...['allow', 'allowHalfOpen', 'autoDestroy', 'connectTimeout', 'credentials', 'emitClose'],
  ...[
    'exclusive',
    'fd',
    'fdsWithData',
    'gid',
    'highWaterMark',
    'host',
    'localPath',
    'maxConnections',
  ],
  ...['maxPendingFds', 'maxWaitingFds', 'mode', 'objectMode', 'onread', 'pauseOnConnect', 'pidfd'],
  ...['port', 'readableAll', 'readableHighWaterMark', 'readableObjectMode', 'receiveBufferSize'],
  ...[
    'receiveFds',
    'recvBufferSize',
    'reuseAddr',
    'sendBufferSize',
    'signal',
    'uid',
    'unlinkOnClose',
  ],
  ...['whenFull', 'writableAll', 'writableHighWaterMark', 'writableObjectMode'],
];

/** What is made with options, by name; sockets in one list. */
const MAKE = {
  DgramSocket: (...given) => new afunix.DgramSocket(...given),
  'DgramSocket.pair()': (...given) => afunix.DgramSocket.pair(...given),
  SeqpacketSocket: (...given) => new afunix.SeqpacketSocket(...given),
  'SeqpacketSocket.pair()': (...given) => afunix.SeqpacketSocket.pair(...given),
  SeqpacketServer: (...given) => new afunix.SeqpacketServer(...given),
  USocket: (...given) => new afunix.USocket(...given),
  'USocket.pair()': (...given) => afunix.USocket.pair(...given),
  UServer: (...given) => new afunix.UServer(...given),
  'listen()': (given = {}) => new afunix.UServer().listen({ path: abstractName(), ...given }),
  'unix-dgram': () => unixDgram.createSocket('unix_dgram'),
  'Socket of afunix/net': (...given) => new unix.Socket(...given),
  'Socket.pair() of afunix/net': (...given) => unix.Socket.pair(...given),
  'Server of afunix/net': (...given) => new unix.Server(...given),
};

describe('what Object.prototype has got', onLinux({}), () => {
  for (const [what, make] of Object.entries(MAKE)) {
    for (const given of [[], [undefined], [{}]]) {
      test(`is no option of ${what}, given ${given.map((one) => typeof one)}`, () => {
        const asked = new Set();
        const members = OPTIONS.map((name) => [
          name,
          {
            get: () => void asked.add(name),
            // As if there were none: what is assigned is the object's own.
            set(value) {
              Object.defineProperty(this, name, { value, configurable: true, writable: true });
            },
          },
        ]);
        const made = polluted(Object.fromEntries(members), () => make(...given));
        for (const one of [made].flat()) one.close();
        assert.deepEqual([...asked], []);
      });
    }
  }

  test('is no part of a message that has no prototype, and says it has everything', (t) => {
    const message = new Proxy({ __proto__: null }, { get: () => 5 });
    const [socket, other] = afunix.SeqpacketSocket.pair();
    t.after(() => [socket.destroy(), other.destroy()]);
    const write = () => polluted({ data: 'x', fds: [] }, () => socket.write(message));
    assert.throws(write, { code: 'ERR_INVALID_ARG_TYPE' });
  });
});
