'use strict';

// Owns what detach() gives with the descriptor: all that was taken from the kernel and read by nobody, once, in
// order, whoever is just listening to what when it is called.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { beforeEach, describe, test } = require('node:test');
const afunix = require('../../lib');
const {
  assertNoLeak,
  countFds,
  makeFiles,
  nulls,
  readAndClose,
} = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, eventsOf, quiet, write } = require('../helpers/seqpacket.js');
const { inbox, nextEvent, openPair, openSocket } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const { SeqpacketServer, SeqpacketSocket, UServer, USocket, closeFd } = afunix;

/** So many messages come together; a socket for which they do that takes them in one call from then on. */
const BURST = 8;

const makePair = (t, Socket, options) => Socket.pair(options).map((end) => cleanUp(t, end));

// What the test before destroyed is closed when descriptors are counted.
beforeEach(() => quiet(20));

/**
 * Sends bursts to a socket, and waits for each. The listener for the last one is called with the text of each message.
 */
async function inBursts(send, socket, onLast) {
  for (let burst = 0; burst < 4; burst++) {
    let count = 0;
    const listener = (data) => {
      count++;
      if (burst === 3) onLast(String(data));
    };
    socket.on('data', listener);
    for (let number = 0; number < BURST; number++) send(`${burst}.${number}`);
    await until(() => count === BURST || burst === 3, 'a burst');
    await quiet();
    socket.off('data', listener);
  }
}

/** Gives a socket up at the third message of a burst: what detach() gave. */
async function giveUpInBurst(send, socket) {
  const seen = [];
  let found;
  await inBursts(send, socket, (text) => {
    seen.push(text);
    if (text === '3.2') found = socket.detach();
  });
  assert.deepEqual(seen, ['3.0', '3.1', '3.2']);
  return found;
}

describe('detach() in the middle of a burst', onLinux(), () => {
  test('of a SeqpacketSocket: the messages behind come along', async (t) => {
    const [one, two] = makePair(t, SeqpacketSocket);
    const events = eventsOf(one);
    const found = await giveUpInBurst((text) => two.write(text), one);
    assert.deepEqual(found.data.map(String), ['3.3', '3.4', '3.5', '3.6', '3.7']);
    assert.deepEqual(events, ['close undefined']);
    const other = cleanUp(t, new SeqpacketSocket(found.fd));
    await write(two, 'the next');
    assert.equal(String((await nextEvent(other, 'data'))[0]), 'the next');
  });

  for (const [how, pair] of [
    ['a pair', (t) => openPair(t)],
    [
      'one that is bound',
      (t) => {
        const socket = openSocket(t).bind(abstractName());
        return [socket, openSocket(t).bind(abstractName()).connect(socket.address())];
      },
    ],
  ]) {
    test(`of a DgramSocket, ${how}: the messages behind come along`, async (t) => {
      const [one, two] = pair(t);
      const found = await giveUpInBurst((text) => two.send(text), one);
      const texts = found.data.map(({ data }) => String(data));
      assert.deepEqual(texts, ['3.3', '3.4', '3.5', '3.6', '3.7']);
      for (const { path, fds, credentials } of found.data) {
        assert.deepEqual([path, fds, credentials], [two.address(), [], undefined]);
      }
      const messages = inbox(openSocket(t, { fd: found.fd }));
      two.send('the next');
      assert.equal(String((await messages.next()).data), 'the next');
    });
  }

  test('of a DgramSocket: each message has its sender, and what the options ask for', async (t) => {
    const one = openSocket(t, { credentials: true, pidfd: true }).bind(abstractName());
    const senders = [0, 1].map(() => openSocket(t).bind(abstractName()));
    let at = 0;
    let found;
    await inBursts(
      (text) => senders[at++ % 2].sendTo(text, one.address()),
      one.on('data', (_data, _path, { pidfd }) => pidfd === undefined || closeFd(pidfd)),
      (text) => {
        if (text === '3.1') found = one.detach();
      },
    );
    closeFd(found.fd);
    const names = senders.map((sender) => sender.address());
    assert.deepEqual(
      found.data.map(({ path }) => path),
      [names[0], names[1], names[0], names[1], names[0], names[1]],
    );
    for (const { credentials, pidfd } of found.data) {
      assert.equal(credentials.pid, process.pid);
      if (pidfd === undefined) continue;
      assert.equal(afunix.isAlive(pidfd), true);
      closeFd(pidfd);
    }
  });

  test("of a DgramSocket, by a listener for 'error': the message that the error is of comes along", async (t) => {
    const [one, two] = openPair(t, { receiveFds: true, maxPendingFds: 0 });
    const seen = [];
    one.on('data', (data) => seen.push(String(data)));
    const failed = new Promise((resolve) => {
      one.on('error', ({ code }) => resolve({ code, ...one.detach() }));
    });
    const files = nulls(1);
    two.send({ data: 'without it', fds: files });
    files.forEach(closeFd);
    const { code, fd, data } = await within(failed, "'error'");
    closeFd(fd);
    assert.equal(code, 'ERR_AFUNIX_TOO_MANY_FDS');
    assert.deepEqual([data.map((message) => String(message.data)), seen], [['without it'], []]);
  });

  for (const goesOn of [false, true]) {
    test(`of a DgramSocket, in a loop that ${goesOn ? 'goes on' : 'ends with it'}`, async (t) => {
      const [one, two] = openPair(t, { receiveFds: true });
      for (const text of ['a', 'b', 'c']) two.send(text);
      const files = nulls(1);
      two.send({ data: 'd', fds: files });
      files.forEach(closeFd);
      const seen = [];
      let found;
      for await (const { data } of one) {
        seen.push(String(data));
        await quiet();
        found ??= one.detach();
        if (!goesOn) break;
      }
      assert.deepEqual(seen, ['a']);
      const { fd, data, fds } = found;
      assert.deepEqual(
        data.map((message) => String(message.data)),
        ['b', 'c', 'd'],
      );
      assert.deepEqual([data[2].fds.length, fds], [1, []]);
      for (const each of [fd, ...data[2].fds]) closeFd(each);
    });
  }

  test('of a DgramSocket, in a loop with a listener: that has got them, and the loop goes on', async (t) => {
    const [one, two] = openPair(t);
    const heard = [];
    one.on('data', (data) => heard.push(String(data)));
    for (const text of ['a', 'b', 'c']) two.send(text);
    const seen = [];
    let found;
    for await (const { data } of one) {
      seen.push(String(data));
      await quiet();
      found ??= one.detach();
    }
    closeFd(found.fd);
    assert.deepEqual([seen, heard, found.data], [['a', 'b', 'c'], ['a', 'b', 'c'], null]);
  });

  test('of a DgramSocket: messages whose pidfds were refused come along, and each has an error', async (t) => {
    const one = openSocket(t, { pidfd: true, maxPendingFds: 3 }).bind(abstractName());
    const sender = openSocket(t).connect(one.address());
    const errors = [];
    one.on('error', ({ code }) => errors.push(code));
    const take = (_data, _path, { pidfd }) => pidfd === undefined || closeFd(pidfd);
    let found;
    await inBursts(
      (text) => sender.send(text),
      one.on('data', take),
      (text) => {
        if (text !== '3.1') return;
        errors.length = 0;
        found = one.detach();
        assert.deepEqual(errors, []);
      },
    );
    closeFd(found.fd);
    const [{ pidfd }, ...others] = found.data;
    assert.equal(afunix.isAlive(pidfd), true);
    closeFd(pidfd);
    assert.deepEqual(
      others.map((each) => [String(each.data), each.pidfd]),
      [3, 4, 5, 6, 7].map((number) => [`3.${number}`, undefined]),
    );
    assert.deepEqual(errors, Array(5).fill('ERR_AFUNIX_TOO_MANY_FDS'));
  });

  test('of a SeqpacketSocket: a pidfd stays with its message', async (t) => {
    const [one, two] = makePair(t, SeqpacketSocket, { pidfd: true, pauseOnConnect: true });
    one.read(0);
    for (const text of ['a', 'b']) await write(two, text);
    await until(() => one.readableLength === 2, 'the messages');
    const { fd, data } = one.detach();
    closeFd(fd);
    for (const { pidfd } of data) {
      if (pidfd === undefined) continue;
      assert.equal(afunix.isAlive(pidfd), true);
      closeFd(pidfd);
    }
  });

  test('by a listener that throws: nothing is lost, and nothing comes twice', async (t) => {
    const found = await runScript(t, ({ SeqpacketSocket: Socket }) => {
      const [one, two] = Socket.pair();
      const seen = [];
      one.on('data', (data) => {
        seen.push(String(data));
        if (String(data) !== '3.2') return;
        const rest = one.detach().data.map(String);
        process.once('uncaughtException', ({ message }) => {
          two.destroy();
          setTimeout(() => console.log(JSON.stringify([seen.slice(-3), rest, message])), 50);
        });
        throw new Error('of the listener');
      });
      const send = (burst) => {
        for (let number = 0; number < 8; number++) two.write(`${burst}.${number}`);
        if (burst < 3) setTimeout(send, 20, burst + 1);
      };
      send(0);
    });
    assert.deepEqual(found, [
      ['3.0', '3.1', '3.2'],
      ['3.3', '3.4', '3.5', '3.6', '3.7'],
      'of the listener',
    ]);
  });
});

for (const Socket of [USocket, SeqpacketSocket]) {
  describe(`detach() of a ${Socket.name} that is paused`, onLinux(), () => {
    test('what it gives is no event', async (t) => {
      const [one, two] = makePair(t, Socket);
      const seen = [];
      one.on('data', (data) => {
        seen.push(String(data));
        one.pause();
      });
      const events = eventsOf(one);
      await write(two, 'read');
      await until(() => seen.length === 1, 'the first message');
      two.end('not read');
      await until(() => one.readableLength > 0, 'the rest to be buffered');
      await quiet();
      const { fd, data } = one.detach();
      closeFd(fd);
      assert.equal([data].flat().join(), 'not read');
      await quiet();
      assert.deepEqual(seen, ['read']);
      assert.deepEqual(events, ['close undefined']);
    });

    test('it takes no more from the kernel, however much is buffered', async (t) => {
      const [one, two] = makePair(t, Socket, { readableHighWaterMark: 4, pauseOnConnect: true });
      const events = eventsOf(one);
      one.read(0);
      for (let count = 0; count < 8; count++) await write(two, Buffer.alloc(100, count));
      await until(() => one.readableLength >= 4, 'the buffer to be full');
      const length = one.readableLength;
      const { fd, data } = one.detach();
      closeFd(fd);
      assert.equal(data.length, length);
      await quiet();
      assert.deepEqual(events, ['close undefined']);
    });

    test('whoever takes it over may be paused from the start', async (t) => {
      const [one, two] = makePair(t, Socket);
      const { fd } = one.detach();
      const other = cleanUp(t, new Socket({ fd, pauseOnConnect: true }));
      // Without a connection there is nothing to pause.
      assert.deepEqual(
        [other.isPaused(), new Socket({ pauseOnConnect: true }).isPaused()],
        [true, false],
      );
      await write(two, 'waits');
      const coming = nextEvent(other, 'data');
      other.resume();
      assert.equal(String((await coming)[0]), 'waits');
    });

    test('connected again behind a write that failed, and in the same turn, it is as new', async (t) => {
      const server = new (Socket === USocket ? UServer : SeqpacketServer)((socket) => {
        socket.end('from the server');
      });
      server.listen(abstractName(), 0).pause();
      t.after(() => server.close());
      // The backlog is full: there is no connection for some time.
      const first = cleanUp(t, new Socket()).connect(server.address()).resume();
      await nextEvent(first, 'connect');
      const [one, two] = makePair(t, Socket);
      const events = eventsOf(one);
      const seen = [];
      one.on('data', (data) => seen.push(String(data)));
      two.destroy();
      one.write('to nobody', () => {});
      one.destroy();
      one.connect(server.address());
      await quiet();
      server.resume();
      await nextEvent(one, 'end');
      assert.deepEqual(seen, ['from the server']);
      assert.ok(!events.some((event) => event.startsWith('error')), events.join());
    });

    test('connected again it goes on as it was', async (t) => {
      const [one, two] = makePair(t, Socket);
      const server = new (Socket === USocket ? UServer : SeqpacketServer)((socket) => {
        socket.end('from the server');
      }).listen(abstractName());
      t.after(() => server.close());
      const seen = [];
      one.on('data', (data) => seen.push(String(data)));
      await write(two, 'first');
      await until(() => seen.length === 1, 'the first message');
      closeFd(one.detach().fd);
      one.connect(server.address());
      await nextEvent(one, 'end');
      assert.deepEqual(seen, ['first', 'from the server']);
    });
  });
}

describe('a USocket that takes a descriptor over', onLinux(), () => {
  test('calls back in a later turn', async (t) => {
    const [one] = makePair(t, USocket);
    let called = false;
    const connected = new Promise((resolve) => {
      cleanUp(
        t,
        new USocket({ fd: one.detach().fd }, () => {
          called = true;
          resolve();
        }),
      );
    });
    assert.equal(called, false);
    await within(connected, 'the callback');
  });

  test("has no 'data' behind a listener for 'fds' that destroys it", async (t) => {
    const [one, two] = makePair(t, USocket);
    const seen = [];
    one.on('data', (data) => seen.push(String(data)));
    await write(two, 'before');
    await until(() => seen.length === 1, 'the first chunk');
    const destroyed = new Promise((resolve) => {
      one.on('fds', (fds) => {
        fds.forEach(closeFd);
        resolve(one.destroy());
      });
    });
    const files = nulls(1);
    two.write({ data: 'behind', fds: files });
    files.forEach(closeFd);
    await within(destroyed, "'fds'");
    await quiet();
    assert.deepEqual(seen, ['before']);
  });
});

describe('detach() while descriptors wait', onLinux(), () => {
  test('to be sent, of a USocket: EBUSY, and nothing is lost', async (t) => {
    const [one, two] = makePair(t, USocket);
    const files = nulls(1);
    one.write(files);
    files.forEach(closeFd);
    assert.throws(() => one.detach(), { code: 'EBUSY', syscall: 'detach' });
    const coming = nextEvent(two, 'fds');
    await write(one, 'now');
    const [[fd]] = await coming;
    closeFd(fd);
    closeFd(one.detach().fd);
  });

  test('of a SeqpacketSocket: what others have put back is theirs', (t) => {
    const [one] = makePair(t, SeqpacketSocket, { receiveFds: true, pauseOnConnect: true });
    for (const chunk of [undefined, 5, { fds: [0] }, 'text']) one.unshift(chunk);
    const { fd, data, fds } = one.detach();
    closeFd(fd);
    assert.deepEqual([data, fds], [['text', { fds: [0] }, 5, undefined], []]);
  });

  test('of a SeqpacketSocket: each message has its own, and all are in order', async (t) => {
    const { paths, texts } = makeFiles(t, 12);
    const [one, two] = makePair(t, SeqpacketSocket, { receiveFds: true, pauseOnConnect: true });
    one.read(0);
    const files = paths.map((path) => fs.openSync(path));
    for (let at = 0; at < files.length; at += 2) {
      await write(two, { data: `${at}`, fds: files.slice(at, at + 2) });
    }
    files.forEach(closeFd);
    await until(() => one.readableLength === 6, 'the messages');
    // The first is put back with descriptors that its reader has; the second is read, and has its own yet.
    const [first, second] = [one.read(), one.read()];
    const taken = [...first.fds];
    one.unshift(first);
    const { fd, data, fds } = one.detach();
    closeFd(fd);
    assert.deepEqual(data.map(String), ['0', '4', '6', '8', '10']);
    assert.deepEqual(data[0].fds, taken);
    assert.deepEqual(
      data.slice(1).flatMap((message) => message.fds),
      fds.slice(2),
    );
    assert.throws(() => second.fds, { code: 'ERR_AFUNIX_FDS_CLOSED' });
    assert.deepEqual(readAndClose([...taken, ...fds]), texts);
  });

  const callback = () => true;
  for (const [how, options] of [
    ['', {}],
    ['with onread, ', { onread: { buffer: Buffer.alloc(100), callback } }],
    [
      'with onread to a view, ',
      { onread: { buffer: () => new DataView(new ArrayBuffer(100)), callback } },
    ],
    [
      'with onread to an ArrayBuffer, ',
      { onread: { buffer: () => new ArrayBuffer(100), callback } },
    ],
    ['with onread to nothing, ', { onread: { buffer: () => undefined, callback } }],
    ['with setEncoding(), ', {}],
  ]) {
    test(`of a USocket, ${how}by a listener for 'fds': their bytes come along`, async (t) => {
      const before = countFds();
      const [one, two] = makePair(t, USocket);
      const { fd: given } = one.detach();
      const socket = cleanUp(t, new USocket({ fd: given, ...options }));
      if (how.includes('setEncoding')) socket.setEncoding('utf8');
      const seen = [];
      if (!how.includes('onread')) socket.on('data', (data) => seen.push(String(data)));
      const taking = new Promise((resolve) => {
        socket.on('fds', (came) => resolve({ came, ...socket.detach() }));
      });
      const files = nulls(2);
      await write(two, { data: 'with two', fds: files });
      files.forEach(closeFd);
      const { came, fd, data, fds } = await taking;
      assert.deepEqual([String(data), came.length, fds, seen], ['with two', 2, [], []]);
      for (const each of [fd, ...came]) closeFd(each);
      two.destroy();
      await assertNoLeak(before);
    });
  }
});
