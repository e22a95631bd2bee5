'use strict';

// Owns afunix/posix against others: Python's socket module (helpers/peer-posix.py), and the package
// posix-socket, whose own examples have to run with it unchanged.

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { DgramSocket } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB } = require('../helpers/node.js');
const { open, own, receive } = require('../helpers/posix.js');
const { findProgram, onLinux, startProgram } = require('../helpers/programs.js');
const { skipUnlessPython, startPython } = require('../helpers/python.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } = posix;

const SCRIPT = path.join(__dirname, '..', 'helpers', 'peer-posix.py');

/** For each family: an address as Python has it. */
const ADDRESSES = {
  'a path': (t) => temporaryPath(t),
  'an abstract name': () => abstractName(),
  IPv4: () => ['127.0.0.1', 0],
  IPv6: () => ['::1', 0],
};

/** The same as an address object. */
function objectOf(address) {
  if (typeof address === 'string') return { sun_family: AF_UNIX, sun_path: address };
  const [host, port] = address;
  return host.includes(':')
    ? {
        sin6_family: AF_INET6,
        sin6_port: port,
        sin6_flowinfo: 0,
        sin6_addr: host,
        sin6_scope_id: 0,
      }
    : { sin_family: AF_INET, sin_port: port, sin_addr: host };
}

const domainOf = (addr) => addr.sun_family ?? addr.sin_family ?? addr.sin6_family;
const start = (t, role, address) => startPython(t, SCRIPT, [role, JSON.stringify(address)]);

describe('Python', onLinux(skipUnlessPython()), () => {
  for (const [family, make] of Object.entries(ADDRESSES)) {
    test(`serves us, by ${family}`, async (t) => {
      const program = start(t, 'serve', make(t));
      const addr = objectOf(JSON.parse(await program.lines.next()));
      const sockfd = open(t, domainOf(addr));
      posix.connect(sockfd, addr);
      assert.deepEqual(posix.getpeername(sockfd), addr);
      posix.send(sockfd, Buffer.from('hello'));
      assert.equal(receive(sockfd), 'HELLO');
      posix.shutdown(sockfd, posix.SHUT_WR);
      assert.equal(receive(sockfd), '');
      assert.equal((await program.ended()).code, 0);
    });

    test(`connects to us, by ${family}`, async (t) => {
      const addr = objectOf(make(t));
      const listener = open(t, domainOf(addr));
      posix.bind(listener, addr);
      posix.listen(listener, 5);
      const bound = posix.getsockname(listener);
      const address = bound.sun_path ?? [
        bound.sin_addr ?? bound.sin6_addr,
        bound.sin_port ?? bound.sin6_port,
      ];
      const program = start(t, 'connect', address);
      const peer = {};
      const sockfd = own(t, posix.accept(listener, peer));
      assert.deepEqual(peer, objectOf(JSON.parse(await program.lines.next())));
      posix.send(sockfd, Buffer.from('hello'));
      assert.equal(receive(sockfd), 'HELLO');
      posix.close(sockfd);
      assert.equal((await program.ended()).code, 0);
    });

    test(`answers datagrams, by ${family}`, async (t) => {
      const program = start(t, 'datagram', make(t));
      const addr = objectOf(JSON.parse(await program.lines.next()));
      const sockfd = open(t, domainOf(addr), SOCK_DGRAM);
      posix.bind(sockfd, objectOf(make(t)));
      posix.sendto(sockfd, Buffer.from('hello'), 5, 0, addr);
      const from = {};
      const room = Buffer.alloc(9);
      assert.equal(posix.recvfrom(sockfd, room, 9, 0, from), 5);
      assert.equal(room.toString('utf8', 0, 5), 'HELLO');
      assert.deepEqual(from, addr);
    });
  }

  test('gets descriptors from us, and sends us some', async (t) => {
    const program = start(t, 'serve', abstractName());
    const addr = objectOf(JSON.parse(await program.lines.next()));
    const sockfd = open(t, AF_UNIX, SOCK_STREAM);
    posix.connect(sockfd, addr);
    const { paths, texts } = makeFiles(t, 3);
    const fds = paths.map((file) => fs.openSync(file));
    posix.sendmsg(sockfd, { iov: Buffer.from('x'), fds });
    for (const fd of fds) posix.close(fd);
    const room = Buffer.alloc(1000);
    const received = posix.recvmsg(sockfd, { iov: room });
    assert.equal(room.toString('utf8', 0, received.size), texts.join(''));
    assert.deepEqual(readAndClose(received.fds), ['from Python']);
  });
});

/**
 * The package posix-socket in its last version: what bench/ has installed, or else what npm fetches.
 * Nothing of it is run.
 */
function findPackage() {
  const installed = path.join(__dirname, '..', '..', 'bench', 'node_modules', 'posix-socket');
  if (fs.existsSync(path.join(installed, 'README.md'))) return { folder: installed, remove() {} };
  if (findProgram('npm') === null) return { reason: 'not installed: npm' };
  const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'afunix-posix-socket-'));
  const remove = () => fs.rmSync(folder, { recursive: true, force: true });
  const packed = spawnSync('npm', ['pack', '--silent', 'posix-socket@1.1.4'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 30_000,
  });
  if (packed.status !== 0) {
    remove();
    return { reason: 'npm cannot fetch posix-socket' };
  }
  execFileSync('tar', ['-xzf', packed.stdout.trim()], { cwd: folder });
  return { folder: path.join(folder, 'package'), remove };
}

const { folder: RIVAL, reason, remove = () => {} } = findPackage();
process.once('exit', remove);

describe('posix-socket', onLinux({ skip: reason ?? false }), () => {
  test('has no call or constant that we lack', () => {
    const source = fs.readFileSync(path.join(RIVAL, 'src', 'main.cpp'), 'utf8');
    const found = [...source.matchAll(/exports->Set\(context, [^"]*"(\w+)"/g)];
    const names = new Set(found.map(([, name]) => name));
    assert.ok(names.size > 100);
    for (const name of ['socket', 'recvfrom', 'AF_INET6', 'SO_PEERCRED']) {
      assert.ok(names.has(name));
    }
    // The headers that it includes do not have this one on Linux.
    names.delete('IPV6_FLOWINFO');
    for (const name of names) assert.ok(name in posix, `there is no ${name}`);
  });

  test('has examples that run with this package, all but the name unchanged', async (t) => {
    const readme = fs.readFileSync(path.join(RIVAL, 'README.md'), 'utf8');
    const examples = [...readme.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code]) => code);
    assert.equal(examples.length, 2);
    const folder = temporaryFolder(t);
    fs.mkdirSync(path.join(folder, 'node_modules'));
    fs.symlinkSync(path.join(LIB, '..'), path.join(folder, 'node_modules', 'afunix'));
    const files = examples.map((code, index) => {
      assert.ok(code.includes('require("posix-socket")'));
      const file = path.join(folder, `${index}.cjs`);
      fs.writeFileSync(file, code.replace('require("posix-socket")', 'require("afunix/posix")'));
      return file;
    });
    // They meet at a path that they name: one at a time, on this machine.
    const socketPath = '/tmp/yo.sock';
    const turn = new DgramSocket();
    t.after(() => turn.close());
    await until(() => {
      try {
        return turn.bind('\0afunix-test-posix-socket');
      } catch (error) {
        if (error.code !== 'EADDRINUSE') throw error;
        return false;
      }
    }, 'the turn to use /tmp/yo.sock');
    fs.rmSync(socketPath, { force: true });
    t.after(() => fs.rmSync(socketPath, { force: true }));

    const server = startProgram(t, process.execPath, [files[0]], { cwd: folder });
    const table = () => fs.readFileSync('/proc/net/unix', 'utf8').split('\n');
    // The flags in the fourth column say whether it listens.
    const listens = (line) =>
      line.endsWith(` ${socketPath}`) && line.split(/\s+/)[3] === '00010000';
    await until(() => table().some(listens), 'the server to listen');
    const client = await startProgram(t, process.execPath, [files[1]], { cwd: folder }).ended();
    assert.deepEqual([client.code, client.stderr], [0, '']);
    const { code, stdout, stderr } = await server.ended();
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /connection accepted from \{ sun_family: 1, sun_path: '' \}/);
    assert.match(stdout, /got: <HelloWorld!\0*>/);
    assert.ok(!fs.existsSync(socketPath));
  });
});
