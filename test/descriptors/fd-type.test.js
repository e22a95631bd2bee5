'use strict';

// Owns fdType() and what else is known of a descriptor.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketServer, closeFd, fdType, memfd, socketpair } = require('../../lib');
const { describeFd } = require('../../lib/descriptors/describe.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { findPython, skipUnlessPython } = require('../helpers/python.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** A descriptor that is closed when the test ends. */
function opened(t, fd) {
  t.after(() => closeFd(fd));
  return fd;
}

describe('fdType', onLinux({}), () => {
  test('distinguishes Unix sockets', (t) => {
    for (const [type, expected] of [
      [socketpair.SOCK_STREAM, 'unix-stream'],
      [socketpair.SOCK_DGRAM, 'unix-dgram'],
      [socketpair.SOCK_SEQPACKET, 'unix-seqpacket'],
    ]) {
      for (const fd of socketpair(type)) assert.equal(fdType(opened(t, fd)), expected);
    }
  });

  for (const host of ['127.0.0.1', '::1']) {
    test(`knows TCP and UDP on ${host}`, async (t) => {
      const server = net.createServer().listen(0, host);
      t.after(() => server.close());
      await nextEvent(server, 'listening');
      assert.equal(fdType(server._handle.fd), 'tcp');
      const client = net.connect(server.address().port, host);
      t.after(() => client.destroy());
      await nextEvent(client, 'connect');
      assert.equal(fdType(client), 'tcp');

      const udp = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4').bind(0, host);
      t.after(() => udp.close());
      await nextEvent(udp, 'listening');
      assert.equal(fdType(udp), 'udp');
    });
  }

  test('knows files, folders, devices and pipes', (t) => {
    const folder = temporaryFolder(t);
    const file = opened(t, fs.openSync(`${folder}/file`, 'w'));
    assert.equal(fdType(file), 'file');
    assert.equal(fdType(opened(t, memfd('x'))), 'file');
    assert.equal(fdType(opened(t, fs.openSync(folder))), 'directory');
    assert.equal(fdType(opened(t, fs.openSync('/dev/null'))), 'character-device');
    spawnSync('mkfifo', [`${folder}/fifo`]);
    assert.equal(fdType(opened(t, fs.openSync(`${folder}/fifo`, 'r+'))), 'pipe');
  });

  test('knows a symbolic link and a socket file that are only pointed at', (t) => {
    const O_PATH = 0o10000000;
    const folder = temporaryFolder(t);
    fs.symlinkSync('nowhere', `${folder}/link`);
    const flags = O_PATH | fs.constants.O_NOFOLLOW;
    assert.equal(fdType(opened(t, fs.openSync(`${folder}/link`, flags))), 'symlink');
    const socket = new DgramSocket().bind(`${folder}/socket`);
    t.after(() => socket.close());
    const fd = opened(t, fs.openSync(`${folder}/socket`, O_PATH));
    assert.equal(fdType(fd), 'unknown');
    assert.deepEqual(describeFd(fd).listening, false);
  });

  test('knows a terminal', skipUnless('script'), async (t) => {
    const source = `console.log(require(${JSON.stringify(require.resolve('../../lib'))}).fdType(0))`;
    const file = temporaryPath(t, 'ask.js');
    fs.writeFileSync(file, source);
    const command = `'${process.execPath}' '${file}'`;
    const program = startProgram(t, 'script', ['-qec', command, '/dev/null']);
    assert.equal((await program.lines.next()).trim(), 'tty');
  });

  test('calls other sockets and other things by a name too', skipUnlessPython(), () => {
    const script = `
import json, os, select, socket, subprocess, sys
things = [('netlink', socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))]
things.append(('epoll', select.epoll()))
try: things.append(('mptcp', socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)))
except OSError: pass
try: things.append(('ping', socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)))
except OSError: pass
try: things.append(('raw', socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)))
except OSError: pass
code = "const { fdType } = require(process.argv[1]);" \\
       "console.log(JSON.stringify(process.argv.slice(2).map((fd) => fdType(+fd))))"
fds = [thing.fileno() for _, thing in things]
answer = subprocess.run([sys.argv[1], '-e', code, sys.argv[2], *map(str, fds)], pass_fds=fds,
                        capture_output=True, text=True, check=True).stdout
print(json.dumps(dict(zip([name for name, _ in things], json.loads(answer)))))
`;
    const args = ['-c', script, process.execPath, require.resolve('../../lib')];
    const { stdout, stderr } = spawnSync(findPython(), args, { encoding: 'utf8' });
    assert.equal(stderr, '');
    const found = JSON.parse(stdout);
    const expected = {
      netlink: 'socket',
      epoll: 'unknown',
      mptcp: 'tcp',
      ping: 'socket',
      raw: 'socket',
    };
    assert.ok(found.netlink && found.epoll);
    for (const [name, type] of Object.entries(found)) assert.equal(type, expected[name], name);
  });

  test('refuses what is no descriptor, and says EBADF for one that is closed', () => {
    const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    for (const fd of [undefined, null, '0', true, {}, [], 1n]) {
      assert.throws(() => fdType(fd), TYPE);
    }
    for (const fd of [-1, 0.5, NaN, 2 ** 31]) {
      assert.throws(() => fdType(fd), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    }
    const [fd, other] = socketpair();
    closeFd(fd);
    closeFd(other);
    assert.throws(() => fdType(fd), { code: 'EBADF', errno: -9, syscall: 'fstat' });
    assert.throws(() => fdType(new net.Socket()), TYPE);
  });
});

describe('describeFd', onLinux({}), () => {
  test('says whether a socket listens', async (t) => {
    const path = temporaryPath(t);
    const server = new SeqpacketServer().listen(path);
    t.after(() => server.close());
    assert.deepEqual(describeFd(server), {
      type: 'unix-seqpacket',
      listening: true,
      access: fs.constants.O_RDWR,
      ipv6: false,
    });
    const [fd] = socketpair().map((each) => opened(t, each));
    assert.equal(describeFd(fd).listening, false);
    const stream = net.createServer().listen(temporaryPath(t));
    t.after(() => stream.close());
    await nextEvent(stream, 'listening');
    assert.deepEqual(describeFd(stream).type, 'unix-stream');
    assert.equal(describeFd(stream).listening, true);
  });

  test('says how a file was opened', (t) => {
    const path = temporaryPath(t);
    for (const [flags, access] of [
      ['w', fs.constants.O_WRONLY],
      ['r', fs.constants.O_RDONLY],
      ['r+', fs.constants.O_RDWR],
      ['a', fs.constants.O_WRONLY],
    ]) {
      assert.equal(describeFd(opened(t, fs.openSync(path, flags))).access, access, flags);
    }
  });
});
