'use strict';

// Owns servers in workers of a cluster: one socket that they share, for as long as one of them wants it. This process is
// the primary; where it must not have loaded afunix, another one is.

const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { SeqpacketSocket, UServer, USocket } = require('../../lib');
const {
  WORKER,
  firstFork,
  listeningWorker,
  reported,
  startWorker,
} = require('../helpers/cluster.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript } = require('../helpers/node.js');
const { onLinux, startProgram } = require('../helpers/programs.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { delay, until, within } = require('../helpers/wait.js');

// With the first fork a primary opens what its workers connect to, and keeps it as long as it lives.
assertNoLeaks(firstFork);

const KINDS = ['UServer', 'SeqpacketServer', 'afunix/net', 'serve'];

/** The pid of whoever answers, or the code of an error. */
async function ask(name, Socket = USocket) {
  const socket = new Socket();
  socket.connect(name);
  try {
    const [data] = await once(socket, 'data');
    return Number(data);
  } catch ({ code }) {
    return code;
  } finally {
    socket.destroy();
  }
}

/** Asks until each of these has answered. */
async function untilAnswered(name, workers, Socket) {
  const missing = new Set(workers.map((worker) => worker.process.pid));
  const asking = async () => {
    while (missing.size > 0) {
      const all = await Promise.all(Array.from({ length: 8 }, () => ask(name, Socket)));
      for (const pid of all) {
        assert.equal(typeof pid, 'number', `${pid}`);
        missing.delete(pid);
      }
    }
  };
  await within(asking(), `answers of ${workers.length} workers`);
}

const ended = (worker) => (worker.isDead() ? undefined : once(worker, 'exit'));

describe('workers of a cluster', onLinux(), () => {
  for (const kind of KINDS) {
    test(`${kind}: come, die, and come again at one path`, async (t) => {
      const Socket = kind === 'SeqpacketServer' ? SeqpacketSocket : USocket;
      const name = temporaryPath(t);
      const options = { path: name, mode: 0o600 };
      const workers = await Promise.all([1, 2].map(() => listeningWorker(t, kind, options)));
      assert.equal(fs.statSync(name).mode & 0o777, 0o600);
      await untilAnswered(name, workers, Socket);
      workers[0].process.kill('SIGKILL');
      await ended(workers[0]);
      assert.equal(await ask(name, Socket), workers[1].process.pid);
      workers[0] = await listeningWorker(t, kind, options);
      await untilAnswered(name, workers, Socket);
      workers[1].send('close');
      await reported(workers[1], 'close');
      assert.equal(await ask(name, Socket), workers[0].process.pid);
      assert.ok(fs.existsSync(name));
      workers[0].send('close');
      await reported(workers[0], 'close');
      await until(() => !fs.existsSync(name), 'the file to go');
      const next = await listeningWorker(t, kind, options);
      assert.equal(await ask(name, Socket), next.process.pid);
      // As a graceful restart does it: net's servers close, and so do these.
      next.disconnect();
      await within(once(next, 'exit'), 'the end of the worker');
      await until(() => !fs.existsSync(name), 'the file to go');
    });
  }

  test('no connection is refused while workers are replaced', async (t) => {
    const name = temporaryPath(t);
    const workers = await Promise.all([1, 2].map(() => listeningWorker(t, 'UServer', name)));
    let goes = true;
    const refused = [];
    const asking = Array.from({ length: 4 }, async () => {
      while (goes) {
        const answer = await ask(name);
        // Who is answered by a worker that is killed may lose its connection.
        if (typeof answer !== 'number' && answer !== 'ECONNRESET') refused.push(answer);
      }
    });
    for (const at of [0, 1, 0]) {
      const next = listeningWorker(t, 'UServer', name);
      workers[at].send('close');
      await reported(workers[at], 'close');
      workers[at].process.kill();
      workers[at] = await next;
    }
    goes = false;
    await Promise.all(asking);
    assert.deepEqual(refused, []);
  });

  test('abstract names; what listen() says at once, and where it listens', async (t) => {
    const name = abstractName();
    const workers = [1, 2].map(() => startWorker(t, 'UServer', { path: name, backlog: 5 }));
    for (const worker of workers) {
      assert.equal(await reported(worker, 'called'), 'false');
      assert.equal(await reported(worker, 'listening'), name);
    }
    await untilAnswered(name, workers);
  });

  test('permissions of 0 are none, and unlinkOnClose: false leaves the file', async (t) => {
    const options = { path: temporaryPath(t), mode: 0, unlinkOnClose: false };
    const worker = await listeningWorker(t, 'UServer', options);
    assert.equal(fs.statSync(options.path).mode & 0o777, 0);
    await Promise.all([ended(worker), delay(100), worker.process.kill('SIGKILL')]);
    assert.ok(fs.existsSync(options.path));
  });

  test('a relative name is that of the folder in which listen() was called', async (t) => {
    const folder = temporaryFolder(t);
    const options = { path: 'a name', moveTo: '/' };
    const worker = startWorker(t, 'UServer', options, { cwd: folder });
    cluster.setupPrimary({ cwd: undefined });
    assert.equal(await reported(worker, 'listening'), 'a name');
    assert.equal(await ask(path.join(folder, 'a name')), worker.process.pid);
  });

  test('errors of the primary are the events of the worker', async (t) => {
    const taken = new UServer(() => {}).listen(temporaryPath(t));
    t.after(() => taken.close());
    for (const [kind, name, expected] of [
      ['UServer', taken.address(), /^EADDRINUSE listen EADDRINUSE: address already in use \/\S+$/],
      ['SeqpacketServer', `${__filename}/below`, /^ENOTDIR ENOTDIR: .*, listen \/\S+$/],
    ]) {
      const worker = startWorker(t, kind, { path: name });
      await reported(worker, 'called');
      const { event, message } = await worker.reports.next();
      assert.equal(event, 'error');
      assert.match(message, expected);
    }
  });

  test('exclusive: true is not shared', async (t) => {
    const options = { path: temporaryPath(t), exclusive: true };
    await listeningWorker(t, 'UServer', options);
    const second = startWorker(t, 'UServer', options);
    assert.equal((await second.reports.next()).event, 'called');
    const { event, message } = await second.reports.next();
    assert.equal(event, 'error');
    assert.match(message, /^EADDRINUSE/);
  });

  test('close() before the answer: it never listens, and the file does not stay', async (t) => {
    const name = temporaryPath(t);
    const worker = startWorker(t, 'UServer', { path: name, closeAtOnce: true });
    await reported(worker, 'close');
    worker.send('close');
    await reported(worker, 'close');
    await until(() => !fs.existsSync(name), 'the file to go');
  });

  for (const kind of KINDS) {
    test(`${kind}: a worker that leaves before the answer does not listen, and ends`, async (t) => {
      const name = temporaryPath(t);
      const worker = startWorker(t, kind, { path: name, leaveAtOnce: true });
      const exit = once(worker, 'exit');
      // The primary is busy: what the worker asks, and that it leaves, come together.
      worker.once('message', () => {
        for (const end = performance.now() + 300; performance.now() < end;);
      });
      const [code] = await within(exit, 'the end of the worker');
      assert.equal(code, 0);
      await until(() => !fs.existsSync(name), 'the file to go');
    });
  }

  test('a worker of many servers is warned of nothing, and all close when it leaves', async (t) => {
    const options = { path: temporaryPath(t), others: 15 };
    const worker = await listeningWorker(t, 'UServer', options);
    assert.equal(await ask(`${options.path}14`), worker.process.pid);
    worker.disconnect();
    const [code] = await within(once(worker, 'exit'), 'the end of the worker');
    assert.equal(code, 0);
    await until(() => !fs.existsSync(`${options.path}14`), 'the file to go');
  });

  test('a signal before the answer: it is closed, and may listen again at once', async (t) => {
    const worker = startWorker(t, 'UServer', { path: temporaryPath(t), abortFirst: true });
    await reported(worker, 'close');
    await reported(worker, 'listening');
  });

  test('detach(): the file stays as long as that worker does', async (t) => {
    const name = temporaryPath(t);
    const worker = await listeningWorker(t, 'UServer', name);
    worker.send('give up');
    await reported(worker, 'given up');
    await delay(50);
    assert.ok(fs.existsSync(name));
    assert.equal(await ask(name), worker.process.pid);
    worker.process.kill('SIGKILL');
    await ended(worker);
    await until(() => !fs.existsSync(name), 'the file to go');
  });

  test('detach() again and again: it keeps no more than one lease', async (t) => {
    const options = { path: temporaryPath(t), givesUp: true };
    const worker = startWorker(t, 'UServer', options);
    const counts = [];
    while (counts.length < 3) counts.push(await reported(worker, 'count'));
    assert.ok(counts[2] <= counts[1], counts.join());
  });

  test('inherited descriptors need no sharing', async (t) => {
    const name = temporaryPath(t);
    const server = new UServer().listen(name);
    t.after(() => server.close());
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc', server.fd];
    const workers = [1, 2].map(() => startWorker(t, 'UServer', { fd: 4 }, { stdio }));
    cluster.setupPrimary({ stdio: undefined });
    for (const worker of workers) await reported(worker, 'listening');
    await untilAnswered(name, workers);
    workers[0].send('close');
    await reported(workers[0], 'close');
    assert.ok(fs.existsSync(name));
    assert.equal(await ask(name), workers[1].process.pid);
  });

  test('however often the package is loaded, one copy of it serves the workers', async (t) => {
    const counts = await runScript(t, () => {
      const { listenerCount } = require('node:events');
      const cluster = require('node:cluster');
      const found = [listenerCount(cluster, 'fork')];
      const main = Object.keys(require.cache).find((name) => name.endsWith('/lib/index.js'));
      for (const name of Object.keys(require.cache)) delete require.cache[name];
      require(main);
      found.push(listenerCount(cluster, 'fork'));
      console.log(JSON.stringify(found));
    });
    assert.deepEqual(counts, [1, 1]);
  });

  test('a thread serves no workers: it can fork none', async (t) => {
    const count = await runScript(
      t,
      (afunix, lib) => {
        const { Worker } = require('node:worker_threads');
        const code = `require(${JSON.stringify(lib)});
        const count = require('node:cluster').listenerCount('fork');
        require('node:worker_threads').parentPort.postMessage(count);`;
        new Worker(code, { eval: true }).once('message', (found) => console.log(found));
      },
      [LIB],
    );
    assert.equal(count, 0);
  });

  test('strangers get nothing from the primary', async (t) => {
    await listeningWorker(t, 'UServer', abstractName());
    const { nameOf } = require('../../lib/cluster/protocol.js');
    const socket = new USocket(nameOf(process.pid));
    socket.on('fds', () => assert.fail('descriptors')).on('error', () => {});
    socket.write(`${JSON.stringify({ type: 1, name: '00', backlog: 1 })}\n`);
    const closed = new Promise((done) => socket.resume().once('close', done));
    await within(closed, "the primary's refusal");
  });
});

/** A primary that forks a worker once it is asked to. */
const LATE_PRIMARY = `
  const cluster = require('node:cluster');
  const [exec, ...args] = process.argv.slice(1);
  cluster.setupPrimary({ exec, args, execArgv: [] });
  cluster.on('message', (worker, report) => console.log(JSON.stringify(report)));
  process.stdin.once('data', () => cluster.fork());
`;

test(
  'a worker takes nothing from a stranger that has the name of its primary',
  onLinux(),
  async (t) => {
    const { nameOf, onLine, lineOf } = require('../../lib/cluster/protocol.js');
    const name = temporaryPath(t);
    const args = ['--eval', LATE_PRIMARY, '--', WORKER, 'UServer', JSON.stringify({ path: name })];
    const primary = startProgram(t, process.execPath, args);
    const stolen = new UServer((socket) => socket.end('stolen')).listen(abstractName());
    const stranger = new UServer((socket) => {
      socket.on('error', () => {});
      onLine(socket, () => socket.write({ data: lineOf({ errno: 0 }), fds: [stolen.fd] }));
    }).listen(nameOf(primary.pid));
    t.after(() => [stolen, stranger].forEach((server) => server.close()));
    primary.write('go\n');
    let report;
    do report = JSON.parse(await primary.lines.next('a report'));
    while (report.event === 'called');
    assert.equal(report.event, 'listening', report.message);
    assert.equal(await ask(name), report.pid);
    primary.kill();
    await primary.ended();
  },
);

/** A primary as process managers are: it forks what it is given, and loads this before that, or after, or not. */
const MANAGER = `
  const cluster = require('node:cluster');
  const [before, after, exec, ...args] = process.argv.slice(1);
  if (before) require(before);
  cluster.setupPrimary({ exec, args, execArgv: [] });
  cluster.on('message', (worker, report) => console.log(JSON.stringify(report)));
  const first = cluster.fork();
  if (after) {
    first.process.kill('SIGSTOP');
    // Behind 'fork'.
    setImmediate(() => {
      require(after);
      first.process.kill('SIGCONT');
    });
  }
  first.on('message', ({ event }) => event === 'listening' && cluster.fork());
  process.stdin.once('data', () => first.disconnect());
  first.on('exit', (code) => console.log(JSON.stringify({ event: 'exit', message: code })));
`;

/** Starts one with a worker of this kind; `report()` resolves to what a worker says next. */
function startManager(t, before, after, kind, path) {
  const args = [before, after, WORKER, kind, JSON.stringify({ path })];
  const manager = startProgram(t, process.execPath, ['--eval', MANAGER, '--', ...args]);
  manager.report = async () => JSON.parse(await manager.lines.next('a report'));
  return manager;
}

describe('a worker that cannot have the socket', onLinux(), () => {
  test('what it was given does not listen: it says so, and keeps nothing of it', async (t) => {
    const reports = await runScript(
      t,
      ({ UServer: Server }, protocol, exec, options) => {
        const primary = require('node:cluster');
        const { nameOf, onLine, lineOf } = require(protocol);
        // This one answers in place of the package.
        primary.removeAllListeners('fork');
        const door = new Server((socket) => {
          socket.on('error', () => {});
          onLine(socket, () => socket.write({ data: lineOf({ errno: 0 }), fds: [1] }));
        });
        door.listen(nameOf(process.pid)).unref();
        const args = ['UServer', JSON.stringify(options)];
        primary.setupPrimary({ exec, args, execArgv: [] });
        const found = [];
        primary.fork().on('message', function note({ event, message }) {
          found.push([event, message]);
          if (event !== 'count' || found.length === 1) return;
          console.log(JSON.stringify(found));
          this.process.kill();
        });
      },
      [
        require.resolve('../../lib/cluster/protocol.js'),
        WORKER,
        { path: temporaryPath(t), counts: true },
      ],
    );
    const [[, before], , [event, message], [, after]] = reports;
    assert.equal(event, 'error');
    assert.match(message, /^(ENOTSOCK|EINVAL|EAFNOSUPPORT|EPROTOTYPE) /);
    assert.equal(after, before);
  });

  test('it may not open one descriptor more: that is the error', async (t) => {
    const found = await runScript(
      t,
      (_afunix, exec, options) => {
        const primary = require('node:cluster');
        const args = ['UServer', JSON.stringify(options)];
        primary.setupPrimary({ exec, args, execArgv: [] });
        primary.fork().on('message', function note({ event, message }) {
          if (event === 'called') return;
          console.log(JSON.stringify([event, message]));
          this.process.kill();
        });
      },
      [WORKER, { path: temporaryPath(t), leaves: 1 }],
      { openFiles: 200 },
    );
    assert.deepEqual(found, [
      'error',
      'ERR_AFUNIX_FDS_LOST Descriptors of a message were lost: the process may not open any more',
    ]);
  });
});

describe('a process manager', onLinux(), () => {
  for (const [what, ...loads] of [
    ['loads nothing', '', ''],
    ['has loaded afunix', LIB, ''],
    ['loads afunix behind its first fork', '', LIB],
  ]) {
    test(`that ${what}`, async (t) => {
      const manager = startManager(t, ...loads, 'afunix/net', temporaryPath(t));
      const seen = [];
      while (seen.length < 2) {
        const { event, message } = await manager.report();
        if (event !== 'called') seen.push({ event, message });
      }
      assert.equal(seen[0].event, 'listening');
      if (loads.includes(LIB)) {
        assert.equal(seen[1].event, 'listening');
      } else {
        assert.match(seen[1].message, /^EADDRINUSE .* primary .* load afunix there/);
      }
      manager.kill();
      await manager.ended();
    });
  }

  test('that loads nothing: a relative name is that of the folder in which listen() was called', async (t) => {
    const folder = temporaryFolder(t);
    const options = JSON.stringify({ path: 'a name', moveTo: '/' });
    const args = ['--eval', MANAGER, '--', '', '', WORKER, 'UServer', options];
    const manager = startProgram(t, process.execPath, args, { cwd: folder });
    let report;
    do report = JSON.parse(await manager.lines.next('a report'));
    while (report.event === 'called');
    assert.deepEqual([report.event, report.message], ['listening', 'a name']);
    assert.equal(await ask(path.join(folder, 'a name')), report.pid);
    manager.kill();
    await manager.ended();
  });

  test('that loads nothing: a worker that listens alone closes its server when it is let go', async (t) => {
    const name = temporaryPath(t);
    const manager = startManager(t, '', '', 'UServer', name);
    const seen = [];
    while (seen.at(-1)?.event !== 'error') seen.push(await manager.report());
    manager.write('let go\n');
    while (seen.at(-1).event !== 'exit') seen.push(await manager.report());
    assert.equal(seen.at(-1).message, 0);
    assert.equal(fs.existsSync(name), false);
    manager.kill();
    await manager.ended();
  });

  test('that loads nothing: only an address in use speaks of the primary', async (t) => {
    const manager = startManager(t, '', '', 'UServer', `${__filename}/below`);
    assert.equal((await manager.report()).event, 'called');
    const { event, message } = await manager.report();
    assert.equal(event, 'error');
    assert.match(message, /^ENOTDIR /);
    assert.doesNotMatch(message, /primary/);
    manager.kill();
    await manager.ended();
  });
});
