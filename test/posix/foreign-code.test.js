'use strict';

// Owns code of the user's, or of a stranger's library, that runs inside of a call of afunix/posix, or
// changed what all objects inherit: a call does what its arguments said when it began, and no more.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { open, pair, receive } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { polluted, withMembers } = require('../helpers/prototypes.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

const { AF_INET, AF_INET6, AF_UNIX, MSG_DONTWAIT, SOCK_DGRAM } = posix;

/** A bound datagram socket, its name, and whether nothing has come. */
function receiver(t) {
  const [fd, name] = [open(t, 'unix', 'dgram'), abstractName()];
  posix.bind(fd, name);
  const isEmpty = () => {
    try {
      posix.recv(fd, Buffer.alloc(1), 1, MSG_DONTWAIT);
      return false;
    } catch (error) {
      assert.equal(error.code, 'EAGAIN');
      return true;
    }
  };
  return { fd, name, isEmpty };
}

describe("a buffer's own members", onLinux({}), () => {
  test('cannot turn a message to another address', (t) => {
    const [meant, other] = [receiver(t), receiver(t)];
    const sender = open(t, 'unix', 'dgram');
    // What is empty is looked at more closely, after the address is known.
    const buffer = new Uint8Array(0);
    Object.defineProperty(buffer, 'byteLength', {
      get() {
        posix.getsockname(other.fd);
        return 0;
      },
    });
    assert.equal(posix.sendto(sender, buffer, 0, 0, meant.name), 0);
    assert.equal(
      posix.sendto(sender, buffer, undefined, 0, { sun_family: 1, sun_path: meant.name }),
      0,
    );
    assert.deepEqual([meant.isEmpty(), meant.isEmpty(), other.isEmpty()], [false, false, true]);
  });

  test('cannot do so by patched classes either', (t) => {
    const [meant, other] = [receiver(t), receiver(t)];
    const sender = open(t, 'unix', 'dgram');
    const { get } = WeakMap.prototype;
    let calls = 0;
    const patched = function (...args) {
      calls++;
      posix.getsockname(other.fd);
      return Reflect.apply(get, this, args);
    };
    WeakMap.prototype.get = patched;
    try {
      posix.sendto(sender, new SharedArrayBuffer(5), 5, 0, meant.name);
    } finally {
      WeakMap.prototype.get = get;
    }
    assert.deepEqual([calls, meant.isEmpty(), other.isEmpty()], [0, false, true]);
  });

  test('that lie about its length move nothing beyond it', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    const buffer = new Uint8Array(4);
    Object.defineProperty(buffer, 'byteLength', { value: 4096 });
    const failure = { name: 'RangeError', code: 'ERR_BUFFER_OUT_OF_BOUNDS' };
    assert.throws(() => posix.send(left, buffer), failure);
    assert.throws(() => posix.recv(right, buffer, 4096, MSG_DONTWAIT), failure);
    assert.equal(posix.send(left, buffer, 4), 4);
  });
});

describe('views of an ArrayBuffer that has shrunk', onLinux({}), () => {
  const views = {
    Uint8Array: (store) => new Uint8Array(store, 4096, 4096),
    Float64Array: (store) => new Float64Array(store, 4096, 8),
    DataView: (store) => new DataView(store, 4096, 4096),
  };
  for (const [name, make] of Object.entries(views)) {
    for (const left of [0, 10, 5000]) {
      test(`${name}: refused, as detached ones are, with ${left} bytes left`, (t) => {
        const [sender, receiving] = pair(t, SOCK_DGRAM);
        const store = new ArrayBuffer(8192, { maxByteLength: 8192 });
        const view = make(store);
        store.resize(left === 5000 && name === 'Float64Array' ? 4100 : left);
        const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE', message: /detached/ };
        assert.throws(() => posix.send(sender, view), failure);
        assert.throws(() => posix.send(sender, view, 0), failure);
        assert.throws(() => posix.recv(receiving, view, 1, MSG_DONTWAIT), failure);
        assert.throws(() => posix.sendmsg(sender, { iov: [view] }), failure);
        assert.throws(() => posix.recvmsg(receiving, { iov: view }, MSG_DONTWAIT), failure);
      });
    }
  }
});

describe('what Object.prototype has got', onLinux({}), () => {
  test('is no address', (t) => {
    const meant = receiver(t);
    const socket = open(t, AF_INET, SOCK_DGRAM);
    const here = { sin_family: AF_INET, sin_port: 0, sin_addr: '127.0.0.1' };
    polluted({ sun_family: AF_UNIX, sun_path: meant.name, sa_family: AF_UNIX }, () => {
      posix.bind(socket, here);
      assert.throws(() => posix.bind(socket, {}), { code: 'ERR_INVALID_ARG_VALUE' });
    });
    assert.equal(posix.getsockname(socket).sin_addr, '127.0.0.1');
    const autobound = open(t, 'unix', 'dgram');
    polluted({ sun_path: meant.name }, () => posix.bind(autobound, { sun_family: AF_UNIX }));
    assert.match(posix.getsockname(autobound).sun_path, /^\0[0-9a-f]{5}$/);
    const everywhere = { sin6_family: AF_INET6, sin6_port: 0, sin6_addr: '::' };
    for (const name of ['sin6_flowinfo', 'sin6_scope_id']) {
      const unbound = open(t, AF_INET6, SOCK_DGRAM);
      polluted({ [name]: 'none' }, () => posix.bind(unbound, everywhere));
      assert.equal(posix.getsockname(unbound)[name], 0);
    }
    const error = polluted({ sun_family: AF_UNIX, sun_path: meant.name }, () => {
      try {
        return posix.bind(socket, here);
      } catch (thrown) {
        return thrown;
      }
    });
    assert.deepEqual([error.path, error.address, error.port], [undefined, '127.0.0.1', 0]);
  });

  for (const [name, value] of Object.entries({
    sun_family: AF_UNIX,
    sa_family: AF_UNIX,
    sin_family: AF_INET,
    sin6_family: AF_INET6,
  })) {
    test(`is no family: ${name}`, (t) => {
      const socket = open(t, AF_INET, SOCK_DGRAM);
      const bare = {
        sin_port: 0,
        sin_addr: '127.0.0.1',
        sun_path: abstractName(),
        sin6_addr: '::1',
      };
      polluted({ [name]: value }, () => {
        assert.throws(() => posix.bind(socket, bare), { code: 'ERR_INVALID_ARG_VALUE' });
      });
    });
  }

  test('is neither descriptor nor destination of a message', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    const other = receiver(t);
    polluted({ fds: [0], address: other.name, credentials: { pid: 1, uid: 0, gid: 0 } }, () =>
      posix.sendmsg(left, { iov: Buffer.from('plain') }),
    );
    const room = Buffer.alloc(100);
    const { size, fds } = posix.recvmsg(right, { iov: room });
    assert.deepEqual([room.toString('utf8', 0, size), fds, other.isEmpty()], ['plain', [], true]);
    const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    polluted({ fd: 0, _handle: { fd: 0 } }, () =>
      assert.throws(() => posix.sendmsg(left, { iov: room, fds: [{}] }), failure),
    );
    polluted({ iov: room }, () => assert.equal(posix.sendmsg(left, {}), 0));
    assert.equal(receive(right), '');
  });

  test('is found where an object or its class has it, too', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    class Message {
      get iov() {
        return Buffer.from('of a class');
      }
    }
    polluted({ iov: Buffer.from('of all') }, () => {
      posix.sendmsg(left, new Message());
      posix.sendmsg(left, { iov: Buffer.from('its own') });
    });
    assert.deepEqual([receive(right), receive(right)], ['of a class', 'its own']);
  });
});

test('setters on Array.prototype neither see nor keep descriptors', onLinux({}), (t) => {
  const [left, right] = pair(t, SOCK_DGRAM);
  const file = fs.openSync('/dev/null');
  t.after(() => fs.closeSync(file));
  let seen = 0;
  const setter = { set: () => seen++, get: () => undefined };
  withMembers(Array.prototype, { 0: setter, 1: setter }, () =>
    posix.sendmsg(left, { iov: [Buffer.from('x')], fds: [file, file] }),
  );
  const { fds } = posix.recvmsg(right, { iov: Buffer.alloc(1) });
  fds.forEach(posix.close);
  assert.deepEqual([fds.length, seen], [2, 0]);
});
