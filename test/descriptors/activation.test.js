'use strict';

// Owns listenFds(): what systemd-socket-activate hands over is adopted by every kind of server and
// socket; names, CLOEXEC, children, and variables that make no sense.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const { DgramSocket, SeqpacketSocket, listenFds } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript, startWorker } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { LIMIT, until } = require('../helpers/wait.js');

assertNoLeaks();

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };

/** Whether a socket of that path listens, or is one of datagrams; see proc_net(5). */
function isReady(path) {
  const lines = fs.readFileSync('/proc/net/unix', 'latin1').split('\n');
  const line = lines.find((each) => each.endsWith(` ${path}`));
  const [, , , flags, type] = line?.split(/ +/) ?? [];
  const ACCEPTS = '00010000';
  const DATAGRAM = '0002';
  return flags === ACCEPTS || type === DATAGRAM;
}

/**
 * Starts systemd-socket-activate, which becomes Node with the given function of `(afunix, ...args)`
 * once somebody connects or sends; waits until it listens.
 */
async function activate(t, options, paths, body, args = []) {
  const source = `(${body})(require(${JSON.stringify(LIB)}), ...JSON.parse(process.argv[1]))`;
  const command = [process.execPath, '--eval', source, JSON.stringify(args)];
  const listens = paths.flatMap((path) => ['--listen', path]);
  const program = startProgram(t, 'systemd-socket-activate', [...options, ...listens, ...command]);
  await until(() => paths.every(isReady), 'systemd-socket-activate to listen', LIMIT);
  return program;
}

describe('systemd-socket-activate', skipUnless('systemd-socket-activate'), () => {
  test('hands a stream listener to net.Server', async (t) => {
    const path = temporaryPath(t);
    await activate(t, ['--fdname=web'], [path], ({ listenFds: handed, fdType }) => {
      const [found, ...others] = handed();
      const { name, fd } = found;
      const answer = { name, fd, others, type: fdType(fd) };
      const server = require('node:net').createServer((socket) => {
        socket.end(JSON.stringify(answer));
        server.close();
      });
      server.listen(found);
    });
    const client = net.connect(path);
    const [data] = await nextEvent(client, 'data');
    const expected = { name: 'web', fd: 3, others: [], type: 'unix-stream' };
    assert.deepEqual(JSON.parse(data), expected);
  });

  test('hands a seqpacket listener to SeqpacketServer', async (t) => {
    const path = temporaryPath(t);
    await activate(t, ['--seqpacket'], [path], ({ listenFds: handed, SeqpacketServer }) => {
      const [found] = handed();
      const server = new SeqpacketServer((socket) => {
        socket.end(`${found.name} at ${server.address()}`);
        server.close();
      });
      server.listen(found);
    });
    const client = new SeqpacketSocket().connect(path);
    const [data] = await nextEvent(client, 'data');
    // Without --fdname there is no name.
    assert.equal(String(data), `unknown at ${path}`);
  });

  test('hands a datagram socket, with the message that woke it, to DgramSocket', async (t) => {
    const path = temporaryPath(t);
    await activate(t, ['--datagram'], [path], ({ listenFds: handed, DgramSocket: Socket }) => {
      const [{ fd }] = handed('unknown');
      const socket = new Socket({ fd });
      socket.on('data', (data, from) => {
        socket.sendTo(`${socket.address()} got ${data}`, from, () => socket.close());
      });
    });
    const client = new DgramSocket().bind();
    t.after(() => client.close());
    client.sendTo('hello', path);
    const [data] = await nextEvent(client, 'data');
    assert.equal(String(data), `${path} got hello`);
  });

  test('several, by name, close-on-exec and gone for children', async (t) => {
    const folder = temporaryFolder(t);
    const paths = ['a', 'b', 'c'].map((name) => `${folder}/${name}`);
    const program = await activate(t, ['--fdname=one:two:one'], paths, ({ listenFds: handed }) => {
      const { execFileSync } = require('node:child_process');
      const { readFileSync } = require('node:fs');
      const flagsOf = (fd) => /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`))[1];
      const all = handed();
      const closeOnExec = all.map(({ fd }) => (parseInt(flagsOf(fd), 8) & 0o2000000) !== 0);
      const chosen = handed(['two', 'none', 'one', 'two']);
      const unset = handed({ unset: true });
      const left = Object.keys(process.env).filter((name) => name.startsWith('LISTEN_'));
      const inChild = execFileSync('sh', ['-c', 'ls /proc/self/fd; env'], { encoding: 'utf8' });
      const after = handed();
      const found = { all, closeOnExec, chosen, unset, left, inChild, after };
      console.log(JSON.stringify(found));
    });
    net.connect(paths[1]).on('error', () => {});
    const found = JSON.parse(await program.lines.next('what was handed over'));
    const [one, two, three] = [
      { fd: 3, name: 'one' },
      { fd: 4, name: 'two' },
      { fd: 5, name: 'one' },
    ];
    assert.deepEqual(found.all, [one, two, three]);
    assert.deepEqual(found.unset, [one, two, three]);
    assert.deepEqual(found.chosen, [two, one, three]);
    assert.deepEqual(found.closeOnExec, [true, true, true]);
    assert.deepEqual([found.left, found.after], [[], []]);
    assert.doesNotMatch(found.inChild, /LISTEN_|^[45]$/m);
  });
});

describe('without systemd', onLinux({}), () => {
  /** Sets the variables for a test; false stands for this process's id. */
  function setVariables(t, variables) {
    for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) {
      delete process.env[name];
      t.after(() => delete process.env[name]);
    }
    Object.assign(process.env, { LISTEN_PID: process.pid, ...variables });
  }

  test('nothing is handed over', (t) => {
    for (const variables of [{}, { LISTEN_FDS: '0' }, { LISTEN_FDS: '0', LISTEN_FDNAMES: '' }]) {
      setVariables(t, variables);
      assert.deepEqual(listenFds(), []);
    }
    setVariables(t, { LISTEN_FDS: '1' });
    delete process.env.LISTEN_PID;
    assert.deepEqual(listenFds(), []);
  });

  test('nothing that is meant for another process is taken, however odd it is', (t) => {
    for (const LISTEN_FDS of ['1', '9999', 'x']) {
      setVariables(t, { LISTEN_PID: process.pid + 1, LISTEN_FDS });
      assert.deepEqual(listenFds(), []);
    }
  });

  test('variables that make no sense are an error that quotes them', (t) => {
    for (const [variables, message] of [
      [{ LISTEN_PID: 'x', LISTEN_FDS: '1' }, /LISTEN_PID is not a number: "x"/],
      [{ LISTEN_PID: '', LISTEN_FDS: '1' }, /LISTEN_PID is not a number: ""/],
      [{ LISTEN_FDS: 'two' }, /LISTEN_FDS is not a number: "two"/],
      [{ LISTEN_FDS: '-1' }, /LISTEN_FDS is not a number: "-1"/],
      [{ LISTEN_FDS: '1.5' }, /LISTEN_FDS is not a number/],
      [{ LISTEN_FDS: ' 1' }, /LISTEN_FDS is not a number/],
      [{ LISTEN_FDS: '2000000' }, /LISTEN_FDS promises descriptor \d+, which is not open/],
      [{ LISTEN_FDS: '9'.repeat(30) }, /LISTEN_FDS promises descriptor \d+, which is not open/],
      [{ LISTEN_FDS: '1', LISTEN_FDNAMES: 'a:b' }, /LISTEN_FDNAMES has not 1 name/],
      [{ LISTEN_FDS: '2', LISTEN_FDNAMES: 'a' }, /LISTEN_FDNAMES has not 2 names/],
    ]) {
      setVariables(t, variables);
      const check = (error) => {
        assert.equal(error.code, 'ERR_AFUNIX_LISTEN_FDS');
        assert.match(error.message, message);
        return true;
      };
      assert.throws(() => listenFds(), check, JSON.stringify(variables));
    }
  });

  test('bad arguments are refused', () => {
    for (const names of [null, 0, true, [1], ['a', null], Buffer.from('x'), () => {}]) {
      assert.throws(() => listenFds(names), TYPE);
    }
    for (const options of [null, 0, 'x', []]) assert.throws(() => listenFds('x', options), TYPE);
    for (const unset of [null, 0, 'true']) assert.throws(() => listenFds({ unset }), TYPE);
  });

  test('a parent in any language can hand over what it likes', async (t) => {
    const folder = temporaryFolder(t);
    const result = await runScript(
      t,
      async (_afunix, lib, path) => {
        const { spawn } = require('node:child_process');
        const listener = require('node:net').createServer().listen(path);
        await require('node:events').once(listener, 'listening');
        // sh knows the id that Node is going to have.
        const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -e "$1" "$2"';
        const source = 'console.log(JSON.stringify(require(process.argv[1]).listenFds()))';
        const stdio = ['ignore', 'inherit', 'inherit', listener._handle.fd];
        const child = spawn('sh', ['-c', script, process.execPath, source, lib], { stdio });
        await require('node:events').once(child, 'exit');
        listener.close();
      },
      [LIB, `${folder}/a.sock`],
    );
    assert.deepEqual(result, [{ fd: 3, name: 'unknown' }]);
  });

  test('a worker sees the variables too, and unsets its own copy', async (t) => {
    setVariables(t, { LISTEN_FDS: '1' });
    const { messages, exited } = startWorker(t, (afunix, _data, port) => {
      const found = afunix.listenFds({ unset: true }).length;
      port.postMessage([found, afunix.listenFds().length]);
    });
    assert.deepEqual(await messages.next(), [1, 0]);
    assert.equal(await exited(), 0);
    assert.equal(process.env.LISTEN_FDS, '1');
  });
});
