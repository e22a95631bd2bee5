'use strict';

// Owns the sudden end of the peer: what it sent before arrives whole, whoever reads slowly or not,
// then comes one error or the end, and one 'close'. And what is left behind: no descriptors, no
// objects, no harm to other threads.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Worker } = require('node:worker_threads');
const { SeqpacketServer, SeqpacketSocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, runScript, startScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const {
  closing,
  connectTo,
  eventsOf,
  makePair,
  messagesOf,
  startServer,
  texts,
  write,
} = require('../helpers/seqpacket.js');
const { nextEvent, turn } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { delay, until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** Names for messages, in order. */
const numbered = (count) => Array.from({ length: count }, (_, index) => `message ${index}`);

/** Ways to read, each giving what came when the socket has closed. */
const READERS = {
  "'data'": (socket, got) => socket.on('data', (message) => got.push(String(message))),
  "'data' after a pause": (socket, got) => {
    socket.on('data', (message) => got.push(String(message))).pause();
    setTimeout(() => socket.resume(), 30);
  },
  "'data', pausing at each message": (socket, got) => {
    socket.on('data', (message) => {
      got.push(String(message));
      socket.pause();
      setImmediate(() => socket.resume());
    });
  },
  "late read() on 'readable'": (socket, got) => {
    const readAll = () => {
      for (let message; (message = socket.read()) !== null;) got.push(String(message));
    };
    socket.on('readable', () => setTimeout(readAll, 10));
  },
  iteration: async (socket, got) => {
    try {
      for await (const message of socket) got.push(String(message));
    } catch {
      // The events say so.
    }
  },
  'slow iteration': async (socket, got) => {
    try {
      for await (const message of socket) {
        got.push(String(message));
        if (got.length % 20 === 0) await delay(1);
      }
    } catch {
      // The events say so.
    }
  },
};

/** Ways in which the peer's end shows. */
const DEATHS = {
  'with our data unread': (one, two, sent) => {
    one.write('nobody reads this');
    for (const text of sent) two.write(text);
    two.destroy();
  },
  'and then we write': (one, two, sent) => {
    for (const text of sent) two.write(text);
    two.destroy();
    setTimeout(() => one.write('too late', () => {}), 10);
  },
  'while we write': (one, two, sent) => {
    for (const text of sent) two.write(text);
    two.destroy();
    for (let count = 0; count < 3; count++) one.write('too late', () => {});
  },
  'with nothing of ours': (one, two, sent) => {
    for (const text of sent) two.write(text);
    two.destroy();
  },
};

describe('the peer closes', onLinux(), () => {
  for (const [death, die] of Object.entries(DEATHS)) {
    for (const [reader, read] of Object.entries(READERS)) {
      test(`${death}: ${reader} gets all of its messages`, async (t) => {
        for (const count of [1, 10, 250]) {
          const [one, two] = makePair(t);
          const events = eventsOf(one, ['end', 'error', 'close']);
          const sent = numbered(count - 1).concat('');
          const got = [];
          read(one, got);
          die(one, two, sent);
          await closing(one);
          assert.deepEqual(got, sent);
          // One error or the end, never an EBADF, never two closes.
          const seen = events.join(', ');
          const good = /^(end, close false|(end, )?error (ECONNRESET|EPIPE), close true)$/;
          assert.match(seen, good, `${count} messages`);
          if (death === 'with nothing of ours') assert.equal(seen, 'end, close false');
        }
      });
    }
  }

  test('and a write fails: the error comes once the last message is read, and waits for no other', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one, ['end', 'error', 'close']);
    one.on('readable', () => {});
    for (const text of numbered(3)) two.write(text);
    await until(() => one.readableLength === 3, 'the messages');
    two.destroy();
    await assert.rejects(write(one, 'too late'), { code: 'EPIPE' });
    assert.deepEqual(events, []);
    while (one.read() !== null);
    for (let count = 0; count < 20; count++) await turn();
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });

  test('and each later write fails, with one error in all', async (t) => {
    const [one, two] = makePair(t);
    const events = eventsOf(one, ['error', 'close']);
    two.destroy();
    one.write('reported by the event');
    one.write('reported by the event');
    await assert.rejects(write(one, 'reported by the callback'), { code: 'EPIPE' });
    await closing(one);
    assert.deepEqual(events, ['error EPIPE', 'close true']);
  });

  test('with a queue of ours: each callback gets an error, in order, and one error', async (t) => {
    const [one, two] = makePair(t);
    two.pause();
    const events = eventsOf(one, ['error', 'close']);
    const codes = [];
    for (const text of numbered(1000)) one.write(text, (error) => codes.push(error?.code));
    // And some without a callback.
    for (const text of numbered(10)) one.write(text);
    await delay(10);
    two.destroy();
    await closing(one);
    assert.equal(codes.length, 1000);
    assert.match(String(codes.at(-1)), /^(EPIPE|ECONNRESET)$/);
    assert.equal(events.length, 2, String(events));
    assert.match(events[0], /^error (EPIPE|ECONNRESET)$/);
    assert.equal(events[1], 'close true');
  });

  test('while we write far more than the kernel holds, hundreds of times', async () => {
    const before = countFds();
    for (let round = 0; round < 200; round++) {
      const [one, two] = SeqpacketSocket.pair();
      const events = eventsOf(one, ['error', 'close']);
      two.on('data', () => {
        if (++count === round) two.destroy();
      });
      two.on('error', () => {});
      let count = 0;
      for (let index = 0; index < 300; index++) one.write('x', () => {});
      if (round === 0) two.destroy();
      await closing(one);
      assert.equal(events.filter((name) => name.startsWith('close')).length, 1);
      assert.ok(events.filter((name) => name.startsWith('error')).length <= 1, String(events));
      assert.ok(!events.includes('error EBADF'));
    }
    await assertNoLeak(before);
  });

  test('is SIGKILLed mid-traffic: one close, no EBADF, all it sent in order', async (t) => {
    const server = startServer(t);
    const body = ({ SeqpacketSocket: Socket }, path) => {
      const socket = new Socket().connect(path);
      let count = 0;
      const more = () => {
        while (socket.write(String(count++)));
      };
      socket.on('drain', more);
      more();
    };
    const program = startScript(t, body, [server.address()]);
    const [socket] = await nextEvent(server, 'connection');
    const events = eventsOf(socket, ['end', 'error', 'close']);
    let count = 0;
    socket.on('data', (message) => {
      assert.equal(String(message), String(count++));
      // It never reads.
      socket.write(message, () => {});
    });
    await until(() => count > 1000, 'traffic');
    program.kill('SIGKILL');
    await closing(socket);
    assert.match(events.join(), /^(end,)?error (ECONNRESET|EPIPE),close true$|^end,close false$/);
  });

  test("is a server that closes with connections in its backlog: 'end' or a reset", async (t) => {
    const server = startServer(t);
    server.pause();
    const clients = Array.from({ length: 5 }, () => connectTo(t, server.address()));
    const events = clients.map((client) => eventsOf(client, ['end', 'error', 'close']));
    clients.forEach((client) => client.resume());
    await Promise.all(clients.map((client) => write(client, 'hello')));
    server.close();
    await Promise.all(clients.map(closing));
    for (const seen of events) {
      assert.match(seen.join(), /^error (ECONNRESET|EPIPE),close true$|^end,close false$/);
    }
  });
});

describe('a worker', onLinux(), () => {
  test('terminated with a live server and sockets does no harm to main', async (t) => {
    const before = countFds();
    const server = startServer(t);
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { SeqpacketServer, SeqpacketSocket } = require(workerData.lib);
      new SeqpacketServer((socket) => socket.pipe(socket)).listen(workerData.own);
      const socket = new SeqpacketSocket().connect(workerData.path);
      socket.on('data', (message) => {
        socket.write(message);
        for (let count = 0; count < 1000; count++) socket.write('more');
        parentPort.postMessage('talks');
      });
      new SeqpacketSocket().connect(workerData.own);
    `;
    for (let round = 0; round < 3; round++) {
      const own = abstractName();
      const workerData = { lib: LIB, path: server.address(), own };
      const worker = new Worker(source, { eval: true, workerData });
      const [socket] = await nextEvent(server, 'connection');
      const events = eventsOf(socket, ['end', 'error', 'close']);
      const messages = messagesOf(socket);
      const guest = connectTo(t, own);
      const [guestEvents, echoes] = [eventsOf(guest, ['end', 'error', 'close']), messagesOf(guest)];
      guest.write('guest');
      assert.deepEqual(await texts(echoes, 1), ['guest']);
      socket.write('hello');
      await nextEvent(worker, 'message');
      assert.deepEqual(await texts(messages, 2), ['hello', 'more']);
      await within(worker.terminate(), 'the worker to end');
      await Promise.all([closing(socket), closing(guest)]);
      for (const seen of [events, guestEvents]) {
        assert.match(seen.join(), /^(end,)?error (ECONNRESET|EPIPE),close true$|^end,close false$/);
      }
      // Main's own still work.
      const client = connectTo(t, server.address());
      const [mine] = await nextEvent(server, 'connection');
      const received = messagesOf(mine);
      client.write('alive');
      assert.deepEqual(await texts(received, 1), ['alive']);
      client.destroy();
      await closing(mine);
    }
    server.close();
    await assertNoLeak(before);
  });
});

describe('nothing is left', onLinux(), () => {
  test('of 2000 connections made and closed: no descriptor', async () => {
    const before = countFds();
    let count = 0;
    const server = new SeqpacketServer((socket) => {
      count++;
      socket.pipe(socket);
      socket.on('error', () => {});
    });
    server.listen(abstractName());
    const cycle = async (index) => {
      const client = new SeqpacketSocket().connect(server.address());
      const gone = nextEvent(client, 'close');
      client.on('error', () => {});
      const way = index % 4;
      if (way === 0) client.on('connect', () => client.end()).resume();
      else if (way === 1) client.on('connect', () => client.destroy());
      else if (way === 2) client.end('hello').resume();
      else client.on('data', () => client.destroy()).write('hello');
      await gone;
    };
    for (let done = 0; done < 2000; done += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, index) => cycle(index)));
    }
    await within(new Promise((resolve) => server.close(resolve)), 'the server to close');
    assert.equal(count, 2000);
    await assertNoLeak(before);
  });

  test('of dropped sockets, once they cannot do anything any more', async (t) => {
    const result = await runScript(
      t,
      async ({ SeqpacketSocket: Socket }) => {
        const { setImmediate: turn } = require('node:timers/promises');
        const { readdirSync } = require('node:fs');
        const count = () => readdirSync('/proc/self/fd').length;
        const before = count();
        const refs = [];
        // In a function of its own, so that no local variable holds the last ones.
        const use = () => {
          const [one, two] = Socket.pair();
          one.on('data', () => {});
          one.write('x');
          two.end();
          two.resume();
          refs.push(new WeakRef(one), new WeakRef(two));
          // Never connected.
          refs.push(new WeakRef(new Socket()));
        };
        for (let index = 0; index < 50; index++) use();
        const left = () => refs.filter((ref) => ref.deref()).length;
        for (let round = 0; round < 200 && (left() > 0 || count() > before); round++) {
          await turn();
          globalThis.gc();
        }
        console.log(JSON.stringify({ left: left(), fds: count() - before }));
      },
      [],
      { flags: ['--expose-gc'] },
    );
    assert.deepEqual(result, { left: 0, fds: 0 });
  });

  test('but a paused server stays, also if nobody holds it: its backlog waits', async (t) => {
    const result = await runScript(
      t,
      async ({ SeqpacketServer: Server, SeqpacketSocket: Socket }, name) => {
        const { setTimeout: sleep } = require('node:timers/promises');
        (() => new Server().listen(name).pause())();
        const client = new Socket().connect(name);
        const events = [];
        for (const event of ['end', 'error', 'close']) client.on(event, () => events.push(event));
        for (let round = 0; round < 10; round++) {
          await sleep(1);
          globalThis.gc();
        }
        console.log(JSON.stringify(events));
        process.exit();
      },
      [abstractName()],
      { flags: ['--expose-gc'] },
    );
    assert.deepEqual(result, []);
  });

  test('and an open socket that nobody holds still works', async (t) => {
    const result = await runScript(
      t,
      async ({ SeqpacketSocket: Socket }) => {
        const { setImmediate: turn } = require('node:timers/promises');
        const got = [];
        const far = (() => {
          const [one, two] = Socket.pair();
          one.on('data', (message) => got.push(String(message)));
          return two;
        })();
        for (let round = 0; round < 20; round++) {
          globalThis.gc();
          await turn();
        }
        far.write('still there?');
        far.end();
        far.on('close', () => console.log(JSON.stringify(got)));
        far.resume();
      },
      [],
      { flags: ['--expose-gc'] },
    );
    assert.deepEqual(result, ['still there?']);
  });
});

test(
  'whoever destroys the socket at the last words, and connects it again, has a life of its own',
  onLinux(),
  async (t) => {
    const server = startServer(t);
    // Which has read nothing yet.
    const [client, peer] = makePair(t, { pauseOnConnect: true });
    await write(peer, 'last words');
    peer.destroy();
    await closing(peer);
    const events = eventsOf(client, ['error', 'connect']);
    client.once('data', (message) => {
      events.push(`data ${message}`);
      client.destroy();
      client.connect(server.address());
    });
    client.resume();
    client.write('never read');
    const [again] = await nextEvent(server, 'connection');
    await until(() => events.includes('connect'), "'connect'");
    await delay(10);
    assert.equal(client.destroyed, false);
    assert.deepEqual(events, ['data last words', 'connect']);
    client.destroy();
    await closing(again.resume());
  },
);
