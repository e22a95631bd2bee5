'use strict';

// Owns descriptors and credentials with messages: what holds one, who closes which, and limits.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startReceiver, startScript, startStalled } = require('../helpers/node.js');
const { assertNoLeak, countFds, makeFiles, readAndClose } = require('../helpers/descriptors.js');
const { onLinux } = require('../helpers/programs.js');
const {
  Outcomes,
  closed,
  inbox,
  nextEvent,
  openPair,
  openSocket,
  send,
  sendTo,
  turn,
} = require('../helpers/sockets.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const MOST = 253;

/** What a descriptor refers to: the same for duplicates, different for anything else. */
function identity(fd) {
  const { dev, ino } = fs.fstatSync(fd);
  return `${dev}:${ino}`;
}

const closeAll = (fds) => fds.forEach((fd) => fs.closeSync(fd));

/** A new descriptor that is closed when the test ends. */
function openFile(t, path = '/dev/null') {
  const fd = fs.openSync(path);
  t.after(() => fs.closeSync(fd));
  return fd;
}

describe('what can be sent', () => {
  const HOLDERS = {
    number: async (t) => {
      const fd = openFile(t, __filename);
      return [fd, fd];
    },
    'net.Server': async (t) => {
      const server = net.createServer().listen(0, '127.0.0.1');
      t.after(() => server.close());
      await once(server, 'listening');
      return [server, server._handle.fd];
    },
    'net.Socket': async (t) => {
      const server = net.createServer((connection) => connection.resume()).listen(temporaryPath(t));
      t.after(() => server.close());
      await once(server, 'listening');
      const socket = net.connect(server.address());
      t.after(() => socket.destroy());
      await once(socket, 'connect');
      return [socket, socket._handle.fd];
    },
    'dgram.Socket': async (t) => {
      const socket = dgram.createSocket('udp4');
      t.after(() => socket.close());
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      // Its inode as the kernel's table of UDP sockets has it: the descriptor is hidden.
      const port = socket.address().port.toString(16).toUpperCase().padStart(4, '0');
      const table = fs.readFileSync('/proc/net/udp', 'latin1').split('\n');
      const inode = table
        .find((line) => line.includes(`:${port} `))
        .trim()
        .split(/ +/)[9];
      return [socket, undefined, `${fs.fstatSync(openSocket(t).fd).dev}:${inode}`];
    },
    FileHandle: async (t) => {
      const handle = await fs.promises.open(__filename);
      t.after(() => handle.close());
      return [handle, handle.fd];
    },
    'fs.ReadStream': async (t) => {
      const stream = fs.createReadStream(__filename);
      t.after(() => stream.destroy());
      await once(stream, 'open');
      return [stream, stream.fd];
    },
    DgramSocket: async (t) => {
      const socket = openSocket(t);
      return [socket, socket.fd];
    },
  };
  for (const [name, make] of Object.entries(HOLDERS)) {
    test(`the descriptor of a ${name}, by sendTo and by send`, onLinux({}), async (t) => {
      const [holder, fd, known = identity(fd)] = await make(t);
      const path = temporaryPath(t);
      const messages = inbox(openSocket(t, { receiveFds: true }).bind(path));
      const sender = openSocket(t).connect(path);
      await sendTo(sender, 'x', path, { fds: [holder] });
      await send(sender, { data: 'x', fds: [holder, holder] });
      const fds = (await messages.take(2)).flatMap((message) => message.fds);
      assert.deepEqual(fds.map(identity), [known, known, known]);
      assert.equal(new Set([...fds, fd]).size, 4, 'the same number twice');
      closeAll(fds);
    });
  }

  test("the descriptor of a dgram.Socket: without Node's warning of its `_handle`", async (t) => {
    const warnings = await runScript(t, async ({ DgramSocket: Socket }) => {
      const codes = [];
      process.on('warning', ({ code }) => codes.push(code));
      const udp = require('node:dgram').createSocket('udp4').bind(0, '127.0.0.1');
      await require('node:events').once(udp, 'listening');
      const [one, two] = Socket.pair();
      await new Promise((done) => one.send({ data: 'x', fds: [udp] }, done));
      await new Promise((done) => setImmediate(done));
      for (const socket of [one, two, udp]) socket.close();
      console.log(JSON.stringify(codes));
    });
    assert.deepEqual(warnings, []);
  });

  test(`none, and up to ${MOST}, in order`, onLinux({}), async (t) => {
    const { paths, texts } = makeFiles(t, MOST);
    const [one, two] = openPair(t, { receiveFds: true });
    const messages = inbox(two);
    const before = countFds();
    for (const count of [0, 1, 2, 100, MOST]) {
      const fds = paths.slice(0, count).map((path) => fs.openSync(path));
      const sent = send(one, { data: `${count}`, fds });
      // Ours to close as soon as the call returns.
      closeAll(fds);
      await sent;
      const message = await messages.next();
      assert.equal(String(message.data), `${count}`);
      assert.deepEqual(readAndClose(message.fds), texts.slice(0, count));
    }
    await assertNoLeak(before);
  });

  test('descriptors alone, with an empty message', async (t) => {
    const [one, two] = openPair(t, { receiveFds: true });
    const messages = inbox(two);
    const fd = openFile(t);
    await send(one, { fds: [fd] });
    await send(one, { data: Buffer.alloc(0), fds: [fd, fd] });
    for (const count of [1, 2]) {
      const { data, fds } = await messages.next();
      assert.equal(data.length, 0);
      assert.equal(fds.length, count);
      closeAll(fds);
    }
  });

  test('no closed descriptor: EBADF, nothing is sent, and the next goes', async (t) => {
    const [one, two] = openPair(t, { receiveFds: true });
    const messages = inbox(two);
    const fd = openFile(t);
    const gone = fs.openSync('/dev/null');
    fs.closeSync(gone);
    const outcomes = new Outcomes();
    for (const fds of [[gone], [fd, gone], [fd]]) {
      one.send({ data: `${fds.length}`, fds }, outcomes.callback());
    }
    assert.deepEqual(await outcomes.settled(), [
      [0, 'EBADF'],
      [1, 'EBADF'],
      [2, undefined],
    ]);
    const { data, fds } = await messages.next();
    assert.equal(String(data), '1');
    assert.equal(fds.length, 1);
    closeAll(fds);
  });
});

describe('descriptors that have to wait', () => {
  test('may be closed by the caller at once', onLinux({}), async (t) => {
    const COUNT = 40;
    const { paths, texts } = makeFiles(t, COUNT);
    const receiver = await startStalled(t, temporaryPath(t));
    const sender = openSocket(t);
    const before = countFds();
    const outcomes = new Outcomes();
    for (const [index, path] of paths.entries()) {
      const fds = [fs.openSync(path), fs.openSync(path)];
      sender.sendTo(`${index}`, receiver.name, { fds }, outcomes.callback());
      closeAll(fds);
    }
    await turn();
    assert.ok(countFds() > before, 'none waits');
    receiver.resume();
    const received = await receiver.take(COUNT);
    // Duplicates share their position, so the second of the two has read nothing more.
    assert.deepEqual(
      received.map((message) => [message.text, message.files]),
      texts.map((text, index) => [`${index}`, [text, text]]),
    );
    assert.deepEqual(await outcomes.settled(), Outcomes.all(COUNT));
    await closed(sender);
    // The helper socket that watched the receiver goes with the sender.
    await assertNoLeak(before - 1);
  });

  test('are closed when the socket is, or the receiver', onLinux({}), async (t) => {
    for (const how of ['close', 'kill']) {
      const receiver = await startStalled(t, temporaryPath(t));
      const sender = openSocket(t);
      const before = countFds() - 1;
      const outcomes = new Outcomes();
      const fd = openFile(t);
      for (let count = 0; count < 40; count++) {
        sender.sendTo('x', receiver.name, { fds: [fd, fd] }, outcomes.callback());
      }
      assert.ok(countFds() > before + 40, 'none waits');
      if (how === 'kill') {
        await receiver.kill();
        await outcomes.settled();
        assert.deepEqual(outcomes.codes.at(-1), [39, 'ECONNREFUSED']);
      }
      await closed(sender);
      const pipes = how === 'kill' ? 3 : 0;
      await assertNoLeak(before + 1 - pipes);
      await receiver.kill();
    }
  });

  test('need room for duplicates: EMFILE fails that send alone', onLinux({}), async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const script = startScript(
      t,
      async ({ DgramSocket }, path) => {
        const { openSync, closeSync } = require('node:fs');
        const socket = new DgramSocket();
        const codes = [];
        const callback = (error) => codes.push(error?.code ?? 'sent');
        // Enough to be queued and to have a helper socket, then no descriptor is left.
        for (let count = 0; count < 20; count++) socket.sendTo('x', path, callback);
        await new Promise(setImmediate);
        const fds = [];
        try {
          for (;;) fds.push(openSync('/dev/null'));
        } catch ({ code }) {
          console.log(JSON.stringify(code));
        }
        const fd = fds.pop();
        socket.sendTo('none left', path, { fds: [fd, fd] }, callback);
        closeSync(fd);
        socket.sendTo('last', path, { fds: [fds[0]] }, callback);
        console.log(JSON.stringify(codes.length));
        while (codes.length < 22) await new Promise((resolve) => setTimeout(resolve, 5));
        console.log(JSON.stringify(codes));
        for (const each of fds) closeSync(each);
        socket.close();
      },
      [receiver.name],
      { openFiles: 64 },
    );
    assert.equal(await script.lines.next(), '"EMFILE"');
    assert.equal(await script.lines.next(), '11');
    receiver.resume();
    const codes = JSON.parse(await script.lines.next());
    assert.equal(codes.filter((code) => code === 'EMFILE').length, 1);
    assert.deepEqual(
      codes.filter((code) => code !== 'EMFILE'),
      Array(21).fill('sent'),
    );
    const received = await receiver.take(21);
    assert.deepEqual([received.at(-1).text, received.at(-1).files], ['last', ['']]);
    assert.equal((await script.ended()).code, 0);
  });
});

describe('received descriptors', () => {
  test('are discarded unless receiveFds asks for them', onLinux({}), async (t) => {
    const [one, two] = openPair(t);
    const messages = inbox(two);
    const fd = openFile(t);
    const before = countFds();
    await send(one, { data: 'x', fds: [fd, fd] });
    const { data, fds } = await messages.next();
    assert.deepEqual([String(data), fds], ['x', []]);
    await assertNoLeak(before);
  });

  test("are closed where there is no 'data' listener", onLinux({}), async (t) => {
    const [one, two] = openPair(t, { receiveFds: true });
    const before = countFds();
    const fifo = temporaryPath(t, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
    const reader = new net.Socket({ fd: fs.openSync(fifo, O_RDONLY | O_NONBLOCK) });
    t.after(() => reader.destroy());
    const fd = fs.openSync(fifo, O_WRONLY);
    for (let count = 0; count < 20; count++) one.send({ data: 'x', fds: [fd, fd] });
    fs.closeSync(fd);
    // Comes when the last writing end is closed.
    const end = nextEvent(reader, 'end');
    reader.resume();
    await end;
    reader.destroy();
    await assertNoLeak(before);
    const messages = inbox(two);
    await send(one, 'afterwards');
    assert.equal(String((await messages.next()).data), 'afterwards');
  });

  test('of messages behind one whose handler closes the socket are closed', async (t) => {
    const [one, two] = openPair(t, { receiveFds: true });
    const fd = openFile(t);
    const before = countFds() - 1;
    for (let count = 0; count < 8; count++) one.send({ data: `${count}`, fds: [fd] });
    let received = 0;
    two.on('data', (data, path, { fds }) => {
      received++;
      closeAll(fds);
      two.close();
    });
    await nextEvent(two, 'close');
    await assertNoLeak(before);
    assert.equal(received, 1);
  });

  test('come in bursts without end, if somebody takes them', onLinux({}), async (t) => {
    const [one, two] = openPair(t, { receiveFds: true });
    const fd = openFile(t);
    const before = countFds();
    const counts = [];
    two.on('error', ({ code }) => counts.push(code));
    two.on('data', (data, path, { fds }) => {
      counts.push(fds.length);
      closeAll(fds);
    });
    for (let count = 0; count < 50; count++) one.send({ data: 'x', fds: Array(MOST).fill(fd) });
    await until(() => counts.length >= 50, 'all messages');
    assert.deepEqual(counts, Array(50).fill(MOST));
    await assertNoLeak(before);
  });

  for (const [maxPendingFds, over] of [
    [0, 1],
    [2, 3],
    [100, 101],
  ]) {
    test(`of one message more than maxPendingFds ${maxPendingFds}: an error`, async (t) => {
      const [one, two] = openPair(t, { receiveFds: true, maxPendingFds });
      const fd = openFile(t);
      const before = countFds();
      const events = [];
      two.on('error', ({ name, code }) => events.push([name, code]));
      two.on('data', (data, path, { fds }) => {
        events.push([String(data), fds.length]);
        closeAll(fds);
      });
      await send(one, { data: 'too many', fds: Array(over).fill(fd) });
      await send(one, { data: 'as many', fds: Array(maxPendingFds).fill(fd) });
      await until(() => events.length === 3, 'an error and two messages');
      assert.deepEqual(events, [
        ['Error', 'ERR_AFUNIX_TOO_MANY_FDS'],
        ['too many', 0],
        ['as many', maxPendingFds],
      ]);
      await assertNoLeak(before);
    });
  }

  for (const withListener of [true, false]) {
    const way = withListener ? 'an error event' : 'an uncaught exception';
    test(
      `that the process has no room for are ${way}, the data arrives`,
      onLinux({}),
      async (t) => {
        const path = temporaryPath(t);
        const script = startScript(
          t,
          ({ DgramSocket }, name, listen) => {
            const { closeSync, openSync, readdirSync } = require('node:fs');
            const socket = new DgramSocket({ receiveFds: true });
            const print = (...words) => console.log(words.join(' '));
            if (listen) socket.on('error', ({ code }) => print('error', code));
            else process.on('uncaughtException', ({ code }) => print('error', code));
            let filling = [];
            socket.on('data', (data, from, { fds }) => {
              print(data, fds.length < 20 ? 'few' : fds.length);
              for (const fd of fds) closeSync(fd);
              for (const fd of filling) closeSync(fd);
              filling = [];
              print('leaked', readdirSync('/proc/self/fd').length - before);
              if (String(data) === 'second') socket.close();
            });
            socket.bind(name);
            // Standard output opens its own on first use.
            print('starting');
            const before = readdirSync('/proc/self/fd').length;
            try {
              for (;;) filling.push(openSync('/dev/null'));
            } catch {
              for (const fd of filling.splice(0, 5)) closeSync(fd);
            }
            print('bound');
          },
          [path, withListener],
          { openFiles: 80 },
        );
        await script.lines.take(2, 'the receiver to bind');
        const sender = openSocket(t);
        const fds = Array(20).fill(openFile(t));
        await sendTo(sender, 'first', path, { fds });
        const expected = ['error ERR_AFUNIX_FDS_LOST', 'first few', 'leaked 0'];
        // An uncaught exception comes when the stack is empty.
        if (!withListener) expected.push(expected.shift());
        assert.deepEqual(await script.lines.take(3), expected);
        await sendTo(sender, 'second', path, { fds });
        assert.equal(await script.lines.next(), 'second 20');
        assert.equal(await script.lines.next(), 'leaked 0');
        assert.equal((await script.ended()).code, 0);
      },
    );
  }
});

describe('credentials', onLinux({}), () => {
  const me = { pid: process.pid, uid: process.getuid(), gid: process.getgid() };

  test('come with each message if asked for, and only then', async (t) => {
    for (const [credentials, expected] of [
      [true, me],
      [false, undefined],
      [undefined, undefined],
    ]) {
      const path = temporaryPath(t);
      const messages = inbox(openSocket(t, { credentials }).bind(path));
      const sender = openSocket(t);
      for (const text of ['', 'x', 'y']) {
        await sendTo(sender, text, path);
        assert.deepEqual((await messages.next()).credentials, expected);
      }
    }
  });

  test('come with descriptors, also the most', async (t) => {
    const [one, two] = openPair(t, { credentials: true, receiveFds: true });
    const messages = inbox(two);
    await send(one, { data: 'x', fds: Array(MOST).fill(openFile(t)) });
    const { credentials, fds } = await messages.next();
    assert.deepEqual(credentials, me);
    assert.equal(fds.length, MOST);
    closeAll(fds);
  });

  test('are those of the process that sent', async (t) => {
    const here = temporaryPath(t);
    const messages = inbox(openSocket(t, { credentials: true }).bind(here));
    const pid = await runScript(
      t,
      ({ DgramSocket }, path) => {
        const socket = new DgramSocket();
        socket.sendTo('x', path, () => socket.close());
        console.log(process.pid);
      },
      [here],
    );
    assert.deepEqual((await messages.next()).credentials, { ...me, pid });
    assert.notEqual(pid, process.pid);
  });

  test('of the peer are those of whoever made the pair, and absent elsewhere', async (t) => {
    const [one] = openPair(t);
    assert.deepEqual(one.peerCredentials, me);
    const receiver = await startReceiver(t, temporaryPath(t));
    const socket = openSocket(t);
    assert.equal(socket.peerCredentials, undefined);
    assert.equal(socket.connect(receiver.name).peerCredentials, undefined);
    await closed(one);
    assert.equal(one.peerCredentials, undefined);
  });
});
