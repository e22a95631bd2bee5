'use strict';

// Owns bad input to what is no DgramSocket, or not only: a mistake is an Error with a code, thrown at
// once, that changes nothing.

const assert = require('node:assert/strict');
const { constants } = require('node:os');
const { test } = require('node:test');
const afunix = require('../../lib');
const posix = require('../../lib/posix');
const { systemError } = require('../../lib/util/errors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

const { DgramSocket, SeqpacketSocket, USocket, createSocket, fdType, memfd } = afunix;

test('options of a pair are an object or nothing, whatever its class', onLinux({}), () => {
  for (const Socket of [DgramSocket, SeqpacketSocket, USocket]) {
    for (const options of [null, 0, 'x', true, [], Buffer.from('x'), () => {}]) {
      assert.throws(() => Socket.pair(options), { code: 'ERR_INVALID_ARG_TYPE' }, Socket.name);
    }
    for (const socket of Socket.pair({ fd: 'ignored', path: 5 })) socket.close();
  }
});

test('an unknown encoding is refused, and nothing is sent', onLinux({}), async () => {
  for (const Socket of [SeqpacketSocket, USocket]) {
    const [left, right] = Socket.pair();
    for (const call of ['write', 'end']) {
      for (const encoding of ['no-such-encoding', 'utf-32']) {
        const code = { code: 'ERR_UNKNOWN_ENCODING', name: 'TypeError' };
        assert.throws(() => left[call]('not sent', encoding), code, Socket.name);
      }
    }
    assert.equal(left.bytesWritten, 0);
    left.end('sent');
    const received = await right.toArray();
    assert.equal(Buffer.concat(received).toString(), 'sent');
    right.destroy();
  }
});

test('a known encoding is how a text is written', onLinux({}), async () => {
  for (const Socket of [SeqpacketSocket, USocket]) {
    for (const encoding of ['utf8', 'UTF-8', 'latin1', 'ucs2', 'hex', 'base64', 'base64url']) {
      const [left, right] = Socket.pair();
      left.end('cafe', encoding);
      const received = await right.toArray();
      assert.deepEqual(Buffer.concat(received), Buffer.from('cafe', encoding), encoding);
      right.destroy();
    }
  }
});

test('an errno that Node has no name for has that of the system, or its number', () => {
  const known = systemError(-constants.errno.EDQUOT, 'bind', '/path');
  assert.deepEqual([known.code, known.message], ['EDQUOT', 'EDQUOT: system error, bind /path']);
  assert.equal(systemError(-4000, 'bind').message, 'E4000: system error, bind');
});

test('accessors can be read where there is no socket: from a prototype, as in net', () => {
  for (const { prototype } of Object.values(afunix).filter((one) => one?.prototype)) {
    for (
      let at = prototype;
      at !== null && !Object.hasOwn(at, 'pipe');
      at = Object.getPrototypeOf(at)
    ) {
      for (const name of Object.keys(Object.getOwnPropertyDescriptors(at))) {
        assert.doesNotThrow(() => prototype[name], name);
      }
    }
  }
});

test('an array of holes is refused at once', () => {
  const [left, right] = USocket.pair();
  const code = { code: 'ERR_INVALID_ARG_TYPE' };
  assert.throws(() => left.write(new Array(2 ** 32 - 1)), code);
  left.destroy();
  right.destroy();
});

test('what no string can be made of is refused with a code', () => {
  assert.throws(() => createSocket(Symbol('x')), { code: 'ERR_SOCKET_BAD_TYPE' });
  const odd = { constructor: { name: Symbol('x') } };
  assert.throws(() => fdType(odd), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('a closed socket answers EBADF, whatever it was to send to', () => {
  const socket = createSocket('unix_dgram');
  socket.close();
  const detached = new Uint16Array(4);
  const detachedBytes = new Uint8Array(detached.buffer);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const { EBADF } = require('node:os').constants.errno;
  const paths = [
    ...[[[detached]], detached, detachedBytes, Object.create(null), 5],
    ...['/tmp/x', Buffer.from('/tmp/x'), new URL('file:///tmp/x')],
  ];
  const seen = [];
  for (const path of paths) {
    socket.sendto(Buffer.from('x'), 0, 1, path, (error) => seen.push([error.errno, error.path]));
  }
  const none = [-EBADF, undefined];
  const one = [-EBADF, '/tmp/x'];
  assert.deepEqual(seen, [none, none, none, none, none, one, one, one]);
});

test('a detached DataView is refused with a code', () => {
  const view = new DataView(new ArrayBuffer(8));
  structuredClone(view.buffer, { transfer: [view.buffer] });
  const [left, right] = DgramSocket.pair();
  assert.throws(() => left.send(view), { code: 'ERR_INVALID_ARG_VALUE' });
  // A socket taken for options has no property of its own that is one.
  const other = new DgramSocket(left);
  assert.notEqual(other.fd, left.fd);
  assert.throws(() => new DgramSocket({ fd: left }), { code: 'EEXIST' });
  other.close();
  left.close();
  right.close();
});

test('ETOOMANYREFS has its name, which libuv does not know', onLinux({}), () => {
  assert.equal(systemError(-constants.errno.EAGAIN, 'send').code, 'EAGAIN');
  assert.equal(systemError(-109, 'sendmsg').code, 'ETOOMANYREFS');
});

/** Every kind of view, of memory of its own. */
const VIEWS = [Buffer, Uint8Array, Uint16Array, DataView];
const viewOf = (View) => {
  const { buffer } = new Uint8Array(8);
  return View === Buffer ? Buffer.from(buffer) : new View(buffer);
};
const detach = ({ buffer }) => void structuredClone(buffer, { transfer: [buffer] });
const DETACHED = { code: 'ERR_INVALID_ARG_VALUE', message: /detached/ };

test(
  'detached bytes of every view are refused with a code, and are no empty message',
  onLinux({}),
  () => {
    for (const [Socket, send] of [
      [DgramSocket, 'send'],
      [SeqpacketSocket, 'write'],
      [SeqpacketSocket, 'end'],
    ]) {
      const [left, right] = Socket.pair();
      for (const view of VIEWS.map(viewOf)) {
        detach(view);
        assert.throws(() => left[send](view), DETACHED, `${Socket.name}#${send}()`);
        assert.throws(() => left[send]({ data: view, fds: [0] }), DETACHED);
      }
      // One without bytes that is not detached is an empty message.
      assert.notEqual(left[send](new Uint8Array(0)), false);
      left.destroy?.();
      left.close?.();
      right.destroy?.();
      right.close?.();
    }
  },
);

test(
  "what the user's code detaches within the call is refused as if it had been before",
  onLinux({}),
  async (t) => {
    const name = abstractName();
    const receiver = new DgramSocket().bind(name);
    const sender = new DgramSocket().connect(name);
    const pairs = [SeqpacketSocket.pair(), USocket.pair()];
    t.after(() => {
      for (const socket of [receiver, sender]) socket.close();
      for (const socket of pairs.flat()) socket.destroy();
    });
    const [[message], [stream]] = pairs;
    const holder = (view) => ({
      get fd() {
        detach(view);
        return 0;
      },
    });
    /** What is taken for a URL, and has code of its own. */
    const likeUrl = (view) => ({
      href: 'file:///',
      protocol: 'file:',
      hostname: '',
      get pathname() {
        detach(view);
        return '/nowhere';
      },
    });
    const [posixSocket, posixPeer] = posix.socketpair('dgram');
    t.after(() => [posixSocket, posixPeer].forEach(posix.close));
    const other = createSocket('unix_dgram');
    t.after(() => other.close());
    const calls = {
      'sendTo() by what is like a URL': (view) => sender.sendTo(view, likeUrl(view)),
      'sendTo() of a part': (view) => sender.sendTo(view, 0, view.byteLength, likeUrl(view)),
      'send() by what is like a URL': (view) => sender.send(view, likeUrl(view)),
      'send() of unix-dgram': (view) => other.send(view, 0, view.byteLength, likeUrl(view)),
      'posix.sendmsg() with fds': (view) =>
        posix.sendmsg(posixSocket, { iov: view, fds: [holder(view)] }),
      'posix.sendmsg() with an address': (view) =>
        posix.sendmsg(posixSocket, {
          iov: [view],
          address: {
            sun_family: posix.AF_UNIX,
            get sun_path() {
              detach(view);
              return '/nowhere';
            },
          },
        }),
      'memfd()': (view) =>
        memfd(view, {
          get name() {
            detach(view);
            return 'name';
          },
        }),
      'sendTo() with options': (view) =>
        sender.sendTo(view, name, {
          get fds() {
            detach(view);
            return undefined;
          },
        }),
      'sendTo() with fds': (view) => sender.sendTo(view, name, { fds: [holder(view)] }),
      'sendTo() of parts': (view) => sender.sendTo({ data: view, fds: [holder(view)] }, name),
      'send()': (view) => sender.send({ data: view, fds: [holder(view)] }),
      'write() of messages': (view) => message.write({ data: view, fds: [holder(view)] }),
      'write() of a stream': (view) => stream.write({ data: view, fds: [holder(view)] }),
    };
    const seen = [];
    for (const socket of [receiver, pairs[0][1], pairs[1][1]]) {
      socket.on('data', (data) => seen.push(data));
    }
    for (const [call, make] of Object.entries(calls)) {
      for (const View of VIEWS) {
        assert.throws(() => make(viewOf(View)), DETACHED, `${call}, ${View.name}`);
      }
    }
    await quiet();
    assert.deepEqual(seen, []);
    const room = Buffer.alloc(1);
    assert.throws(() => posix.recv(posixPeer, room, 1, posix.MSG_DONTWAIT), { code: 'EAGAIN' });
  },
);
