'use strict';

// Owns bind: names of every kind, permissions, and what happens to files in the way and to our own.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const { once } = require('node:events');
const { dirname } = require('node:path');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { Worker } = require('node:worker_threads');
const { DgramSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript, startReceiver, startStalled } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { skipUnlessPython, startPython } = require('../helpers/python.js');
const { closed, inbox, leaveDeadFile, openSocket, sendTo } = require('../helpers/sockets.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { Queue, until } = require('../helpers/wait.js');

assertNoLeaks();

/** Checks that a message gets from one socket to another's name, and back to the sender's. */
async function assertReaches(t, socket, name) {
  const messages = inbox(socket);
  const sender = openSocket(t);
  await sendTo(sender, 'hello', name);
  assert.equal(String((await messages.next()).data), 'hello');
}

/** A path of exactly so many bytes, in a folder of the test's own. */
function pathOfLength(t, length) {
  const folder = temporaryFolder(t);
  return `${folder}/${'n'.repeat(length - folder.length - 1)}`;
}

const IN_USE = { code: 'EADDRINUSE', syscall: 'bind' };

describe('a name', () => {
  test('is a path, given as string, Buffer, URL or option', async (t) => {
    const path = temporaryPath(t, 'with space%20ü');
    for (const form of [path, Buffer.from(path), pathToFileURL(path), { path }]) {
      const socket = openSocket(t);
      assert.equal(socket.address(), '');
      assert.equal(socket.bind(form), socket);
      assert.equal(socket.address(), path);
      assert.ok(fs.lstatSync(path).isSocket());
      await assertReaches(t, socket, path);
      await closed(socket);
      assert.equal(fs.existsSync(path), false);
    }
  });

  test('may be abstract, and leaves no file', onLinux({}), async (t) => {
    for (const name of [abstractName(), `${abstractName()}\0\0inner`, '\0'.padEnd(108, 'x')]) {
      for (const form of [name, Buffer.from(name)]) {
        const socket = openSocket(t).bind(form);
        assert.equal(socket.address(), name);
        assert.throws(() => openSocket(t).bind(form), { ...IN_USE, path: name });
        await assertReaches(t, socket, name);
        await closed(socket);
      }
    }
  });

  test('is chosen by the kernel where none is given', onLinux({}), async (t) => {
    for (const args of [[], [undefined], [null], [{}], [undefined, {}]]) {
      const socket = openSocket(t).bind(...args);
      const name = socket.address();
      assert.match(name, /^\0[0-9a-f]{5}$/);
      await assertReaches(t, socket, name);
    }
  });

  test('of 107 bytes fits, in bind, sendTo, connect and as a sender', async (t) => {
    const path = pathOfLength(t, 107);
    const socket = openSocket(t).bind(path);
    assert.equal(socket.address(), path);
    const messages = inbox(socket);
    const from = pathOfLength(t, 107);
    await sendTo(openSocket(t).bind(from).connect(path), 'x', path);
    assert.equal((await messages.next()).path, from);
    await closed(socket);
    assert.equal(fs.existsSync(path), false);
  });

  for (const [kind, makeName] of [
    ['a path of 108 bytes', (t) => pathOfLength(t, 108)],
    ['a path of 108 bytes in fewer characters', (t) => pathOfLength(t, 106).replace(/n$/, '€')],
    ['a path of 5000 bytes', (t) => pathOfLength(t, 5000)],
    ['an abstract name of 109 bytes', () => '\0'.padEnd(109, 'x')],
  ]) {
    test(`too long to bind to is ENAMETOOLONG: ${kind}`, onLinux({}), async (t) => {
      const name = makeName(t);
      const socket = openSocket(t);
      assert.throws(() => socket.bind(name), { code: 'ENAMETOOLONG', syscall: 'bind' });
      assert.throws(() => socket.bind(Buffer.from(name)), { code: 'ENAMETOOLONG' });
      // Peers with long names can be reached: of them only what the system itself refuses is too long.
      const code = name[0] === '/' && name.length < 4000 ? 'ENOENT' : 'ENAMETOOLONG';
      assert.throws(() => socket.connect(name), { code, syscall: 'connect' });
      await assert.rejects(sendTo(socket, 'x', name), { code, syscall: 'sendmsg' });
      assert.equal(socket.address(), '');
      await assertReaches(t, socket.bind(temporaryPath(t)), socket.address());
    });
  }

  test('may have no permissions where it has no file', onLinux({}), async (t) => {
    const socket = openSocket(t);
    for (const option of ['mode', 'uid', 'gid']) {
      const error = { code: 'ERR_INVALID_ARG_VALUE', message: /needs a path/ };
      assert.throws(() => socket.bind(abstractName(), { [option]: 0 }), error);
      assert.throws(() => socket.bind(undefined, { [option]: 0 }), error);
    }
    assert.equal(socket.address(), '');
  });

  test('is named in errors as a path, whatever form it was given in', (t) => {
    const path = `${temporaryFolder(t)}/no folder/a.sock`;
    for (const form of [path, Buffer.from(path), pathToFileURL(path), { path }]) {
      const message = `ENOENT: no such file or directory, bind ${path}`;
      const socket = openSocket(t);
      assert.throws(() => socket.bind(form), { code: 'ENOENT', syscall: 'bind', path, message });
    }
  });

  test('is given once; a bind that failed can be repeated', async (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t);
    assert.throws(() => socket.bind(`${path}/x`), { code: 'ENOENT', path: `${path}/x` });
    socket.bind(path);
    for (const args of [[path], [`${path}2`], []]) {
      assert.throws(() => socket.bind(...args), { code: 'ERR_SOCKET_ALREADY_BOUND' });
    }
    assert.equal(socket.address(), path);
  });

  test('may be relative: the file is removed although the process went elsewhere', async (t) => {
    const folder = temporaryFolder(t);
    fs.mkdirSync(`${folder}/elsewhere`);
    fs.writeFileSync(`${folder}/elsewhere/a.sock`, 'another');
    const address = await runScript(
      t,
      ({ DgramSocket: Socket }, start) => {
        process.chdir(start);
        const socket = new Socket().bind('a.sock');
        process.chdir('elsewhere');
        console.log(JSON.stringify(socket.address()));
        socket.close();
      },
      [folder],
    );
    assert.equal(address, 'a.sock');
    assert.deepEqual(fs.readdirSync(folder), ['elsewhere']);
    assert.equal(fs.readFileSync(`${folder}/elsewhere/a.sock`, 'latin1'), 'another');
  });
});

describe('mode', () => {
  for (const umask of [0o000, 0o022, 0o077, 0o777]) {
    test(`is exact under the umask ${umask.toString(8)}`, async (t) => {
      const modes = [undefined, 0o000, 0o600, 0o660, 0o666, 0o777, 0o640, 0o700];
      const found = await runScript(
        t,
        ({ DgramSocket: Socket }, folder, mask, wanted) => {
          process.umask(mask);
          const results = wanted.map((mode, index) => {
            const path = `${folder}/${index}`;
            const socket = new Socket();
            if (mode === null) socket.bind(path);
            else if (index % 2 === 0) socket.bind(path, { mode });
            else socket.bind({ path, mode });
            const { statSync } = require('node:fs');
            const result = statSync(path).mode & 0o7777;
            socket.close();
            return result;
          });
          console.log(JSON.stringify(results));
        },
        [temporaryFolder(t), umask, modes],
      );
      // The kernel's own mode for a socket file is 0777, less the umask.
      const expected = modes.map((mode) => mode ?? 0o777 & ~umask);
      assert.deepEqual(
        found.map((mode) => mode.toString(8)),
        expected.map((mode) => mode.toString(8)),
      );
    });
  }

  test('is never wider than asked, not even for a moment', async (t) => {
    const path = temporaryPath(t);
    // Of the file's modes that the watcher saw: how often it looked, and all bits.
    const seen = new Int32Array(new SharedArrayBuffer(8));
    const watcher = new Worker(
      `const { statSync } = require('node:fs');
      const { workerData: { path, seen }, parentPort } = require('node:worker_threads');
      parentPort.postMessage('watching');
      for (;;) {
        const found = statSync(path, { throwIfNoEntry: false });
        if (found) {
          seen[0]++;
          seen[1] |= found.mode & 0o777;
        }
      }`,
      { eval: true, workerData: { path, seen } },
    );
    t.after(() => watcher.terminate());
    await once(watcher, 'message');
    const umask = process.umask(0);
    try {
      await until(() => {
        for (let round = 0; round < 500; round++) {
          new DgramSocket().bind(path, { mode: 0o600 }).close();
        }
        return seen[0] > 5000;
      }, 'the watcher to look often enough');
    } finally {
      process.umask(umask);
    }
    assert.equal(seen[1].toString(8), '600');
  });
});

describe('a file in the way', () => {
  /** Tries to bind there: EADDRINUSE, and the file is the same afterwards. */
  function assertRefused(t, path) {
    const identity = ({ ino, mode, ctimeMs }) => ({ ino, mode, ctimeMs });
    const before = identity(fs.lstatSync(path));
    const names = fs.readdirSync(dirname(path));
    const socket = openSocket(t);
    assert.throws(() => socket.bind(path), { ...IN_USE, path });
    assert.throws(() => socket.bind(path, { mode: 0o600 }), IN_USE);
    assert.deepEqual(identity(fs.lstatSync(path)), before);
    assert.deepEqual(fs.readdirSync(dirname(path)), names);
  }

  for (const [kind, leave] of [
    ['datagram', leaveDeadFile],
    [
      'stream',
      async (path) => {
        const server = net.createServer().listen(`${path}~`);
        await once(server, 'listening');
        fs.linkSync(`${path}~`, path);
        server.close();
        await once(server, 'close');
      },
    ],
  ]) {
    test(`that is a dead ${kind} socket is replaced`, async (t) => {
      const path = temporaryPath(t);
      await leave(path);
      assert.ok(fs.lstatSync(path).isSocket());
      const dead = fs.lstatSync(path).ino;
      // Another name for it, so that the new file cannot have its inode.
      fs.linkSync(path, `${path}2`);
      const socket = openSocket(t).bind(path, { mode: 0o640 });
      assert.notEqual(fs.lstatSync(path).ino, dead);
      assert.equal(fs.lstatSync(path).mode & 0o777, 0o640);
      await assertReaches(t, socket, path);
      assert.deepEqual(fs.readdirSync(dirname(path)).sort(), ['a.sock', 'a.sock2']);
      await closed(socket);
      assert.deepEqual(fs.readdirSync(dirname(path)), ['a.sock2']);
    });
  }

  test('that is the dead socket of a killed process is replaced, at 107 bytes too', async (t) => {
    const path = pathOfLength(t, 107);
    const receiver = await startReceiver(t, path);
    await receiver.kill();
    assert.ok(fs.lstatSync(path).isSocket());
    await assertReaches(t, openSocket(t).bind(path), path);
  });

  test('that nobody can look at, for want of descriptors, is EMFILE', onLinux({}), async (t) => {
    const path = temporaryPath(t);
    await leaveDeadFile(path);
    const script = `
      const fs = require('node:fs');
      const { DgramSocket } = require(process.argv[1]);
      const socket = new DgramSocket();
      let code;
      const open = [];
      try {
        for (;;) open.push(fs.openSync('/dev/null'));
      } catch (error) {
        code = error.code;
      }
      try {
        socket.bind(process.argv[2]);
      } catch (error) {
        console.log(code, error.code, error.path === process.argv[2]);
      }
      fs.closeSync(open.pop());
      process.exit();`;
    const limited = ['-c', 'ulimit -n 64 && exec "$0" "$@"', process.execPath, '-e', script];
    const printed = execFileSync('sh', [...limited, LIB, path], { encoding: 'utf8' });
    assert.equal(printed, 'EMFILE EMFILE true\n');
    assert.ok(fs.lstatSync(path).isSocket());
  });

  test('that is a living datagram socket is left alone', async (t) => {
    const path = temporaryPath(t);
    const owner = openSocket(t).bind(path);
    assertRefused(t, path);
    await assertReaches(t, owner, path);
  });

  test('that is a living datagram socket, connected elsewhere, is left alone', async (t) => {
    const path = temporaryPath(t);
    const other = openSocket(t).bind(`${path}-other`);
    const owner = openSocket(t).bind(path).connect(`${path}-other`);
    assertRefused(t, path);
    const messages = inbox(owner);
    await sendTo(other, 'hello', path);
    assert.equal(String((await messages.next()).data), 'hello');
  });

  test('that is a living datagram socket with a full queue is left alone', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const sender = openSocket(t);
    for (let count = 0; count < 20; count++) sender.sendTo('x', receiver.name);
    assert.ok(sender.writableLength > 0, 'the queue is not full');
    assertRefused(t, receiver.name);
    receiver.resume();
    assert.equal((await receiver.texts(20)).length, 20);
  });

  test('that is a living stream socket is left alone', async (t) => {
    const path = temporaryPath(t);
    const server = net.createServer((connection) => connection.end('served')).listen(path);
    t.after(() => server.close());
    await once(server, 'listening');
    assertRefused(t, path);
    assert.equal(String((await once(net.connect(path), 'data'))[0]), 'served');
  });

  for (const type of ['SOCK_STREAM', 'SOCK_SEQPACKET']) {
    for (const listens of [true, false]) {
      const name = `that is a living ${type} socket, ${listens ? 'full' : 'not listening'}`;
      test(`${name}, is left alone`, onLinux(skipUnlessPython()), async (t) => {
        const path = temporaryPath(t);
        const script = `
import socket, sys
server = socket.socket(socket.AF_UNIX, socket.${type})
server.bind(sys.argv[1])
if ${listens ? 'True' : 'False'}:
    server.listen(0)
    waiting = socket.socket(socket.AF_UNIX, socket.${type})
    waiting.connect(sys.argv[1])
print("bound")
sys.stdin.read()`;
        fs.writeFileSync(`${path}.py`, script);
        const program = startPython(t, `${path}.py`, [path]);
        await program.lines.next('Python to bind');
        assertRefused(t, path);
      });
    }
  }

  test('that is no socket is left alone', (t) => {
    const folder = temporaryFolder(t);
    openSocket(t).bind(`${folder}/living`);
    fs.writeFileSync(`${folder}/file`, 'precious');
    fs.mkdirSync(`${folder}/directory`);
    execFileSync('mkfifo', [`${folder}/fifo`]);
    for (const name of ['file', 'directory', 'fifo']) assertRefused(t, `${folder}/${name}`);
    assert.equal(fs.readFileSync(`${folder}/file`, 'latin1'), 'precious');
  });

  test('that is a symbolic link is left alone, whatever it leads to', async (t) => {
    const folder = temporaryFolder(t);
    openSocket(t).bind(`${folder}/living`);
    await leaveDeadFile(`${folder}/gone`);
    fs.writeFileSync(`${folder}/file`, 'precious');
    const targets = ['living', 'gone', 'file', 'nothing'];
    for (const target of targets) {
      fs.symlinkSync(target, `${folder}/to-${target}`);
      assertRefused(t, `${folder}/to-${target}`);
      assert.equal(fs.readlinkSync(`${folder}/to-${target}`), target);
    }
    const links = targets.map((target) => `to-${target}`);
    assert.deepEqual(fs.readdirSync(folder).sort(), ['file', 'gone', 'living', ...links].sort());
  });

  test('is replaced by exactly one of many who try at once', async (t) => {
    const folder = temporaryFolder(t);
    const path = `${folder}/a.sock`;
    const [COUNT, ROUNDS] = [4, 40];
    const phase = new Int32Array(new SharedArrayBuffer(4));
    const results = new Queue();
    for (let index = 0; index < COUNT; index++) {
      // Binds in odd phases and closes in even ones, all workers at the same moment.
      const worker = new Worker(
        `const { parentPort, workerData: { lib, path, phase } } = require('node:worker_threads');
        const { DgramSocket } = require(lib);
        let socket;
        for (let at = 0; ; at++) {
          parentPort.postMessage('ready');
          while (Atomics.load(phase, 0) === at) Atomics.wait(phase, 0, at);
          if (at % 2 === 1) {
            socket.close();
            continue;
          }
          socket = new DgramSocket();
          try {
            socket.bind(path);
            parentPort.postMessage('bound');
          } catch ({ code }) {
            parentPort.postMessage(code);
          }
        }`,
        { eval: true, workerData: { lib: LIB, path, phase } },
      );
      worker.on('message', (message) => results.put(message));
      worker.on('error', (error) => results.fail(error));
      t.after(() => worker.terminate());
    }
    const go = () => {
      Atomics.add(phase, 0, 1);
      Atomics.notify(phase, 0);
    };
    for (let round = 0; round < ROUNDS; round++) {
      assert.deepEqual(await results.take(COUNT), Array(COUNT).fill('ready'));
      await leaveDeadFile(path);
      go();
      const outcomes = (await results.take(2 * COUNT)).filter((outcome) => outcome !== 'ready');
      assert.deepEqual(outcomes.sort(), [...Array(COUNT - 1).fill('EADDRINUSE'), 'bound']);
      // It leads to the winner.
      openSocket(t).connect(path).close();
      assert.deepEqual(fs.readdirSync(folder), ['a.sock']);
      go();
    }
  });
});

describe('our own file', () => {
  test('is removed on close, at once', (t) => {
    const path = temporaryPath(t);
    const socket = openSocket(t).bind(path);
    socket.close();
    assert.equal(fs.existsSync(path), false);
  });

  test('stays if another file has taken its place', async (t) => {
    const path = temporaryPath(t);
    const [first, second] = [openSocket(t).bind(path), openSocket(t)];
    fs.unlinkSync(path);
    second.bind(path);
    await closed(first);
    await assertReaches(t, second, path);
    fs.unlinkSync(path);
    fs.writeFileSync(path, 'precious');
    await closed(second);
    assert.equal(fs.readFileSync(path, 'latin1'), 'precious');
    fs.unlinkSync(path);

    const third = openSocket(t).bind(path);
    fs.renameSync(path, `${path}2`);
    fs.symlinkSync(`${path}2`, path);
    await closed(third);
    assert.ok(fs.lstatSync(path).isSymbolicLink());
    assert.ok(fs.lstatSync(`${path}2`).isSocket());
  });

  test('may be gone already, with its folder', async (t) => {
    const folder = `${temporaryFolder(t)}/inner`;
    fs.mkdirSync(folder);
    const socket = openSocket(t).bind(`${folder}/a.sock`);
    fs.rmSync(folder, { recursive: true });
    await closed(socket);
    assert.equal(fs.existsSync(folder), false);
  });

  test('is not removed by the sockets that only knew it', async (t) => {
    const path = temporaryPath(t);
    const owner = openSocket(t).bind(path);
    const sender = openSocket(t).connect(path);
    await sendTo(sender, 'hello', path);
    await closed(sender);
    await assertReaches(t, owner, path);
  });

  test('is removed when the process ends by itself', async (t) => {
    const folder = temporaryFolder(t);
    await runScript(
      t,
      ({ DgramSocket: Socket }, path) => {
        new Socket().bind(path).unref();
      },
      [`${folder}/a.sock`],
    );
    assert.deepEqual(fs.readdirSync(folder), []);
  });
});
