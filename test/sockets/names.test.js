'use strict';

// Owns what a name means: what it meant when it was given, whatever becomes of the working directory and of
// the descriptors that it leads through, for connections that wait, messages that wait, and later sends.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript, startScript } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { closed, nextEvent, sendTo } = require('../helpers/sockets.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const KINDS = {
  U: [UServer, USocket],
  Seqpacket: [SeqpacketServer, SeqpacketSocket],
};

/** Two folders; the working directory is the first, and is put back when the test ends. */
function twoFolders(t) {
  const folders = [temporaryFolder(t), temporaryFolder(t)];
  const before = process.cwd();
  t.after(() => process.chdir(before));
  process.chdir(folders[0]);
  return folders;
}

/** A server at the path, that notes the connections it gets. */
async function startServer(t, Server, file, options) {
  const server = new Server();
  server.accepted = 0;
  server.on('connection', (socket) => {
    server.accepted++;
    cleanUp(t, socket).resume();
  });
  t.after(() => server.close());
  server.listen({ path: file, ...options });
  if (!server.listening) await nextEvent(server, 'listening');
  return server;
}

/** Ways to name `file` in the first folder, each with what makes that name mean the second folder. */
const WAYS = {
  'a relative name, after chdir()': ([, second]) => {
    return { name: (file) => file, change: () => process.chdir(second) };
  },
  'a relative name with .., after chdir()': ([first, second]) => {
    const inner = path.join(first, 'inner');
    fs.mkdirSync(inner);
    fs.mkdirSync(path.join(second, 'inner'));
    process.chdir(inner);
    return { name: (file) => `../${file}`, change: () => process.chdir(`${second}/inner`) };
  },
  '/proc/self/fd/N, when N is another folder': ([first, second]) => {
    const fd = fs.openSync(first, fs.constants.O_DIRECTORY);
    let other;
    return {
      name: (file) => `/proc/self/fd/${fd}/${file}`,
      change() {
        fs.closeSync(fd);
        other = fs.openSync(second, fs.constants.O_DIRECTORY);
        assert.equal(other, fd);
      },
      end: () => fs.closeSync(other),
    };
  },
  '/proc/self/cwd, after chdir()': ([, second]) => {
    return { name: (file) => `/proc/self/cwd/${file}`, change: () => process.chdir(second) };
  },
};

for (const [way, prepare] of Object.entries(WAYS)) {
  describe(way, onLinux({}), () => {
    for (const [kind, [Server, Socket]] of Object.entries(KINDS)) {
      test(`a ${kind}Socket that waits for a full backlog connects to whom it meant`, async (t) => {
        const folders = twoFolders(t);
        const { name, change, end } = prepare(folders);
        const meant = new Server();
        meant.pause();
        t.after(() => meant.close());
        meant.listen({ path: path.join(folders[0], 's'), backlog: 0 });
        if (!meant.listening) await nextEvent(meant, 'listening');
        const other = await startServer(t, Server, path.join(folders[1], 's'));
        const filler = cleanUp(t, new Socket());
        filler.connect(path.join(folders[0], 's'));
        const waiting = cleanUp(t, new Socket());
        waiting.connect(name('s'));
        change();
        let accepted = 0;
        meant.on('connection', (socket) => {
          accepted++;
          cleanUp(t, socket).resume();
        });
        meant.resume();
        if (waiting.connecting) await nextEvent(waiting, 'connect');
        await until(() => accepted === 2, 'both connections');
        assert.equal(other.accepted, 0);
        end?.();
      });
    }

    test('messages that wait go to whom they were for, and fail rather than go elsewhere', async (t) => {
      const folders = twoFolders(t);
      const { name, change, end } = prepare(folders);
      const file = path.join(folders[0], 'r');
      const [meant, other] = [new DgramSocket().bind(file), new DgramSocket()];
      other.bind(path.join(folders[1], 'r'));
      const sender = new DgramSocket();
      const stray = [];
      other.on('data', (data) => stray.push(String(data)));
      const reported = [];
      const got = [];
      for (let number = 0; number < 30; number++) {
        sender.sendTo(`${number}`, name('r'), (error) =>
          reported.push(error ? error.code : 'sent'),
        );
      }
      change();
      meant.on('data', (data) => got.push(Number(data)));
      await until(() => reported.length === 30, '30 callbacks');
      await until(
        () => got.length === reported.filter((code) => code === 'sent').length,
        'what was sent',
      );
      assert.deepEqual(
        got,
        Array.from({ length: 30 }, (_, number) => number),
      );
      assert.deepEqual(stray, []);
      // The same name now means the other.
      const arrived = nextEvent(other, 'data');
      await sendTo(sender, 'now', name('r'));
      assert.equal(String((await arrived)[0]), 'now');
      end?.();
      await Promise.all([meant, other, sender].map(closed));
    });

    test('a connected DgramSocket looks for its restarted receiver where it was', async (t) => {
      const folders = twoFolders(t);
      const { name, change, end } = prepare(folders);
      const file = path.join(folders[0], 'r');
      const first = new DgramSocket().bind(file);
      const other = new DgramSocket().bind(path.join(folders[1], 'r'));
      const stray = [];
      other.on('data', (data) => stray.push(String(data)));
      const sender = new DgramSocket();
      sender.connect(name('r'));
      await closed(first);
      change();
      const second = new DgramSocket().bind(file);
      const send = (text) => new Promise((done) => sender.send(text, done));
      // One error, as the kernel has it, and then the one that has the name.
      await within(send('lost'), 'a callback');
      const arrived = nextEvent(second, 'data');
      await within(send('found'), 'a callback');
      assert.equal(String((await arrived)[0]), 'found');
      assert.deepEqual(stray, []);
      end?.();
      await Promise.all([second, other, sender].map(closed));
    });

    test('the file of a server and of a bound socket is removed where it was made', async (t) => {
      const folders = twoFolders(t);
      const { name, change, end } = prepare(folders);
      const files = ['u', 's', 'd'];
      // What has those names where the working directory is later stays.
      for (const file of files) fs.writeFileSync(path.join(folders[1], file), 'kept');
      const servers = [new UServer(), new SeqpacketServer()];
      servers.forEach((server, index) => server.listen(name(files[index])));
      for (const server of servers) if (!server.listening) await nextEvent(server, 'listening');
      const socket = new DgramSocket().bind(name('d'));
      const made = () => files.filter((file) => fs.existsSync(path.join(folders[0], file)));
      assert.deepEqual(made(), files);
      change();
      const over = servers.map((server) => nextEvent(server, 'close'));
      for (const server of servers) server.close();
      await Promise.all([...over, closed(socket)]);
      assert.deepEqual(made(), []);
      for (const file of files) {
        assert.equal(fs.readFileSync(path.join(folders[1], file), 'utf8'), 'kept');
      }
      end?.();
    });
  });
}

/** Binds in that folder by a relative name, and reads what has come when a line comes. */
function readWhenTold(_afunix, posixFile, folder) {
  const posix = require(posixFile);
  process.chdir(folder);
  const fd = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM | posix.SOCK_NONBLOCK, 0);
  posix.bind(fd, 'r.sock');
  console.log('bound');
  process.stdin.once('data', () => {
    const got = [];
    const bytes = Buffer.alloc(100);
    try {
      for (;;) got.push(Number(bytes.subarray(0, posix.recv(fd, bytes))));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
    console.log(JSON.stringify(got));
  });
}

describe('what waits for an old peer', onLinux({}), () => {
  test('is not delivered to whoever has its relative name here', async (t) => {
    const folders = twoFolders(t);
    // A peer in another process, bound by a name relative to its own folder. It reads on command.
    const program = startScript(t, readWhenTold, [`${LIB}/posix`, folders[1]]);
    await program.lines.next('the peer to bind');
    const stranger = new DgramSocket().bind('r.sock');
    const strays = [];
    stranger.on('data', (data) => strays.push(String(data)));
    const sender = new DgramSocket();
    sender.connect(path.join(folders[1], 'r.sock'));
    const reported = [];
    for (let number = 0; number < 20; number++) {
      sender.send(`${number}`, (error) => reported.push(error ? error.code : 'sent'));
    }
    const next = new DgramSocket().bind();
    sender.connect(next.address());
    await until(() => reported.length === 20, '20 callbacks');
    program.write('go\n');
    const got = JSON.parse(await program.lines.next());
    assert.deepEqual(strays, []);
    assert.deepEqual(
      got,
      got.map((_, index) => index),
    );
    assert.equal(got.length, reported.filter((code) => code === 'sent').length);
    assert.deepEqual(new Set(reported.slice(got.length)), new Set(['ECANCELED']));
    await Promise.all([stranger, sender, next].map(closed));
    program.end();
    await program.ended();
  });
});

describe('without /proc', onLinux(skipUnless('unshare', 'mount')), () => {
  /** Runs the script where an empty folder hides /proc; undefined where that is not allowed. */
  const runWithoutProc = async (t, script, args) => {
    const probe = startProgram(t, 'unshare', ['-m', 'true']);
    if ((await probe.ended()).code !== 0) return undefined;
    const source = `(${script})(require(${JSON.stringify(LIB)}), ...JSON.parse(process.argv[1]))`;
    const command = 'mount -t tmpfs none /proc && exec "$0" "$@"';
    const node = [process.execPath, '--eval', source, JSON.stringify(args)];
    const program = startProgram(t, 'unshare', ['-m', 'sh', '-c', command, ...node]);
    const { code, stdout, stderr } = await program.ended();
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };

  test('ordinary names work, and what needs /proc is ENAMETOOLONG', async (t) => {
    const script = async ({ DgramSocket, UServer, USocket }, folder) => {
      const { once } = require('node:events');
      process.chdir(folder);
      const server = new UServer((socket) => socket.end('served')).listen('s');
      await once(server, 'listening');
      const client = new USocket('s');
      const [data] = await once(client, 'data');
      server.close();
      const receiver = new DgramSocket().bind('d');
      const sender = new DgramSocket();
      const got = [];
      receiver.on('data', (message) => got.push(String(message)));
      for (const number of Array(30).keys()) sender.sendTo(`${number}`, 'd');
      while (got.length < 30) await once(receiver, 'data');
      sender.connect('d');
      await new Promise((done) => sender.send('connected', done));
      const long = `${folder}/${'x'.repeat(150)}/s`;
      const { code } = await new Promise((done) => sender.sendTo('x', long, done));
      const failed = new USocket();
      failed.connect(long);
      const [error] = await once(failed, 'error');
      receiver.close();
      sender.close();
      console.log(JSON.stringify([String(data), got.length >= 30, code, error.code]));
    };
    const found = await runWithoutProc(t, script, [temporaryFolder(t)]);
    if (found === undefined) return t.skip('no mount namespace here');
    assert.deepEqual(found, ['served', true, 'ENAMETOOLONG', 'ENAMETOOLONG']);
  });
});

test('a working directory that is removed: ENOENT, and nothing else', onLinux({}), async (t) => {
  const script = async ({ DgramSocket, USocket }) => {
    const { once } = require('node:events');
    const fs = require('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/gone-`);
    process.chdir(folder);
    fs.rmdirSync(folder);
    const codes = [];
    const sender = new DgramSocket();
    codes.push((await new Promise((done) => sender.sendTo('x', 'r', done))).code);
    const client = new USocket('r');
    codes.push((await once(client, 'error'))[0].code);
    try {
      sender.bind('r');
    } catch ({ code }) {
      codes.push(code);
    }
    sender.close();
    console.log(JSON.stringify(codes));
  };
  assert.deepEqual(await runScript(t, script), ['ENOENT', 'ENOENT', 'ENOENT']);
});
