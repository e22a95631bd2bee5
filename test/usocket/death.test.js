'use strict';

// Owns the death of USockets: of the peer at each moment, of a process, of a worker, and what calls
// from inside handlers do to a socket.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { USocket, closeFd } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startScript, startWorker } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { Outcomes, nextEvent } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { delay, until } = require('../helpers/wait.js');
const { allBytes, connectedPair, makePair, startServer } = require('../helpers/usocket.js');

assertNoLeaks();

describe('the peer dies', onLinux(), () => {
  test('with our bytes unread and others waiting: its last bytes, then the error', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    await quiet();
    two.write(Buffer.alloc(300_000, 'last'));
    two.write('words');
    await quiet();
    // More than the other end takes in: some of it stays in the kernel.
    one.pause();
    one.write(Buffer.alloc(2_000_000), () => {});
    await quiet();
    const sent = two.bytesWritten - two.writableLength;
    two.destroy();
    const events = eventsOf(one, ['end', 'error', 'close']);
    let length = 0;
    one.on('data', (data) => (length += data.length)).resume();
    await closing(one);
    assert.ok(length >= Math.min(sent, 65_536), `${length} of ${sent}`);
    assert.match(events.join(), /^(end,)?error (ECONNRESET|EPIPE),close true$/);
  });

  test('small last words come before the end, as with net, although ours were not read', async (t) => {
    const [one, two] = makePair(t, { pauseOnConnect: true });
    one.write('never read');
    two.write('last words');
    two.destroy();
    const events = eventsOf(one, ['end', 'error', 'close']);
    one.on('data', (data) => events.push(`data ${data}`)).resume();
    await closing(one);
    assert.deepEqual(events, ['data last words', 'end', 'close false']);
  });

  test('and there were no last words: ECONNRESET', async (t) => {
    const [one, two] = makePair(t, { pauseOnConnect: true });
    one.write('never read');
    two.destroy();
    const events = eventsOf(one, ['end', 'error', 'close']);
    one.resume();
    await closing(one);
    assert.deepEqual(events, ['error ECONNRESET', 'close true']);
  });

  test('and we write: its last words, EPIPE to the callback, error and close', async (t) => {
    const [one, two] = makePair(t, { pauseOnConnect: true });
    two.write('last words');
    two.destroy();
    const events = eventsOf(one, ['end', 'error', 'close']);
    one.on('data', (data) => events.push(`data ${data}`));
    const outcomes = new Outcomes();
    one.write('are you there?', outcomes.callback());
    one.write('and now?', outcomes.callback());
    one.resume();
    await closing(one);
    assert.deepEqual(outcomes.codes, Outcomes.all(2, 'EPIPE'));
    assert.deepEqual(events, ['data last words', 'error EPIPE', 'close true']);
    assert.equal(one.readableDidRead, true);
  });

  test('and we write: its last words are whole characters with setEncoding()', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one, ['end', 'error', 'close']);
    one.setEncoding('utf8').on('data', (data) => events.push(data));
    const bytes = Buffer.from('\u00fc\u20ac\u{1f600}.');
    two.write(bytes.subarray(0, 3));
    await nextEvent(one, 'data');
    two.write(bytes.subarray(3));
    two.destroy();
    one.write('are you there?');
    await closing(one);
    assert.deepEqual(events, ['\u00fc', '\u20ac\u{1f600}.', 'error EPIPE', 'close true']);
  });

  test('and we write, and destroy() the socket while its last words are read: they end there', async (t) => {
    const [one, two] = makePair(t, { pauseOnConnect: true });
    two.write(Buffer.alloc(150_000));
    await until(() => two.writableLength === 0, 'the words');
    two.destroy();
    const events = eventsOf(one, ['end', 'error', 'close']);
    one.on('data', () => {
      events.push('data');
      one.destroy(new Error('enough'));
    });
    one.write('are you there?');
    one.resume();
    await closing(one);
    assert.deepEqual(events, ['data', 'error Error: enough', 'close true']);
  });

  test('and nobody reads: the error is reported at once', async (t) => {
    const [one, two] = makePair(t);
    two.destroy();
    const events = eventsOf(one, ['error', 'close']);
    const outcomes = new Outcomes();
    one.write('x', outcomes.callback());
    await closing(one);
    assert.deepEqual(outcomes.codes, [[0, 'EPIPE']]);
    assert.deepEqual(events, ['error EPIPE', 'close true']);
    assert.equal(one.errored.syscall, 'write');
    assert.equal(one.errored.message, 'write EPIPE');
  });

  test('while a large write waits, with descriptors behind it', async (t) => {
    const before = countFds();
    const [one, two] = makePair(t);
    two.pause();
    await quiet();
    one.resume().on('error', () => {});
    const outcomes = new Outcomes();
    one.write(Buffer.alloc(3_000_000), outcomes.callback());
    one.write({ data: 'x', fds: [0, 0] }, outcomes.callback());
    one.write([0], outcomes.callback());
    two.destroy();
    await closing(one);
    assert.equal(outcomes.codes.length, 3);
    assert.deepEqual(
      outcomes.codes.map(([number]) => number),
      [0, 1, 2],
    );
    for (const [, code] of outcomes.codes) assert.match(code, /^(EPIPE|ECONNRESET)$/);
    await assertNoLeak(before);
  });

  test('after its end, while we still write', async (t) => {
    const [one, two] = makePair(t, { allowHalfOpen: true });
    one.resume();
    two.pause();
    two.end('bye');
    await nextEvent(one, 'end');
    const events = eventsOf(one, ['error', 'close']);
    const outcomes = new Outcomes();
    two.destroy();
    one.write('x', outcomes.callback());
    await closing(one);
    assert.deepEqual(outcomes.codes, [[0, 'EPIPE']]);
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });

  test('a reader that pauses hears of it when it has read all', async (t) => {
    const [one, two] = makePair(t);
    one.on('data', () => {}).pause();
    two.write('last words');
    await until(() => one.readableLength > 0, 'the words');
    two.pause();
    one.write('unread');
    two.destroy();
    const events = eventsOf(one, ['error', 'close']);
    await assertIdle('what it has not read');
    one.removeAllListeners('data');
    assert.deepEqual(events, []);
    one.on('data', (data) => events.push(`data ${data}`)).resume();
    await closing(one);
    assert.equal(events[0], 'data last words');
    assert.equal(events.at(-1).startsWith('close'), true);
    assert.equal(events.filter((event) => event.startsWith('close')).length, 1);
  });

  for (const [how, echo] of [
    ['pipe', (socket) => socket.pipe(socket)],
    [
      'a loop that waits for drain',
      async (socket) => {
        for await (const chunk of socket) {
          await delay(1);
          if (!socket.write(chunk)) await once(socket, 'drain');
        }
      },
    ],
  ]) {
    test(`and we wait for room to answer (${how}): the socket ends`, async (t) => {
      const [one, two] = makePair(t);
      const words = Buffer.alloc(120_000, 'word');
      // Some of it waits here unread, and the answer to some has no room there.
      two.pause();
      for (let count = 0; count < 20; count++) two.write(words, () => {});
      await quiet();
      const events = eventsOf(one, ['error', 'close']);
      Promise.resolve(echo(one)).catch(() => {});
      await delay(20);
      two.destroy();
      await closing(one);
      assert.match(events.join(), /^error (EPIPE|ECONNRESET),close true$/);
    });
  }

  test('a killed process: what it sent is read, descriptors too, then the end', async (t) => {
    const server = startServer(t);
    const program = startScript(
      t,
      ({ USocket: Socket }, name) => {
        const fd = require('node:fs').openSync('/dev/null');
        const socket = new Socket(name, () => {
          socket.write({ data: 'last words', fds: [fd] }, () =>
            process.kill(process.pid, 'SIGKILL'),
          );
        });
      },
      [server.address()],
    );
    const [socket] = await nextEvent(server, 'connection');
    const fds = [];
    socket.on('fds', (some) => fds.push(...some));
    await program.ended();
    assert.equal(String(await allBytes(socket)), 'last words');
    assert.equal(fds.length, 1);
    closeFd(fds[0]);
  });

  for (const when of ['before the first byte', 'amid a flood from it', 'amid a flood to it']) {
    test(`a killed process ${when}`, async (t) => {
      const before = countFds();
      const server = startServer(t);
      const program = startScript(
        t,
        ({ USocket: Socket }, name, how) => {
          const socket = new Socket(name);
          if (how === 'amid a flood from it') {
            const put = () => {
              while (socket.write(Buffer.alloc(50_000)));
            };
            socket.on('drain', put);
            socket.on('connect', put);
          } else if (how === 'amid a flood to it') {
            socket.resume();
          }
        },
        [server.address(), when],
      );
      const [socket] = await nextEvent(server, 'connection');
      const events = eventsOf(socket, ['close']);
      const errors = [];
      socket.on('error', ({ code }) => errors.push(code)).resume();
      let written = 0;
      let called = 0;
      const put = () => {
        while (!socket.destroyed) {
          written++;
          if (!socket.write(Buffer.alloc(100_000), () => called++)) return;
        }
      };
      if (when === 'amid a flood to it') socket.on('drain', put) && put();
      if (when !== 'before the first byte') {
        await until(() => socket.bytesRead + socket.bytesWritten > 2_000_000, 'the flood');
      }
      program.kill('SIGKILL');
      await closing(socket);
      await program.ended();
      assert.equal(events.length, 1);
      assert.equal(called, written);
      for (const code of errors) assert.match(code, /^(EPIPE|ECONNRESET)$/);
      assert.ok(errors.length <= 1);
      server.close();
      await closing(server);
      await quiet(20);
      assert.ok(countFds() <= before, `${countFds()} descriptors, there were ${before}`);
    });
  }
});

describe('calls from inside handlers', onLinux(), () => {
  for (const [event, provoke] of [
    ['data', (two) => two.write('x')],
    ['fds', (two) => two.write({ data: 'x', fds: [0] })],
    ['readable', (two) => two.write('x')],
    ['end', (two) => two.end()],
    ['timeout', (_two, one) => one.setTimeout(5)],
    ['finish', (_two, one) => one.end()],
    ['drain', (two, one) => one.write(Buffer.alloc(500_000)) || two.resume()],
    ['error', (_two, one) => one.destroy(new Error('mine'))],
    ['close', (_two, one) => one.destroy()],
  ]) {
    for (const action of ['destroy', 'close', 'end', 'pause']) {
      test(`${action}() in '${event}'`, async (t) => {
        const before = countFds();
        const [one, two] = makePair(t);
        two.on('error', () => {});
        const events = eventsOf(one, ['error', 'close']);
        let calls = 0;
        one.once(event, (argument) => {
          calls++;
          if (event === 'fds') argument.forEach(closeFd);
          one[action]();
        });
        if (event === 'end') one.resume();
        provoke(two, one);
        await until(() => calls === 1, `'${event}'`);
        await quiet();
        if (action === 'destroy' || action === 'close') assert.equal(one.destroyed, true);
        one.destroy();
        two.destroy();
        await closing(one);
        assert.equal(events.filter((each) => each.startsWith('close')).length, 1);
        await assertNoLeak(before);
      });
    }
  }

  test('a socket destroyed in the handler of another is not called any more', async (t) => {
    const pairs = Array.from({ length: 10 }, () => makePair(t));
    let calls = 0;
    for (const [one] of pairs) {
      one.on('data', () => {
        calls++;
        for (const [other] of pairs) other.destroy();
      });
    }
    for (const [, two] of pairs) {
      two.on('error', () => {});
      two.write('x');
    }
    await Promise.all(pairs.flat().map((socket) => closing(socket)));
    assert.equal(calls, 1);
  });

  test('an exception in any handler costs no byte, and closes nothing', async (t) => {
    const result = await runScript(t, async ({ USocket: Socket }) => {
      const errors = [];
      process.on('uncaughtException', ({ message }) => errors.push(message));
      const [one, two] = Socket.pair({ allowHalfOpen: true });
      let text = '';
      two.on('data', (data) => {
        text += data;
        throw new Error('data');
      });
      two.on('end', () => {
        throw new Error('end');
      });
      one.on('finish', () => {
        throw new Error('finish');
      });
      const untilErrors = async (count) => {
        while (errors.length < count) await new Promise((done) => setImmediate(done));
      };
      for (const [index, word] of ['a', 'b', 'c'].entries()) {
        one.write(word);
        await untilErrors(index + 1);
      }
      one.end();
      await untilErrors(5);
      two.end();
      await require('node:events').once(one, 'close');
      console.log(JSON.stringify({ text, errors: errors.sort() }));
      one.destroy();
      two.destroy();
    });
    assert.deepEqual(result, { text: 'abc', errors: ['data', 'data', 'data', 'end', 'finish'] });
  });

  test("an exception in 'drain' costs no callback, and the socket still ends", async (t) => {
    const result = await runScript(t, async ({ USocket: Socket }) => {
      const { once: onceEmitted } = require('node:events');
      const errors = [];
      process.on('uncaughtException', ({ message }) => errors.push(message));
      const [one, two] = Socket.pair();
      one.on('drain', () => {
        throw new Error('drain');
      });
      let called = 0;
      for (let count = 0; count < 60; count++) one.write(Buffer.alloc(20_000), () => called++);
      two.resume();
      while (errors.length === 0) await new Promise((done) => setImmediate(done));
      one.end();
      await onceEmitted(one, 'close');
      console.log(JSON.stringify({ called, errors }));
    });
    assert.deepEqual(result, { called: 60, errors: ['drain'] });
  });
});

describe('the life of the process', onLinux(), () => {
  test('a worker that is terminated closes its sockets: the peers see the end', async (t) => {
    const before = countFds();
    for (let round = 0; round < 3; round++) {
      const server = startServer(t);
      const connections = [];
      server.on('connection', (socket) => {
        socket.on('error', () => {});
        connections.push(socket.resume());
      });
      const { worker, messages, exited } = startWorker(
        t,
        ({ UServer, USocket: Socket }, name, port) => {
          globalThis.kept = Array.from({ length: 20 }, (_, index) => {
            const socket = new Socket(name);
            socket.on('error', () => {});
            if (index % 4 === 1) socket.write({ data: 'x', fds: [0] });
            if (index % 4 === 2) socket.write(Buffer.alloc(1_000_000));
            if (index % 4 === 3) socket.write([0]);
            return socket;
          });
          globalThis.pairs = Array.from({ length: 20 }, () => Socket.pair());
          for (const [one, two] of globalThis.pairs) {
            two.on('data', () => two.write('pong'));
            one.on('data', () => one.write('ping'));
            one.write('ping');
          }
          globalThis.server = new UServer().listen();
          setTimeout(() => port.postMessage('ready'), 30);
        },
        server.address(),
      );
      await messages.next();
      await until(() => connections.length === 20, 'the connections');
      await worker.terminate();
      await exited();
      await Promise.all(connections.map((socket) => closing(socket)));
      server.close();
      await closing(server);
    }
    await until(() => countFds() <= before, `${countFds()} descriptors to become ${before}`);
  });

  test('process.exit() amid everything', async (t) => {
    const program = startScript(t, ({ UServer, USocket: Socket }) => {
      const server = new UServer((socket) => {
        socket.on('data', () => process.exit(7));
        socket.write(Buffer.alloc(1_000_000));
      }).listen();
      const client = new Socket(server.address());
      client.write({ data: Buffer.alloc(1_000_000), fds: [0] });
      client.write([0]);
      new Socket(abstract());
      function abstract() {
        return server.address();
      }
    });
    assert.deepEqual(await program.ended(), { code: 7, signal: null, stdout: '', stderr: '' });
  });

  test('a pair whose other end is destroyed and dropped sees the end', async () => {
    const one = (() => {
      const [left, right] = USocket.pair();
      right.pause();
      right.unref();
      right.destroy();
      return left;
    })();
    one.resume();
    await once(one, 'close');
  });

  test('connections to a name that nobody has: no trace', async (t) => {
    const before = countFds();
    const sockets = Array.from({ length: 100 }, () => new USocket(abstractName()));
    const codes = await Promise.all(
      sockets.map(async (socket) => (await nextEvent(socket, 'error'))[0].code),
    );
    assert.deepEqual(new Set(codes), new Set(['ECONNREFUSED']));
    await quiet();
    await assertNoLeak(before);
    const { client, socket } = await connectedPair(t);
    client.destroy(new Error('mine'));
    client.on('error', () => {});
    await closing(socket.resume());
  });
});
