'use strict';

// Owns what every host of Node-API can do with this package: a program that ends with code 0 if it works. Its
// argument is the folder lib/; it uses nothing that Bun or Deno lack.

const assert = require('node:assert/strict');
const fs = require('node:fs');

const lib = process.argv[2];
const posix = require(`${lib}/posix`);
const descriptors = require(`${lib}/descriptors`);
const socketpair = require(`${lib}/descriptors/socketpair`);

const { closeFd, dup, fdType, fileHandle, listenFds, memfd, sdNotify } = descriptors;

function exchange() {
  const [left, right] = posix.socketpair('seqpacket');
  const room = Buffer.alloc(9);
  posix.send(left, new SharedArrayBuffer(4));
  assert.equal(posix.recv(right, room), 4);
  posix.send(right, new TextEncoder().encode('hello'));
  assert.equal(room.toString('utf8', 0, posix.recv(left, room)), 'hello');
  assert.throws(() => posix.recv(left, room, 10), { code: 'ERR_BUFFER_OUT_OF_BOUNDS' });
  [left, right].forEach(posix.close);
  assert.throws(() => posix.recv(left, room), { code: 'EBADF', errno: -9, syscall: 'recv' });
}

function exchangeByName() {
  const [server, client] = [posix.socket('unix', 'dgram'), posix.socket('unix', 'dgram')];
  const names = [`\0afunix-host-${process.pid}`, `\0afunix-host-${process.pid}-client`];
  posix.bind(server, names[0]);
  posix.bind(client, names[1]);
  posix.sendto(client, Buffer.from('x'), 1, 0, names[0]);
  const from = {};
  assert.equal(posix.recvfrom(server, Buffer.alloc(9), 9, 0, from), 1);
  assert.deepEqual(from, { sun_family: posix.AF_UNIX, sun_path: names[1] });
  [server, client].forEach(posix.close);
}

function passDescriptors() {
  const [left, right] = socketpair('dgram');
  assert.equal(fdType(left), 'unix-dgram');
  const file = memfd('in memory', { seal: true });
  posix.sendmsg(left, { iov: Buffer.from('x'), fds: [file, { fd: file }] });
  const { fds } = posix.recvmsg(right, { iov: Buffer.alloc(1) });
  // Deno's fs knows no descriptor that it did not open.
  assert.match(fs.readlinkSync(`/proc/self/fd/${fds[0]}`), /^\/memfd:/);
  const copy = dup(fds[1]);
  assert.equal(posix.fcntl(copy, posix.F_GETFD), posix.FD_CLOEXEC);
  [left, right, file, copy, ...fds].forEach((fd) => closeFd(fd));
  assert.throws(() => closeFd(file), { code: 'EBADF' });
  assert.throws(() => dup({ fd: 2 ** 32 }), { code: 'ERR_OUT_OF_RANGE' });
}

function wait() {
  const [read, write] = posix.pipe();
  assert.equal(posix.poll([{ fd: read, events: posix.POLLIN }], 0), 0);
  posix.close(write);
  assert.equal(posix.poll([{ fd: read, events: posix.POLLIN }]), 1);
  posix.close(read);
}

async function main() {
  exchange();
  exchangeByName();
  passDescriptors();
  wait();
  delete process.env.NOTIFY_SOCKET;
  assert.deepEqual([listenFds(), sdNotify('READY=1')], [[], false]);
  const handle = await fileHandle(memfd('by a handle'));
  assert.equal(await handle.readFile('utf8'), 'by a handle');
  await handle.close();
  if (process.versions.bun !== undefined || process.versions.deno !== undefined) {
    assert.throws(() => require(lib), { code: 'ERR_AFUNIX_HOST', message: /afunix\/descriptors/ });
  } else {
    assert.equal(typeof require(lib).USocket, 'function');
  }
}

main();
