'use strict';

// Owns faulty arguments of afunix/posix, and buffers of every kind: no byte outside a buffer is ever
// read or written, and a faulty call does nothing.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const vm = require('node:vm');
const posix = require('../../lib/posix/index.js');
const { countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { open, pair, receive } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName } = require('../helpers/tmp.js');

const { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOL_SOCKET } = posix;

/** Somewhere to send to, for the life of the process. */
const [sink] = posix.socketpair(AF_UNIX, SOCK_DGRAM);

assertNoLeaks();

/** The numbers 0, 1, 2 … as bytes. */
const counting = (length) => Uint8Array.from({ length }, (_, index) => index);

/** For each kind of buffer: one with the eight bytes 8 to 15, which are inside something larger if it is a view. */
const BUFFERS = {
  Buffer: () => Buffer.from(counting(32).buffer, 8, 8),
  'pooled Buffer': () => Buffer.from(counting(32).subarray(8, 16)),
  Uint8Array: () => counting(32).subarray(8, 16),
  'small Uint8Array': () => counting(16).slice(8),
  Uint16Array: () => new Uint16Array(counting(32).buffer, 8, 4),
  Float64Array: () => new Float64Array(counting(32).buffer, 8, 1),
  BigInt64Array: () => new BigInt64Array(counting(32).buffer, 8, 1),
  DataView: () => new DataView(counting(32).buffer, 8, 8),
  ArrayBuffer: () => counting(32).buffer.slice(8, 16),
  SharedArrayBuffer() {
    const shared = new SharedArrayBuffer(8);
    new Uint8Array(shared).set(counting(16).subarray(8));
    return shared;
  },
  'view of a SharedArrayBuffer'() {
    const shared = new SharedArrayBuffer(32);
    new Uint8Array(shared).set(counting(32));
    return new Uint8Array(shared, 8, 8);
  },
  'resizable ArrayBuffer'() {
    const store = new ArrayBuffer(4, { maxByteLength: 100 });
    store.resize(8);
    new Uint8Array(store).set(counting(16).subarray(8));
    return store;
  },
  'growable SharedArrayBuffer'() {
    const store = new SharedArrayBuffer(4, { maxByteLength: 100 });
    posix.send(sink, store, 4);
    store.grow(8);
    new Uint8Array(store).set(counting(16).subarray(8));
    return store;
  },
  'ArrayBuffer of another realm': () =>
    vm.runInNewContext('Uint8Array.from([8, 9, 10, 11, 12, 13, 14, 15]).buffer'),
};

/** All bytes of what a buffer is a view of. */
const storeOf = (buffer) => new Uint8Array(ArrayBuffer.isView(buffer) ? buffer.buffer : buffer);
const bytesOf = (buffer) =>
  ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);

describe('buffers', onLinux({}), () => {
  for (const [kind, make] of Object.entries(BUFFERS)) {
    test(`${kind}: its own bytes are sent, and no others`, (t) => {
      const [left, right] = pair(t, SOCK_DGRAM);
      const room = Buffer.alloc(100);
      for (const [length, expected] of [
        [undefined, 8],
        [8, 8],
        [3, 3],
        [0, 0],
      ]) {
        assert.equal(posix.send(left, make(), length), expected);
        assert.equal(posix.recv(right, room), expected);
        assert.deepEqual(
          [...room.subarray(0, expected)],
          [...counting(16).subarray(8)].slice(0, expected),
        );
      }
      for (const length of [9, 33, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, -1]) {
        const failure = { name: 'RangeError', code: 'ERR_BUFFER_OUT_OF_BOUNDS' };
        assert.throws(() => posix.send(left, make(), length), failure);
        assert.throws(() => posix.recv(right, make(), length, posix.MSG_DONTWAIT), failure);
      }
      const nothing = { code: 'EAGAIN' };
      assert.throws(() => posix.recv(right, room, 1, posix.MSG_DONTWAIT), nothing);
    });

    test(`${kind}: its own bytes are written, and no others`, (t) => {
      const [left, right] = pair(t, SOCK_DGRAM);
      const message = Buffer.alloc(100, 0xee);
      for (const length of [8, 3, 0]) {
        const buffer = make();
        const store = Buffer.from(storeOf(buffer));
        const at = ArrayBuffer.isView(buffer) ? buffer.byteOffset : 0;
        posix.send(left, message);
        assert.equal(posix.recv(right, buffer, length), length);
        store.fill(0xee, at, at + length);
        // The pool of Buffers is shared: look at its own bytes only.
        if (kind === 'pooled Buffer') {
          assert.deepEqual(Buffer.from(bytesOf(buffer)), store.subarray(at, at + 8));
        } else {
          assert.deepEqual(Buffer.from(storeOf(buffer)), store);
        }
      }
      const buffer = make();
      posix.send(left, message);
      assert.deepEqual(posix.recvmsg(right, { iov: [buffer] }).size, 8);
      assert.ok(bytesOf(buffer).every((byte) => byte === 0xee));
    });
  }

  test('that are empty parts of larger memory are no detached ones', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    const store = new ArrayBuffer(8);
    for (const empty of [
      Buffer.from(store, 3, 0),
      new Uint16Array(store, 8),
      new DataView(store, 8),
    ]) {
      assert.equal(posix.send(left, empty), 0);
      assert.equal(posix.sendmsg(left, { iov: empty }), 0);
      assert.equal(posix.recv(right, empty, 0, posix.MSG_DONTWAIT), 0);
      assert.equal(posix.recvmsg(right, { iov: empty }, posix.MSG_DONTWAIT).size, 0);
    }
  });

  test('that were detached are refused, by name', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    const make = () => {
      const store = new ArrayBuffer(8);
      const views = [new Uint8Array(store, 2), new DataView(store)];
      structuredClone(store, { transfer: [store] });
      return [store, ...views.slice(0, 1)];
    };
    for (const detached of make()) {
      const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE', message: /detached/ };
      assert.throws(() => posix.send(left, detached), failure);
      assert.throws(() => posix.send(left, detached, 0), failure);
      assert.throws(() => posix.recv(right, detached, 8, posix.MSG_DONTWAIT), failure);
      assert.throws(() => posix.sendmsg(left, { iov: [Buffer.alloc(1), detached] }), failure);
      assert.throws(() => posix.setsockopt(left, SOL_SOCKET, 1, detached), failure);
    }
    assert.throws(() => posix.recv(right, Buffer.alloc(1), 1, posix.MSG_DONTWAIT), {
      code: 'EAGAIN',
    });
  });

  test('that are empty send empty messages', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    const empty = [
      Buffer.alloc(0),
      new ArrayBuffer(0),
      new SharedArrayBuffer(0),
      new DataView(new ArrayBuffer(0)),
    ];
    for (const buffer of empty) {
      assert.equal(posix.send(left, buffer), 0);
      assert.equal(posix.recv(right, buffer), 0);
    }
  });
});

describe('faulty arguments', onLinux({}), () => {
  const notInts = [undefined, null, '1', {}, [], true, 1n, Symbol('1'), () => 1];
  const outOfRange = [1.5, NaN, Infinity, 2 ** 31, -(2 ** 31) - 1, 2 ** 32 + 3];
  const good = Buffer.alloc(8);
  const name = { sun_family: AF_UNIX, sun_path: '\0nobody' };

  /** Calls with one argument after the other in the place that is tested. */
  const INTS = {
    'socket(domain)': (value) => posix.socket(value, 1, 0),
    'socket(type)': (value) => posix.socket(1, value, 0),
    'bind(sockfd)': (value) => posix.bind(value, name),
    'listen(sockfd)': (value) => posix.listen(value, 1),
    'accept(sockfd)': (value) => posix.accept(value, {}),
    'connect(sockfd)': (value) => posix.connect(value, name),
    'send(sockfd)': (value) => posix.send(value, good, 8, 0),
    'sendto(sockfd)': (value) => posix.sendto(value, good, 8, 0, name),
    'recv(sockfd)': (value) => posix.recv(value, good, 8, 0),
    'recvfrom(sockfd)': (value) => posix.recvfrom(value, good, 8, 0, {}),
    'sendmsg(sockfd)': (value) => posix.sendmsg(value, { iov: good }),
    'recvmsg(sockfd)': (value) => posix.recvmsg(value, { iov: good }),
    'close(fd)': (value) => posix.close(value),
    'shutdown(sockfd)': (value) => posix.shutdown(value, 2),
    'shutdown(how)': (value) => posix.shutdown(sink, value),
    'getsockopt(sockfd)': (value) => posix.getsockopt(value, 1, 3),
    'getsockopt(level)': (value) => posix.getsockopt(sink, value, 3),
    'getsockopt(optname)': (value) => posix.getsockopt(sink, 1, value),
    'setsockopt(sockfd)': (value) => posix.setsockopt(value, 1, 3, 1),
    'getsockname(sockfd)': (value) => posix.getsockname(value),
    'getpeername(sockfd)': (value) => posix.getpeername(value),
    'poll(fds[0].fd)': (value) => posix.poll([{ fd: value, events: 1 }], 0),
    'poll(fds[0].events)': (value) => posix.poll([{ fd: sink, events: value }], 0),
  };
  for (const [what, call] of Object.entries(INTS)) {
    test(`${what} is an int`, () => {
      for (const value of notInts) {
        const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
        assert.throws(() => call(value), failure, String(value));
      }
      for (const value of outOfRange) {
        assert.throws(() => call(value), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
      }
      if (/\((sockfd|fd)\)/.test(what)) {
        for (const closed of [-1, 1_000_000, -(2 ** 31)]) {
          const syscall = what.slice(0, what.indexOf('('));
          assert.throws(() => call(closed), { name: 'Error', code: 'EBADF', errno: -9, syscall });
        }
      }
    });
  }

  test('optional numbers are checked where they are given', () => {
    for (const value of notInts.slice(1)) {
      const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
      for (const call of [
        () => posix.socket(1, 1, value),
        () => posix.listen(sink, value),
        () => posix.send(sink, good, value),
        () => posix.send(sink, good, 8, value),
        () => posix.recv(sink, good, value),
        () => posix.recv(sink, good, 8, value),
        () => posix.sendto(sink, good, 8, value, name),
        () => posix.recvfrom(sink, good, 8, value, {}),
        () => posix.sendmsg(sink, {}, value),
        () => posix.recvmsg(sink, {}, value),
        () => posix.poll([], value),
        () => posix.socketpair(value),
      ]) {
        assert.throws(call, failure, `${call} with ${String(value)}`);
      }
    }
    assert.throws(() => posix.poll([], -2), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => posix.send(sink, good, 1.5), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => posix.getsockopt(sink, 1, 3, -1), { code: 'ERR_OUT_OF_RANGE' });
  });

  test('what is no buffer is refused', () => {
    for (const value of [undefined, null, 'text', 7, {}, [1, 2], { byteLength: 3 }, new Date()]) {
      const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
      for (const call of [
        () => posix.send(sink, value),
        () => posix.send(sink, value, 1, 0),
        () => posix.sendto(sink, value, 1, 0, name),
        () => posix.recv(sink, value, 1, 0),
        () => posix.recvfrom(sink, value, 1, 0, {}),
        () => posix.sendmsg(sink, { iov: [good, value] }),
        () => posix.recvmsg(sink, { iov: [value] }),
      ]) {
        assert.throws(call, failure, `${call} with ${String(value)}`);
      }
      if (value !== undefined && typeof value !== 'number') {
        assert.throws(() => posix.setsockopt(sink, 1, 2, value), failure);
        assert.throws(() => posix.getsockopt(sink, 1, 3, value), failure);
      }
    }
  });

  test('addresses are names, or have a family and its members', (t) => {
    const sockfd = open(t);
    const before = countFds();
    for (const [addr, code] of [
      [undefined, 'ERR_INVALID_ARG_TYPE'],
      [null, 'ERR_INVALID_ARG_TYPE'],
      [7, 'ERR_INVALID_ARG_TYPE'],
      ['', 'ERR_INVALID_ARG_VALUE'],
      ['/a\0b', 'ERR_INVALID_ARG_VALUE'],
      [Buffer.from('/a\0b'), 'ERR_INVALID_ARG_VALUE'],
      [new Uint16Array(3), 'ERR_INVALID_ARG_VALUE'],
      [new URL('http://localhost/'), 'ERR_INVALID_URL_SCHEME'],
      [{ sa_family: AF_UNIX, sa_data: Buffer.from('/a') }, 'ERR_INVALID_ARG_VALUE'],
      [{ sa_family: AF_INET, sa_data: Buffer.alloc(14) }, 'ERR_INVALID_ARG_VALUE'],
      [{ sa_family: 16 }, 'ERR_INVALID_ARG_TYPE'],
      [{ sa_family: 16, sa_data: 'text' }, 'ERR_INVALID_ARG_TYPE'],
      [{ sa_family: 2 ** 16, sa_data: Buffer.alloc(8) }, 'ERR_OUT_OF_RANGE'],
      [{}, 'ERR_INVALID_ARG_VALUE'],
      [{ sun_path: '/tmp/a.sock' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sun_family: '1', sun_path: '/a' }, 'ERR_INVALID_ARG_TYPE'],
      [{ sun_family: AF_INET, sun_path: '/a' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sun_family: AF_UNIX, sun_path: 7 }, 'ERR_INVALID_ARG_TYPE'],
      [{ sun_family: AF_UNIX, sun_path: null }, 'ERR_INVALID_ARG_TYPE'],
      [{ sun_family: AF_UNIX, sun_path: '/a\0b' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sin_family: AF_UNIX, sin_port: 1, sin_addr: '127.0.0.1' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sin_family: AF_INET, sin_addr: '127.0.0.1' }, 'ERR_INVALID_ARG_TYPE'],
      [{ sin_family: AF_INET, sin_port: 65536, sin_addr: '127.0.0.1' }, 'ERR_OUT_OF_RANGE'],
      [{ sin_family: AF_INET, sin_port: -1, sin_addr: '127.0.0.1' }, 'ERR_OUT_OF_RANGE'],
      [{ sin_family: AF_INET, sin_port: 1.5, sin_addr: '127.0.0.1' }, 'ERR_OUT_OF_RANGE'],
      [{ sin_family: AF_INET, sin_port: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [{ sin_family: AF_INET, sin_port: 1, sin_addr: 'localhost' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sin_family: AF_INET, sin_port: 1, sin_addr: '127.0.0.256' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sin_family: AF_INET, sin_port: 1, sin_addr: '::1' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sin6_family: AF_INET6, sin6_port: 1, sin6_addr: '127.0.0.1' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sin6_family: AF_INET6, sin6_port: 1, sin6_addr: 'fe80::1%lo' }, 'ERR_INVALID_ARG_VALUE'],
      [{ sin6_family: AF_INET6, sin6_port: 1, sin6_addr: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [
        { sin6_family: AF_INET6, sin6_port: 1, sin6_addr: '::1', sin6_flowinfo: -1 },
        'ERR_OUT_OF_RANGE',
      ],
      [
        { sin6_family: AF_INET6, sin6_port: 1, sin6_addr: '::1', sin6_scope_id: 'lo' },
        'ERR_INVALID_ARG_TYPE',
      ],
    ]) {
      const calls = [() => posix.bind(sockfd, addr), () => posix.connect(sockfd, addr)];
      // Here an address may be left out.
      if (addr !== undefined) {
        calls.push(() => posix.sendto(sockfd, good, 1, 0, addr));
        calls.push(() => posix.sendmsg(sockfd, { iov: good, address: addr }));
      }
      for (const call of calls) {
        assert.throws(call, { code }, `${call} with ${JSON.stringify(addr)}`);
      }
    }
    assert.equal(countFds(), before);
    assert.equal(posix.getsockname(sockfd).sun_path, '');
  });

  test('a failure names the call, and a path only where there is one', (t) => {
    const socket = open(t, AF_UNIX, SOCK_DGRAM);
    assert.throws(
      () => posix.send(socket, Buffer.from('x')),
      (error) => error.message === 'ENOTCONN: socket is not connected, send' && !('path' in error),
    );
  });

  test('messages and lists are what they should be', () => {
    for (const message of [undefined, null, 7, 'text', []]) {
      const failure = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
      assert.throws(() => posix.sendmsg(sink, message), failure);
      assert.throws(() => posix.recvmsg(sink, message), failure);
      if (!Array.isArray(message)) assert.throws(() => posix.poll(message, 0), failure);
      assert.throws(() => posix.poll([message], 0), failure);
    }
    const iov = [good];
    assert.throws(() => posix.sendmsg(sink, { iov, fds: 3 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => posix.sendmsg(sink, { iov, fds: [-1] }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => posix.sendmsg(sink, { iov, fds: [{}] }), { code: 'ERR_INVALID_ARG_TYPE' });
    const many = Array(254).fill(0);
    assert.throws(() => posix.sendmsg(sink, { iov, fds: many }), { code: 'ERR_OUT_OF_RANGE' });
    for (const [credentials, code] of [
      [7, 'ERR_INVALID_ARG_TYPE'],
      [{}, 'ERR_INVALID_ARG_TYPE'],
      [{ pid: 1, uid: -1, gid: 0 }, 'ERR_OUT_OF_RANGE'],
      [{ pid: 2 ** 31, uid: 0, gid: 0 }, 'ERR_OUT_OF_RANGE'],
      [{ pid: 1, uid: 2 ** 32, gid: 0 }, 'ERR_OUT_OF_RANGE'],
      [{ pid: 1, uid: 0, gid: 2 ** 32 }, 'ERR_OUT_OF_RANGE'],
    ]) {
      assert.throws(() => posix.sendmsg(sink, { iov, credentials }), { code });
    }
    assert.throws(() => posix.poll([{ fd: sink, events: 65536 }], 0), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => posix.poll([{ fd: sink, events: -1 }], 0), { code: 'ERR_OUT_OF_RANGE' });
    // It can be used again after a failure.
    assert.equal(posix.poll([{ fd: sink, events: posix.POLLOUT }], 0), 1);
  });
});

test('a getter that calls in between does no harm', onLinux({}), (t) => {
  const names = [abstractName(), abstractName()];
  const receivers = names.map((sun_path) => {
    const sockfd = open(t, AF_UNIX, SOCK_DGRAM);
    posix.bind(sockfd, { sun_family: AF_UNIX, sun_path });
    return sockfd;
  });
  const sender = open(t, AF_UNIX, SOCK_DGRAM);
  posix.sendto(sender, Buffer.from('first'), 5, 0, {
    sun_family: AF_UNIX,
    get sun_path() {
      posix.sendto(sender, Buffer.from('second'), 6, 0, { sun_family: 1, sun_path: names[1] });
      return names[0];
    },
  });
  assert.deepEqual(
    receivers.map((fd) => receive(fd)),
    ['first', 'second'],
  );
});

test(
  'a call that fails is made once: what the kernel says once is what is thrown',
  onLinux(),
  (t) => {
    for (const call of [
      (fd) => posix.send(fd, Buffer.from('x')),
      (fd) => posix.send(fd, Buffer.from('x'), 1, posix.MSG_DONTWAIT),
    ]) {
      const [left, right] = posix.socketpair(AF_UNIX, SOCK_DGRAM);
      t.after(() => posix.close(left));
      posix.close(right);
      // The kernel dissolves the connection when it says so.
      assert.throws(() => call(left), { code: 'ECONNREFUSED' });
      assert.throws(() => call(left), { code: /^E(NOTCONN|DESTADDRREQ)$/ });
    }
  },
);
