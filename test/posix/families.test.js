'use strict';

// Owns addresses of afunix/posix other than the three that have members of their own: other families, names
// as strings; and names in place of the constants of socket(2).

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { fileURLToPath, pathToFileURL } = require('node:url');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { open, own, receive } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const { AF_INET, AF_NETLINK, AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } = posix;

/** RTM_GETLINK for all interfaces, as rtnetlink(7) has it: answered by at least the loopback's. */
function linksRequest() {
  const request = Buffer.alloc(20);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(18, 4);
  request.writeUInt16LE(0x301, 6); // NLM_F_REQUEST, NLM_F_DUMP
  return request;
}

/** What the kernel's own address is: no port, no groups. */
const KERNEL = { sa_family: AF_NETLINK, sa_data: Buffer.alloc(10) };

describe('a socket of another family', onLinux({}), () => {
  test('loses no message for its address', (t) => {
    const socket = open(t, AF_NETLINK, SOCK_DGRAM);
    const room = Buffer.alloc(65536);
    posix.send(socket, linksRequest());
    const from = { sun_family: AF_UNIX, sun_path: 'of an earlier call', note: 'mine' };
    const size = posix.recvfrom(socket, room, room.length, 0, from);
    assert.ok(size > 16);
    assert.equal(room.readUInt16LE(4), 16, 'RTM_NEWLINK');
    assert.deepEqual(from, { note: 'mine', ...KERNEL });

    const message = posix.recvmsg(socket, { iov: room });
    assert.ok(message.size > 0);
    assert.deepEqual(message.address, KERNEL);
  });

  test('is bound and asked for its name', (t) => {
    const socket = open(t, AF_NETLINK, SOCK_DGRAM);
    // struct sockaddr_nl behind the family: padding, port, groups.
    const sa_data = Buffer.alloc(10);
    sa_data.writeUInt32LE(0x7fff0000 + (process.pid & 0xffff), 2);
    posix.bind(socket, { sa_family: AF_NETLINK, sa_data });
    assert.deepEqual(posix.getsockname(socket), { sa_family: AF_NETLINK, sa_data });
  });

  test('sends to an address', (t) => {
    const socket = open(t, AF_NETLINK, SOCK_DGRAM);
    const room = Buffer.alloc(65536);
    for (const send of [
      () => posix.sendto(socket, linksRequest(), undefined, 0, KERNEL),
      () => posix.sendmsg(socket, { iov: linksRequest(), address: KERNEL }),
    ]) {
      assert.equal(send(), 20);
      // NLMSG_DONE ends the answer.
      do assert.ok(posix.recv(socket, room) > 0);
      while (room.readUInt16LE(4) !== 3);
    }
    posix.connect(socket, KERNEL);
    posix.connect(socket, { sa_family: posix.AF_UNSPEC, sa_data: Buffer.alloc(0) });
    const nobody = { sa_family: AF_NETLINK, sa_data: Buffer.alloc(1) };
    assert.throws(() => posix.connect(socket, nobody), { code: 'EINVAL', syscall: 'connect' });
  });
});

/** A URL as test runners have them: of another class. */
function ofAnotherRealm({ href, protocol, hostname, pathname }) {
  return { href, protocol, hostname, pathname };
}

describe('the name of a Unix socket', onLinux({}), () => {
  test('stands for its address: string, Buffer, URL, abstract', (t) => {
    for (const name of [
      temporaryPath(t),
      Buffer.from(temporaryPath(t)),
      pathToFileURL(temporaryPath(t, 'mit grüßen')),
      ofAnotherRealm(pathToFileURL(temporaryPath(t))),
      abstractName(),
    ]) {
      const [receiver, sender] = [open(t, 'unix', 'dgram'), open(t, 'unix', 'dgram')];
      posix.bind(receiver, name);
      assert.deepEqual(posix.getsockname(receiver), {
        sun_family: AF_UNIX,
        sun_path: name.href === undefined ? String(name) : fileURLToPath(name),
      });
      posix.sendto(sender, Buffer.from('by sendto'), undefined, 0, name);
      posix.sendmsg(sender, { iov: Buffer.from('by sendmsg'), address: name });
      posix.connect(sender, name);
      posix.send(sender, Buffer.from('connected'));
      assert.deepEqual(
        [receive(receiver), receive(receiver), receive(receiver)],
        ['by sendto', 'by sendmsg', 'connected'],
      );
    }
  });

  test('is in the Error', (t) => {
    const [socket, path] = [open(t), temporaryPath(t)];
    const failure = { code: 'ENOENT', syscall: 'connect', path };
    assert.throws(() => posix.connect(socket, path), failure);
    fs.writeFileSync(path, '');
    assert.throws(() => posix.bind(socket, path), { code: 'EADDRINUSE', syscall: 'bind', path });
    const long = `/${'n'.repeat(200)}`;
    assert.throws(() => posix.connect(socket, long), { code: 'ENAMETOOLONG', path: long });
  });
});

describe('names of families and types', onLinux({}), () => {
  const typeOf = (fd) => posix.getsockopt(fd, posix.SOL_SOCKET, posix.SO_TYPE);
  const domainOf = (fd) => posix.getsockopt(fd, posix.SOL_SOCKET, posix.SO_DOMAIN);

  test('stand for their numbers in socket()', (t) => {
    for (const [domain, type, expected] of [
      ['unix', 'seqpacket', [AF_UNIX, SOCK_SEQPACKET]],
      ['inet', 'stream', [AF_INET, SOCK_STREAM]],
      ['inet', SOCK_DGRAM, [AF_INET, SOCK_DGRAM]],
      [AF_UNIX, 'dgram', [AF_UNIX, SOCK_DGRAM]],
    ]) {
      const fd = own(t, posix.socket(domain, type));
      assert.deepEqual([domainOf(fd), typeOf(fd)], expected);
    }
  });

  test('stand for their numbers in socketpair(), a type also alone', (t) => {
    for (const [args, expected] of [
      [['unix', 'seqpacket'], SOCK_SEQPACKET],
      [[AF_UNIX, 'dgram', 0], SOCK_DGRAM],
      [['seqpacket'], SOCK_SEQPACKET],
      [['stream'], SOCK_STREAM],
    ]) {
      const fds = posix.socketpair(...args).map((fd) => own(t, fd));
      assert.deepEqual(fds.map(typeOf), [expected, expected]);
    }
  });

  test('are refused where there are no such', () => {
    const domains = /one of 'unix', 'inet', 'inet6'/;
    for (const [call, message] of [
      [() => posix.socket('UNIX', 'stream'), domains],
      [() => posix.socket('stream', 'stream'), domains],
      [() => posix.socket('unix', 'unix'), /one of 'stream', 'dgram', 'seqpacket'/],
      [() => posix.socketpair('dgram', 'dgram'), domains],
      [() => posix.socketpair('raw'), domains],
    ]) {
      assert.throws(call, { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message });
    }
  });
});
