'use strict';

// Owns the synchronous calls, afunix/posix: each of them, with addresses of each family. Faulty
// arguments, sendmsg() and recvmsg(), signals, other programs have their own files.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const { describe, test } = require('node:test');
const posix = require('../../lib/posix/index.js');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB } = require('../helpers/node.js');
const { isCloseOnExec, open, own, pair, receive, timeval } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET } = posix;

/** For each family: an address to bind to, and what it has become then. */
const FAMILIES = {
  'AF_UNIX, a path': (t) => ({ sun_family: AF_UNIX, sun_path: temporaryPath(t) }),
  'AF_UNIX, an abstract name': () => ({ sun_family: AF_UNIX, sun_path: `${abstractName()}\0é` }),
  AF_INET: () => ({ sin_family: AF_INET, sin_port: 0, sin_addr: '127.0.0.1' }),
  AF_INET6: () => ({
    sin6_family: AF_INET6,
    sin6_port: 0,
    sin6_flowinfo: 0,
    sin6_addr: '::1',
    sin6_scope_id: 0,
  }),
};

const domainOf = (addr) => addr.sun_family ?? addr.sin_family ?? addr.sin6_family;

/** Binds; returns the address as the kernel has it, which chooses the port. */
function bind(sockfd, addr) {
  posix.bind(sockfd, addr);
  const bound = posix.getsockname(sockfd);
  for (const port of ['sin_port', 'sin6_port']) {
    if (port in addr) assert.ok(bound[port] > 0);
  }
  assert.deepEqual(bound, { ...addr, ...bound });
  assert.deepEqual(Object.keys(bound).sort(), Object.keys(addr).sort());
  return bound;
}

describe('the module', () => {
  test('is afunix/posix, in CommonJS and ESM, with the same names', async () => {
    assert.equal(require('afunix/posix'), posix);
    const module = await import('afunix/posix');
    assert.equal(module.default, posix);
    for (const [name, value] of Object.entries(posix)) assert.equal(module[name], value, name);
    const extra = Object.keys(module).filter((name) => !(name in posix) && name !== 'default');
    for (const name of extra) assert.equal(module[name], undefined);
  });

  test('has types for all of it', () => {
    const types = fs.readFileSync(`${LIB}/posix/index.d.ts`, 'utf8');
    const declared = new Set(
      [...types.matchAll(/^export (?:function|const) (\w+)/gm)].map(([, name]) => name),
    );
    for (const name of Object.keys(posix)) assert.ok(declared.has(name), `${name} has no type`);
    for (const [name, value] of Object.entries(posix)) {
      assert.ok(typeof value === 'number' || value.name === name, name);
    }
  });

  test('has the constants of the system', onLinux({}), () => {
    const { AF_LOCAL, MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_RDWR, SO_TYPE, TCP_NODELAY } = posix;
    assert.deepEqual([AF_UNIX, AF_LOCAL, AF_INET, AF_INET6], [1, 1, 2, 10]);
    assert.deepEqual([MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_RDWR], [0x40, 0x4000, 2]);
    assert.deepEqual([SO_TYPE, TCP_NODELAY, posix.POLLIN], [3, 1, 1]);
  });
});

for (const [family, makeAddress] of Object.entries(FAMILIES)) {
  describe(family, onLinux({}), () => {
    test('streams: bind, listen, connect, accept, send, recv, shutdown, close', (t) => {
      const addr = makeAddress(t);
      const domain = domainOf(addr);
      const listener = open(t, domain);
      const bound = bind(listener, addr);
      posix.listen(listener, 5);
      const client = open(t, domain);
      posix.connect(client, bound);
      assert.deepEqual(posix.getpeername(client), bound);
      const peer = {};
      const server = own(t, posix.accept(listener, peer));
      assert.deepEqual(peer, posix.getsockname(client));
      assert.ok(isCloseOnExec(server) && isCloseOnExec(listener));

      assert.equal(posix.send(client, Buffer.from('hello'), 5, 0), 5);
      assert.equal(receive(server), 'hello');
      assert.equal(posix.sendto(server, Buffer.from('answer')), 6);
      const from = {};
      const room = new ArrayBuffer(10);
      assert.equal(posix.recvfrom(client, room, 10, 0, from), 6);
      assert.equal(Buffer.from(room, 0, 6).toString(), 'answer');

      posix.shutdown(client, posix.SHUT_WR);
      assert.equal(posix.recv(server, room), 0);
      assert.equal(posix.send(server, Buffer.from('late')), 4);
      assert.equal(receive(client), 'late');
      posix.close(server);
      assert.equal(posix.recv(client, room), 0);
    });

    test('datagrams: sendto and recvfrom, with the sender to answer', (t) => {
      const [left, right] = [makeAddress(t), makeAddress(t)].map((addr) => {
        const sockfd = open(t, domainOf(addr), SOCK_DGRAM);
        return { sockfd, addr: bind(sockfd, addr) };
      });
      assert.equal(posix.sendto(left.sockfd, Buffer.from('one'), 3, 0, right.addr), 3);
      assert.equal(posix.sendto(left.sockfd, Buffer.alloc(0), 0, 0, right.addr), 0);
      const room = Buffer.alloc(10);
      const from = {};
      assert.equal(posix.recvfrom(right.sockfd, room, 10, 0, from), 3);
      assert.deepEqual(from, left.addr);
      assert.equal(posix.recvfrom(right.sockfd, room, 10, 0, from), 0);
      assert.equal(posix.sendto(right.sockfd, Buffer.from('two'), 3, 0, from), 3);
      assert.equal(receive(left.sockfd), 'two');

      posix.connect(left.sockfd, right.addr);
      assert.equal(posix.send(left.sockfd, Buffer.from('three')), 5);
      assert.equal(receive(right.sockfd), 'three');
      const [unspecified] = [{ ...right.addr }];
      for (const key of Object.keys(unspecified)) {
        if (key.endsWith('_family')) unspecified[key] = posix.AF_UNSPEC;
      }
      posix.connect(left.sockfd, unspecified);
      assert.throws(() => posix.getpeername(left.sockfd), {
        code: 'ENOTCONN',
        syscall: 'getpeername',
      });
    });

    test('errors say what address they are about', (t) => {
      const addr = makeAddress(t);
      const listener = open(t, domainOf(addr));
      const nobody = bind(listener, addr);
      const isUnix = nobody.sun_family !== undefined;
      const check = (syscall, code) => (error) => {
        assert.ok(error instanceof Error);
        assert.equal(error.code, code);
        assert.equal(error.errno, -os.constants.errno[code]);
        assert.equal(error.syscall, syscall);
        if (isUnix) {
          assert.equal(error.path, nobody.sun_path);
        } else {
          assert.equal(error.address, nobody.sin_addr ?? nobody.sin6_addr);
          assert.equal(error.port, nobody.sin_port ?? nobody.sin6_port);
          assert.ok(!('path' in error));
        }
        return error.message.startsWith(`${code}: `);
      };
      const client = open(t, domainOf(addr));
      assert.throws(() => posix.connect(client, nobody), check('connect', 'ECONNREFUSED'));
      assert.throws(() => posix.bind(open(t, domainOf(addr)), nobody), check('bind', 'EADDRINUSE'));
    });
  });
}

describe('Unix names', onLinux({}), () => {
  test('are exact: NULs in abstract names count, at most 108 bytes with the first', (t) => {
    const full = `${abstractName()}`.padEnd(108, '\0');
    const sockfd = open(t, AF_UNIX, SOCK_DGRAM);
    posix.bind(sockfd, { sun_family: AF_UNIX, sun_path: full });
    assert.equal(posix.getsockname(sockfd).sun_path, full);
    assert.ok(fs.readFileSync('/proc/net/unix', 'latin1').includes(` @${full.slice(1, 40)}`));
    for (const sun_path of [`${full}\0`, 'x'.repeat(108), 'x'.repeat(5000)]) {
      const name = { sun_family: AF_UNIX, sun_path };
      const failure = { code: 'ENAMETOOLONG', path: sun_path };
      assert.throws(() => posix.bind(open(t), name), { ...failure, syscall: 'bind' });
      assert.throws(() => posix.connect(open(t), name), { ...failure, syscall: 'connect' });
      assert.throws(() => posix.sendto(sockfd, Buffer.alloc(1), 1, 0, name), failure);
    }
  });

  test('may be Buffers and URLs, and come back as Buffers where they are not UTF-8', (t) => {
    const folder = temporaryPath(t, '');
    const bytes = Buffer.concat([Buffer.from(folder), Buffer.from([0xff, 0x41])]);
    const sockfd = open(t, AF_UNIX, SOCK_DGRAM);
    posix.bind(sockfd, { sun_family: AF_UNIX, sun_path: bytes });
    const { sun_path } = posix.getsockname(sockfd);
    assert.ok(Buffer.isBuffer(sun_path));
    assert.deepEqual(sun_path, bytes);
    posix.connect(open(t, AF_UNIX, SOCK_DGRAM), posix.getsockname(sockfd));
    const url = new URL(`file://${folder}b`);
    const other = open(t);
    posix.bind(other, { sun_family: AF_UNIX, sun_path: url });
    assert.equal(posix.getsockname(other).sun_path, `${folder}b`);
  });

  test('are empty for a socket without one; binding to an empty one chooses one', (t) => {
    const sockfd = open(t, AF_UNIX, SOCK_DGRAM);
    assert.deepEqual(posix.getsockname(sockfd), { sun_family: AF_UNIX, sun_path: '' });
    posix.bind(sockfd, { sun_family: AF_UNIX, sun_path: '' });
    const bound = posix.getsockname(sockfd);
    assert.match(bound.sun_path, /^\0[0-9a-f]{5}$/);
    const unbound = open(t, AF_UNIX, SOCK_DGRAM);
    posix.sendto(unbound, Buffer.from('x'), 1, 0, bound);
    const from = {};
    posix.recvfrom(sockfd, Buffer.alloc(1), 1, 0, from);
    assert.deepEqual(from, { sun_family: AF_UNIX, sun_path: '' });
  });
});

describe('address objects', onLinux({}), () => {
  test('that cannot be filled lose no message', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    posix.send(left, Buffer.from('x'));
    const room = Buffer.alloc(2);
    const receive = (from) => posix.recvfrom(right, room, 2, posix.MSG_DONTWAIT, from);
    assert.throws(() => receive(Object.freeze({ mine: 1 })), { code: 'ERR_INVALID_ARG_VALUE' });
    const stubborn = {
      get sun_family() {
        return 'mine';
      },
    };
    assert.equal(receive(stubborn), 1);
    assert.deepEqual({ ...stubborn }, { sun_family: 'mine', sun_path: '' });
  });

  test('that are filled lose what another family left', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    posix.send(left, Buffer.from('x'));
    const from = { sin_family: AF_INET, sin_port: 1, sin_addr: '1.2.3.4', mine: true };
    posix.recvfrom(right, Buffer.alloc(1), 1, 0, from);
    assert.deepEqual(from, { mine: true, sun_family: AF_UNIX, sun_path: '' });
  });

  test('are left alone where there is nothing to say', (t) => {
    const listener = open(t, AF_INET);
    const bound = bind(listener, { sin_family: AF_INET, sin_port: 0, sin_addr: '127.0.0.1' });
    posix.listen(listener);
    const client = open(t, AF_INET);
    posix.connect(client, bound);
    const server = own(t, posix.accept(listener));
    posix.send(client, Buffer.from('x'));
    const from = { mine: true };
    assert.equal(posix.recvfrom(server, Buffer.alloc(9), 9, 0, from), 1);
    assert.deepEqual(from, { mine: true });
  });

  test('take 24 for AF_INET6, as the documentation of posix-socket has it', (t) => {
    const sockfd = open(t, AF_INET6);
    posix.bind(sockfd, {
      sin6_family: 24,
      sin6_port: 0,
      sin6_flowinfo: 0,
      sin6_addr: '::1',
      sin6_scope_id: 0,
    });
    assert.equal(posix.getsockname(sockfd).sin6_family, AF_INET6);
  });

  test('that cannot be filled cost no connection', (t) => {
    const name = { sun_family: AF_UNIX, sun_path: abstractName() };
    const listener = open(t);
    posix.bind(listener, name);
    posix.listen(listener, 5);
    const clients = [open(t), open(t)];
    for (const client of clients) posix.connect(client, name);
    const before = countFds();
    assert.throws(() => posix.accept(listener, Object.freeze({})), {
      code: 'ERR_INVALID_ARG_VALUE',
    });
    assert.throws(() => posix.accept(listener, 'no object'), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.equal(countFds(), before);
    own(t, posix.accept(listener, {}));
  });
});

describe('socketpair', onLinux({}), () => {
  test('makes connected sockets of each type, which close on exec', (t) => {
    for (const type of [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET]) {
      const [left, right] = pair(t, type);
      assert.ok(isCloseOnExec(left) && isCloseOnExec(right));
      assert.equal(posix.getsockopt(left, SOL_SOCKET, posix.SO_TYPE), type);
      posix.send(left, Buffer.from('hello'));
      assert.equal(receive(right), 'hello');
    }
  });

  test('is refused by families that have none', () => {
    assert.throws(() => posix.socketpair(AF_INET, SOCK_STREAM), {
      code: 'ENOTSUP',
      syscall: 'socketpair',
    });
  });
});

describe('flags', onLinux({}), () => {
  test('MSG_DONTWAIT and SOCK_NONBLOCK do not wait', (t) => {
    const [left] = pair(t);
    const again = { code: 'EAGAIN', syscall: 'recv' };
    assert.throws(() => posix.recv(left, Buffer.alloc(1), 1, posix.MSG_DONTWAIT), again);
    const listener = open(t, AF_UNIX, SOCK_STREAM | posix.SOCK_NONBLOCK);
    posix.bind(listener, { sun_family: AF_UNIX, sun_path: '' });
    posix.listen(listener);
    assert.throws(() => posix.accept(listener), { code: 'EAGAIN', syscall: 'accept' });
    while (posix.send(left, Buffer.alloc(65536), 65536, posix.MSG_DONTWAIT) === 65536);
    const full = { code: 'EAGAIN', syscall: 'send' };
    const fill = () => {
      for (;;) posix.send(left, Buffer.alloc(65536), 65536, posix.MSG_DONTWAIT);
    };
    assert.throws(fill, full);
  });

  test('MSG_PEEK leaves, MSG_TRUNC returns the whole length, MSG_WAITALL fills', (t) => {
    const [left, right] = pair(t, SOCK_DGRAM);
    posix.send(left, Buffer.from('message'));
    assert.equal(receive(right, 4, posix.MSG_PEEK), 'mess');
    assert.equal(posix.recv(right, Buffer.alloc(4), 4, posix.MSG_TRUNC), 7);
    const [from, to] = pair(t);
    posix.send(from, Buffer.from('two'));
    posix.send(from, Buffer.from('parts'));
    assert.equal(receive(to, 8, posix.MSG_WAITALL), 'twoparts');
  });
});

describe('options', onLinux({}), () => {
  test('that are numbers', (t) => {
    const sockfd = open(t, AF_INET);
    const { IPPROTO_TCP, SO_ERROR, SO_REUSEADDR, SO_TYPE, TCP_NODELAY } = posix;
    assert.equal(posix.getsockopt(sockfd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    assert.equal(posix.getsockopt(sockfd, SOL_SOCKET, SO_ERROR), 0);
    assert.equal(posix.getsockopt(sockfd, SOL_SOCKET, SO_REUSEADDR), 0);
    assert.equal(posix.setsockopt(sockfd, SOL_SOCKET, SO_REUSEADDR, 1), undefined);
    assert.equal(posix.getsockopt(sockfd, SOL_SOCKET, SO_REUSEADDR), 1);
    posix.setsockopt(sockfd, IPPROTO_TCP, TCP_NODELAY, 1);
    assert.equal(posix.getsockopt(sockfd, IPPROTO_TCP, TCP_NODELAY), 1);
    // An option of -1 is no error.
    const udp = open(t, AF_INET6, SOCK_DGRAM);
    posix.setsockopt(udp, posix.IPPROTO_IPV6, posix.IPV6_UNICAST_HOPS, -1);
    posix.setsockopt(udp, posix.IPPROTO_IPV6, posix.IPV6_V6ONLY, 1);
    assert.equal(posix.getsockopt(udp, posix.IPPROTO_IPV6, posix.IPV6_V6ONLY), 1);
    posix.setsockopt(udp, SOL_SOCKET, posix.SO_PEEK_OFF, -1);
    assert.equal(posix.getsockopt(udp, SOL_SOCKET, posix.SO_PEEK_OFF), -1);
  });

  test('SO_PEERCRED, SO_LINGER and SO_RCVTIMEO are bytes', (t) => {
    const [left] = pair(t);
    const credentials = posix.getsockopt(left, SOL_SOCKET, posix.SO_PEERCRED, 12);
    assert.ok(Buffer.isBuffer(credentials));
    const [pid, uid, gid] = [0, 4, 8].map((at) => credentials.readInt32LE(at));
    assert.deepEqual([pid, uid, gid], [process.pid, process.getuid(), process.getgid()]);

    const linger = new Int32Array([1, 7]);
    posix.setsockopt(left, SOL_SOCKET, posix.SO_LINGER, linger);
    const room = Buffer.alloc(100, 0xff);
    const found = posix.getsockopt(left, SOL_SOCKET, posix.SO_LINGER, room.subarray(10));
    assert.equal(found.length, 8);
    assert.deepEqual([found.readInt32LE(0), found.readInt32LE(4)], [1, 7]);
    assert.equal(found.buffer, room.buffer);
    assert.equal(room.readInt32LE(14), 7);
    assert.equal(room[18], 0xff);
    const whole = new ArrayBuffer(8);
    assert.equal(posix.getsockopt(left, SOL_SOCKET, posix.SO_LINGER, whole).buffer, whole);
    const shared = new SharedArrayBuffer(8);
    assert.equal(posix.getsockopt(left, SOL_SOCKET, posix.SO_LINGER, shared).readInt32LE(4), 7);

    posix.setsockopt(left, SOL_SOCKET, posix.SO_RCVTIMEO, timeval(40));
    const time = posix.getsockopt(left, SOL_SOCKET, posix.SO_RCVTIMEO, 16);
    assert.equal(time.readBigInt64LE(8), 40_000n);
    const started = performance.now();
    assert.throws(() => posix.recv(left, Buffer.alloc(1)), { code: 'EAGAIN', syscall: 'recv' });
    assert.ok(performance.now() - started >= 39);
  });

  test('that do not exist are ENOPROTOOPT', (t) => {
    const failure = { code: 'ENOPROTOOPT', syscall: 'getsockopt' };
    assert.throws(() => posix.getsockopt(open(t), SOL_SOCKET, 9999), failure);
    assert.throws(() => posix.setsockopt(open(t), SOL_SOCKET, 9999, 1), { code: 'ENOPROTOOPT' });
  });
});

describe('poll', onLinux({}), () => {
  test('says what happened, and for how many', (t) => {
    const [left, right] = pair(t);
    const { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT } = posix;
    const entries = [
      { fd: left, events: POLLIN | POLLOUT },
      { fd: right, events: POLLIN },
      { fd: -1, events: POLLIN, revents: 77 },
      { fd: 1_000_000, events: POLLIN },
    ];
    assert.equal(posix.poll(entries, 1000), 2);
    assert.deepEqual(
      entries.map(({ revents }) => revents),
      [POLLOUT, 0, 0, POLLNVAL],
    );
    posix.close(left);
    const [entry] = [{ fd: right, events: POLLIN }];
    assert.equal(posix.poll([entry]), 1);
    assert.equal(entry.revents & ~POLLERR, POLLIN | POLLHUP);
  });

  test('waits as long as asked, and for many', (t) => {
    const [left, right] = pair(t);
    const entry = { fd: right, events: posix.POLLIN };
    const started = performance.now();
    assert.equal(posix.poll([entry], 50), 0);
    assert.ok(performance.now() - started >= 49);
    assert.equal(entry.revents, 0);
    assert.equal(posix.poll([], 0), 0);
    posix.send(left, Buffer.from('x'));
    const many = Array.from({ length: 200 }, () => ({ ...entry }));
    assert.equal(posix.poll(many, 1000), 200);
    assert.ok(many.every(({ revents }) => revents === posix.POLLIN));
  });

  test('may be called by a getter of its own entries', (t) => {
    const [left, right] = pair(t);
    posix.send(left, Buffer.from('x'));
    const entries = [
      { fd: right, events: posix.POLLIN },
      {
        get fd() {
          posix.poll(
            [
              { fd: left, events: posix.POLLOUT },
              { fd: left, events: posix.POLLOUT },
            ],
            0,
          );
          return left;
        },
        events: posix.POLLIN,
      },
    ];
    assert.equal(posix.poll(entries, 1000), 1);
    assert.deepEqual(
      entries.map(({ revents }) => revents),
      [posix.POLLIN, 0],
    );
  });
});

test('nothing leaks, whatever fails', onLinux({}), async (t) => {
  const name = { sun_family: AF_UNIX, sun_path: abstractName() };
  const before = countFds();
  for (let round = 0; round < 300; round++) {
    const [left, right] = posix.socketpair(AF_UNIX, SOCK_STREAM);
    const listener = posix.socket(AF_UNIX, SOCK_STREAM, 0);
    posix.bind(listener, name);
    posix.listen(listener);
    const client = posix.socket(AF_UNIX, SOCK_STREAM);
    posix.connect(client, name);
    const server = posix.accept(listener, {});
    assert.throws(() => posix.connect(client, name), { code: 'EISCONN' });
    assert.throws(() => posix.socket(99, 1, 0), { code: 'EAFNOSUPPORT', syscall: 'socket' });
    for (const fd of [left, right, listener, client, server]) posix.close(fd);
    assert.throws(() => posix.close(server), { code: 'EBADF', syscall: 'close' });
  }
  await assertNoLeak(before);
  t.diagnostic(`${before} descriptors`);
});
