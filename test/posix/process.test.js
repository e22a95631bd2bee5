'use strict';

// Owns what happens around the calls of afunix/posix: signals, workers, programs that are started.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { describe, test } = require('node:test');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript, startScript, startWorker } = require('../helpers/node.js');
const { open, own, pair, receive, timeval } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');
const fs = require('node:fs');

assertNoLeaks();

const { AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } = posix;

/** Waits until the process sleeps in a system call, which is then the one that blocks. */
const untilBlocked = (pid, call) =>
  until(() => {
    const [number] = fs.readFileSync(`/proc/${pid}/syscall`, 'utf8').split(' ');
    return call.includes(Number(number));
  }, `process ${pid} to block in one of the calls ${call}`);

/** Numbers of system calls that may block, by what a test waits for; of x86-64 and arm64. */
const CALLS = {
  x64: { recv: [45], recvmsg: [47], accept: [288], connect: [42], send: [44], poll: [7, 271] },
  arm64: { recv: [207], recvmsg: [212], accept: [242], connect: [203], send: [206], poll: [73] },
}[process.arch];

const onKnown = onLinux(
  CALLS === undefined
    ? { skip: `numbers of system calls on ${process.arch} are not known here` }
    : {},
);

/**
 * Starts a process that says "ready", makes the call that `body` returns, and prints what that returned
 * or the code it threw, and how many signals it had. The socket has the time limit, if there is one.
 */
function startBlocked(t, body, args, limit) {
  const script = `(_afunix, lib, limit, ...args) => {
    const posix = require(lib + '/posix');
    const fs = require('node:fs');
    let signals = 0;
    process.on('SIGUSR2', () => signals++);
    const { fd, call } = (${body})(posix, ...args);
    if (limit !== null) {
      const time = new BigInt64Array([BigInt(Math.floor(limit / 1000)), BigInt((limit % 1000) * 1000)]);
      for (const name of [posix.SO_RCVTIMEO, posix.SO_SNDTIMEO]) {
        posix.setsockopt(fd, posix.SOL_SOCKET, name, time);
      }
    }
    fs.writeSync(1, '"ready"\\n');
    let result;
    try {
      result = call();
    } catch (error) {
      result = error.code;
    }
    // Handlers of signals run once the call has returned.
    setTimeout(() => {
      console.log(JSON.stringify({ result: result ?? null, signals }));
      process.exit();
    }, 20);
  }`;
  return startScript(t, script, [LIB, limit, ...args]);
}

/** Sends a blocked process signals, one after the other, and checks that it is blocked still. */
async function interrupt(program, call) {
  for (let count = 0; count < 5; count++) {
    await untilBlocked(program.pid, call);
    program.kill('SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await untilBlocked(program.pid, call);
}

async function outcome(program) {
  const { result, signals } = JSON.parse(await program.lines.next('the outcome'));
  assert.ok(signals > 0, 'no signal was delivered');
  return result;
}

for (const limit of [null, 90_000]) {
  describe(`signals do not end a call ${limit ? 'with' : 'without'} a time limit`, onKnown, () => {
    // With a limit it is poll() that waits after the first signal.
    const calls = (name) => [...CALLS[name], ...CALLS.poll];

    test('recv', async (t) => {
      const path = `${temporaryFolder(t)}/a.sock`;
      const program = startBlocked(
        t,
        (posix, sun_path) => {
          const fd = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM, 0);
          posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path });
          return { fd, call: () => posix.recv(fd, Buffer.alloc(10)) };
        },
        [path],
        limit,
      );
      await program.lines.next();
      await interrupt(program, calls('recv'));
      const to = { sun_family: AF_UNIX, sun_path: path };
      posix.sendto(open(t, AF_UNIX, SOCK_DGRAM), Buffer.from('hello'), 5, 0, to);
      assert.equal(await outcome(program), 5);
    });

    test('recvmsg and poll', async (t) => {
      for (const name of ['recvmsg', 'poll']) {
        const path = `${temporaryFolder(t)}/a.sock`;
        const program = startBlocked(
          t,
          (posix, sun_path, name) => {
            const fd = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM, 0);
            posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path });
            const call = {
              recvmsg: () => posix.recvmsg(fd, { iov: Buffer.alloc(10) }).size,
              poll: () => posix.poll([{ fd, events: posix.POLLIN }], 90_000),
            }[name];
            return { fd, call };
          },
          [path, name],
          limit,
        );
        await program.lines.next();
        await interrupt(program, calls(name));
        const to = { sun_family: AF_UNIX, sun_path: path };
        posix.sendto(open(t, AF_UNIX, SOCK_DGRAM), Buffer.from('x'), 1, 0, to);
        assert.equal(await outcome(program), 1);
      }
    });

    test('accept', async (t) => {
      const path = `${temporaryFolder(t)}/a.sock`;
      const program = startBlocked(
        t,
        (posix, sun_path) => {
          const fd = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0);
          posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path });
          posix.listen(fd, 1);
          return { fd, call: () => posix.accept(fd, {}) > 0 };
        },
        [path],
        limit,
      );
      await program.lines.next();
      await interrupt(program, calls('accept'));
      posix.connect(open(t), { sun_family: AF_UNIX, sun_path: path });
      assert.equal(await outcome(program), true);
    });

    test('send', async (t) => {
      const path = `${temporaryFolder(t)}/a.sock`;
      const listener = open(t);
      posix.bind(listener, { sun_family: AF_UNIX, sun_path: path });
      posix.listen(listener, 1);
      const program = startBlocked(
        t,
        (posix, sun_path) => {
          const fd = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0);
          posix.connect(fd, { sun_family: posix.AF_UNIX, sun_path });
          const room = Buffer.alloc(65536);
          try {
            for (;;) posix.send(fd, room, room.length, posix.MSG_DONTWAIT);
          } catch {
            // Full.
          }
          return { fd, call: () => posix.send(fd, Buffer.alloc(1)) };
        },
        [path],
        limit,
      );
      await program.lines.next();
      await interrupt(program, calls('send'));
      const server = own(t, posix.accept(listener));
      const room = Buffer.alloc(1 << 20);
      while (posix.recv(server, room, room.length) === room.length);
      assert.equal(await outcome(program), 1);
    });

    test('connect, of a Unix socket', async (t) => {
      const path = `${temporaryFolder(t)}/a.sock`;
      const listener = open(t);
      posix.bind(listener, { sun_family: AF_UNIX, sun_path: path });
      posix.listen(listener, 0);
      posix.connect(open(t), { sun_family: AF_UNIX, sun_path: path });
      const program = startBlocked(
        t,
        (posix, sun_path) => {
          const fd = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0);
          const call = () => {
            posix.connect(fd, { sun_family: posix.AF_UNIX, sun_path });
            return posix.getpeername(fd).sun_path;
          };
          return { fd, call };
        },
        [path],
        limit,
      );
      await program.lines.next();
      await interrupt(program, calls('connect'));
      own(t, posix.accept(listener));
      assert.equal(await outcome(program), path);
    });

    test('connect, of an internet socket', async (t) => {
      const listener = open(t, AF_INET);
      posix.bind(listener, { sin_family: AF_INET, sin_port: 0, sin_addr: '127.0.0.1' });
      posix.listen(listener, 0);
      const addr = posix.getsockname(listener);
      // Full: what the next one sends is dropped, and sent again a second later.
      posix.connect(open(t, AF_INET), addr);
      const program = startBlocked(
        t,
        (posix, addr) => {
          const fd = posix.socket(posix.AF_INET, posix.SOCK_STREAM, 0);
          const call = () => {
            posix.connect(fd, addr);
            return posix.getpeername(fd).sin_port;
          };
          return { fd, call };
        },
        [addr],
        limit,
      );
      await program.lines.next();
      await interrupt(program, calls('connect'));
      own(t, posix.accept(listener));
      assert.equal(await outcome(program), addr.sin_port);
    });
  });
}

describe('signals', onKnown, () => {
  test('do not make a time limit endless', async (t) => {
    for (const name of ['recv', 'accept', 'poll']) {
      const program = startBlocked(
        t,
        (posix, name) => {
          const type = name === 'accept' ? posix.SOCK_STREAM : posix.SOCK_DGRAM;
          const fd = posix.socket(posix.AF_UNIX, type, 0);
          posix.bind(fd, { sun_family: posix.AF_UNIX, sun_path: '' });
          if (name === 'accept') posix.listen(fd);
          const call = {
            recv: () => posix.recv(fd, Buffer.alloc(10)),
            accept: () => posix.accept(fd),
            poll: () => posix.poll([{ fd, events: posix.POLLIN }], 300),
          }[name];
          return { fd, call };
        },
        [name],
        300,
      );
      await program.lines.next();
      const timer = setInterval(() => program.kill('SIGUSR2'), 10);
      t.after(() => clearInterval(timer));
      assert.equal(await outcome(program), name === 'poll' ? 0 : 'EAGAIN');
      clearInterval(timer);
    }
  });

  test('of a broken pipe do not come', async (t) => {
    const result = await runScript(
      t,
      async (_afunix, lib) => {
        const posix = require(`${lib}/posix`);
        let signals = 0;
        process.on('SIGPIPE', () => signals++);
        const codes = [];
        for (const send of [
          (fd) => posix.send(fd, Buffer.alloc(1)),
          (fd) => posix.sendto(fd, Buffer.alloc(1)),
          (fd) => posix.sendmsg(fd, { iov: Buffer.alloc(1) }),
        ]) {
          const [left, right] = posix.socketpair(posix.AF_UNIX, posix.SOCK_STREAM);
          posix.close(right);
          try {
            send(left);
          } catch ({ code }) {
            codes.push(code);
          }
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
        console.log(JSON.stringify({ codes, signals }));
      },
      [LIB],
    );
    assert.deepEqual(result, { codes: ['EPIPE', 'EPIPE', 'EPIPE'], signals: 0 });
  });
});

describe('workers', onLinux({}), () => {
  test('talk to the main thread, both blocking', async (t) => {
    const [ours, theirs] = pair(t);
    const { exited, messages } = startWorker(
      t,
      (_afunix, [lib, fd], port) => {
        const posix = require(`${lib}/posix`);
        const room = Buffer.alloc(100);
        port.postMessage('ready');
        for (let size; (size = posix.recv(fd, room)) > 0;) posix.send(fd, room, size);
        process.exit();
      },
      [LIB, theirs],
    );
    await messages.next();
    for (let round = 0; round < 1000; round++) {
      posix.send(ours, Buffer.from(`message ${round}`));
      assert.equal(receive(ours), `message ${round}`);
    }
    posix.shutdown(ours, posix.SHUT_RDWR);
    assert.equal(await exited(), 0);
  });

  test('may be many, one after the other', async (t) => {
    for (let round = 0; round < 5; round++) {
      const { exited, messages } = startWorker(
        t,
        (_afunix, lib, port) => {
          const posix = require(`${lib}/posix`);
          const fds = posix.socketpair();
          posix.send(fds[0], Buffer.from('x'));
          port.postMessage(posix.recv(fds[1], Buffer.alloc(9)));
          for (const fd of fds) posix.close(fd);
        },
        LIB,
      );
      assert.equal(await messages.next(), 1);
      assert.equal(await exited(), 0);
    }
  });

  test('share memory that is received into', async (t) => {
    const shared = new SharedArrayBuffer(8);
    const [left, right] = pair(t, SOCK_DGRAM);
    const { exited } = startWorker(
      t,
      (_afunix, [lib, fd, shared]) => void require(`${lib}/posix`).recv(fd, shared),
      [LIB, right, shared],
    );
    posix.send(left, Buffer.from('message'));
    assert.equal(await exited(), 0);
    assert.equal(String(Buffer.from(shared, 0, 7)), 'message');
  });
});

test('programs that are started inherit none', onLinux({}), (t) => {
  const listener = open(t);
  posix.bind(listener, { sun_family: AF_UNIX, sun_path: '' });
  posix.listen(listener);
  const client = open(t, AF_UNIX, SOCK_STREAM);
  posix.connect(client, posix.getsockname(listener));
  const [left, right] = pair(t);
  posix.sendmsg(left, { iov: Buffer.from('x'), fds: [client] });
  const [received] = posix.recvmsg(right, { iov: Buffer.alloc(1) }).fds;
  const ours = [listener, client, own(t, posix.accept(listener)), left, right, own(t, received)];
  const theirs = execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' });
  for (const fd of ours) {
    const name = fs.readlinkSync(`/proc/self/fd/${fd}`);
    assert.ok(!theirs.includes(name), `${name} was inherited`);
  }
  assert.equal(timeval(1500)[1], 500_000n);
});
