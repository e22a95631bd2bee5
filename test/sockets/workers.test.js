'use strict';

// Owns worker threads: each has sockets of its own, and none is harmed by the end of another.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startScript, startStalled, startWorker } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { inbox, openPair, openSocket, sendTo } = require('../helpers/sockets.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/**
 * The life of a worker: sockets in every state, and traffic between two of them that does not end.
 * After `rounds` of it the worker ends itself in the way that `end` names.
 */
function live({ DgramSocket, closeFd }, { folder, name, stalled, rounds, end }, port) {
  const idle = new DgramSocket();
  const bound = new DgramSocket({ receiveFds: true, credentials: true }).bind(`${folder}/${name}`);
  const [one, two] = DgramSocket.pair({ sendBufferSize: 1, receiveFds: true });
  const waiting = new DgramSocket();
  const file = 0;
  for (let count = 0; count < 50; count++) waiting.sendTo('x', stalled, { fds: [file] }, () => {});
  // Descriptors that nobody takes, and messages that wait for these two.
  for (let count = 0; count < 20; count++) one.send({ data: 'x', fds: [file] }, () => {});
  const ways = {
    exit: () => process.exit(3),
    throw: () => {
      throw new Error('on purpose');
    },
    close: () => {
      port.close?.();
      for (const socket of [idle, bound, one, two, waiting]) socket.close();
    },
    unref: () => {
      for (const socket of [idle, bound, one, two, waiting]) socket.unref();
    },
    run: () => {},
  };
  let count = 0;
  bound.on('data', (data, path, info) => {
    for (const fd of info.fds) closeFd(fd);
    if (++count === 1) port.postMessage('running');
    if (count === rounds) ways[end]();
    if (bound.fd >= 0 && (count < rounds || end === 'run')) next();
  });
  const next = () => {
    // What a handler holds when its thread is terminated from outside is lost: not of those.
    idle.sendTo('round', `${folder}/${name}`, { fds: end === 'run' ? [] : [file] });
    // Also one that waits until it is the worker's turn again.
    if (count % 10 === 0) one.send('x', () => {});
  };
  next();
}

const EXIT_CODES = { exit: 3, throw: 1, close: 0, unref: 0, run: 1 };

describe('a worker', onLinux({}), () => {
  test('has sockets of its own, which talk to those of others', async (t) => {
    const folder = temporaryFolder(t);
    const answer = ({ DgramSocket }, path, port) => {
      const socket = new DgramSocket().bind(path);
      socket.on('data', (data, from) => {
        socket.sendTo(`${data} answered`, from, () => {
          if (String(data) === '99') socket.close();
        });
      });
      port.postMessage('ready');
    };
    const workers = ['a', 'b'].map((name) => startWorker(t, answer, `${folder}/${name}`));
    for (const { messages } of workers) await messages.next('a worker to bind');
    const socket = openSocket(t).bind(`${folder}/main`);
    const messages = inbox(socket);
    for (let number = 0; number < 100; number++) {
      await sendTo(socket, `${number}`, `${folder}/a`);
      await sendTo(socket, `${number}`, `${folder}/b`);
      const answers = await messages.take(2);
      for (const { data } of answers) assert.equal(String(data), `${number} answered`);
      assert.deepEqual(answers.map(({ path }) => path).sort(), [`${folder}/a`, `${folder}/b`]);
    }
    for (const { exited } of workers) assert.equal(await exited(), 0);
    assert.deepEqual(fs.readdirSync(folder), ['main']);
  });

  test('can end in any way and at any moment, 20 of them, and harm nobody', async (t) => {
    const folder = temporaryFolder(t);
    const stalled = await startStalled(t, temporaryPath(t));
    // What must go on: two sockets of the main thread that pass a number to and fro.
    const [one, two] = openPair(t);
    let numbers = 0;
    let running = true;
    for (const socket of [one, two]) {
      socket.on('data', (data) => {
        assert.equal(Number(data), numbers++);
        if (running) socket.send(`${numbers}`);
      });
    }
    one.send('0');

    const before = countFds();
    const ends = Object.keys(EXIT_CODES);
    const workers = [];
    for (let index = 0; index < 20; index++) {
      const end = ends[index % ends.length];
      const data = { folder, name: `${index}`, stalled: stalled.name, rounds: 1 + index * 7, end };
      const started = startWorker(t, live, data);
      workers.push({ ...started, end });
      // At most four at once, always some of them starting, running and ending.
      if (index % 4 === 3) {
        const count = numbers;
        for (const { end: how, worker, messages } of workers.slice(-4)) {
          await messages
            .next('a worker to run')
            .catch((error) => assert.match(`${error}`, /end|purpose/));
          if (how === 'run') worker.terminate();
        }
        for (const { exited, end: how } of workers.slice(-4)) {
          assert.equal(await exited(), EXIT_CODES[how], how);
        }
        assert.ok(numbers > count, 'the sockets of the main thread stand still');
      }
    }
    for (const { end, failure, stderr } of workers) {
      assert.equal(stderr(), '');
      if (end === 'throw') assert.equal(failure()?.message, 'on purpose');
      else assert.equal(failure(), undefined);
    }
    assert.deepEqual(fs.readdirSync(folder), []);
    running = false;
    await assertNoLeak(before);
  });

  test('can be terminated before it has done anything', async (t) => {
    const before = countFds();
    const folder = temporaryFolder(t);
    for (let index = 0; index < 10; index++) {
      const data = { folder, name: `${index}`, stalled: `${folder}/nobody`, rounds: 1, end: 'run' };
      const { worker, exited } = startWorker(t, live, data);
      // From at once to the midst of its start.
      await new Promise((resolve) => setTimeout(resolve, index * 5));
      await worker.terminate();
      await exited();
    }
    assert.deepEqual(fs.readdirSync(folder), []);
    await assertNoLeak(before);
  });

  for (const where of ['data', 'send', 'queued', 'error', 'drain', 'close', 'connect', 'loop']) {
    test(`can call process.exit in a handler: ${where}`, async (t) => {
      const before = countFds();
      const folder = temporaryFolder(t);
      const { exited, failure } = startWorker(
        t,
        async ({ DgramSocket }, { path, place }) => {
          const [one, two] = DgramSocket.pair({ sendBufferSize: 1, writableHighWaterMark: 1000 });
          new DgramSocket({ receiveFds: true }).bind(path);
          const exit = () => process.exit(7);
          const fill = (callback) => {
            for (let count = 0; count < 100; count++) one.send('x'.repeat(100), callback);
          };
          two.on('data', () => {});
          if (place === 'data') two.on('data', exit);
          if (place === 'data') fill();
          if (place === 'send') one.send('x', exit);
          if (place === 'queued') {
            let called = 0;
            fill(() => ++called === 80 && exit());
          }
          if (place === 'error') one.on('error', exit).sendTo('x', `${path}-nobody`);
          if (place === 'drain') one.on('drain', exit);
          if (place === 'drain') fill();
          if (place === 'close') one.close(exit);
          if (place === 'connect') one.connect(path, exit);
          if (place === 'loop') {
            fill();
            for await (const message of two) {
              if (message.data.length === 100) exit();
            }
          }
        },
        { path: `${folder}/a.sock`, place: where },
      );
      assert.equal(await exited(), 7);
      assert.equal(failure(), undefined);
      assert.deepEqual(fs.readdirSync(folder), []);
      await assertNoLeak(before);
    });
  }

  test('dies with the process, whatever it is doing', async (t) => {
    const folder = temporaryFolder(t);
    for (const how of ['exit', 'end', 'throw']) {
      const program = startScript(
        t,
        ({ DgramSocket }, worker, options, way) => {
          const { Worker } = require('node:worker_threads');
          const lib = require.resolve(options.lib);
          const source = `const { parentPort, workerData } = require('node:worker_threads');
            (${worker})(require(${JSON.stringify(lib)}), workerData, parentPort);`;
          const socket = new DgramSocket().bind(`${options.folder}/main`);
          let running = 0;
          for (const name of ['a', 'b', 'c']) {
            const workerData = { ...options, name };
            const thread = new Worker(source, { eval: true, workerData });
            thread.on('message', () => {
              if (++running < 3) return;
              console.log('all run');
              if (way === 'exit') process.exit(0);
              if (way === 'throw') throw new Error('on purpose');
              socket.close();
            });
            // After on('message'), which undoes it.
            thread.unref();
          }
        },
        [
          `${live}`,
          {
            lib: require.resolve('../../lib'),
            folder,
            stalled: `${folder}/nobody`,
            rounds: 1,
            end: 'run',
          },
          how,
        ],
      );
      const { code, signal, stderr, stdout } = await program.ended();
      assert.equal(stdout, 'all run\n', stderr);
      assert.equal(signal, null);
      assert.equal(code, how === 'throw' ? 1 : 0, stderr);
      for (const name of fs.readdirSync(folder)) {
        // process.exit() in the main thread leaves no time for the files of that thread.
        assert.equal(name, 'main');
        fs.unlinkSync(`${folder}/${name}`);
      }
    }
  });
});

describe('with UV_USE_IO_URING=1', onLinux({}), () => {
  test('sockets, waiting and workers do the same', async (t) => {
    const stalled = await startStalled(t, temporaryPath(t));
    const result = await runScript(
      t,
      async ({ DgramSocket }, lib, folder, name) => {
        const { once } = require('node:events');
        const { Worker } = require('node:worker_threads');
        const socket = new DgramSocket().bind(`${folder}/a`);
        const counts = { received: 0, sent: 0, codes: [] };
        socket.on('data', () => counts.received++);
        const waiting = new DgramSocket();
        const callback = (error) => counts.codes.push(error?.code ?? 'sent');
        for (let count = 0; count < 100; count++) waiting.sendTo('x', name, callback);
        const worker = new Worker(
          `const { DgramSocket } = require(${JSON.stringify(lib)});
          const [one, two] = DgramSocket.pair();
          let count = 0;
          two.on('data', () => ++count === 1000 ? process.exit(5) : one.send('x'));
          one.send('x');`,
          { eval: true },
        );
        const exit = once(worker, 'exit');
        while (counts.received < 1000) {
          const sender = new DgramSocket();
          for (let count = 0; count < 50; count++) {
            sender.sendTo('x', `${folder}/a`, () => counts.sent++);
          }
          while (sender.writableLength > 0) await new Promise(setImmediate);
          sender.close();
        }
        const [code] = await exit;
        waiting.close();
        socket.close();
        await once(socket, 'close');
        await new Promise(setImmediate);
        console.log(JSON.stringify({ ...counts, code }));
      },
      [require.resolve('../../lib'), temporaryFolder(t), stalled.name],
      { env: { ...process.env, UV_USE_IO_URING: '1' } },
    );
    assert.equal(result.code, 5);
    assert.ok(result.received >= 1000);
    assert.equal(result.sent, result.received);
    assert.equal(result.codes.filter((code) => code === 'sent').length, 11);
    assert.equal(result.codes.filter((code) => code === 'ECANCELED').length, 89);
  });
});
