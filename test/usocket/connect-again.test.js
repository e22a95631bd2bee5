'use strict';

// Owns connect() of a USocket in unusual moments, as net has it: a second one, one after end() or a failed write, and
// servers that close before they accept.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const posix = require('../../posix.js');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript, startScript } = require('../helpers/node.js');
const { open } = require('../helpers/posix.js');
const { onLinux } = require('../helpers/programs.js');
const { closing, eventsOf, quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');
const { allBytes, makeSocket, startServer } = require('../helpers/usocket.js');

assertNoLeaks();

describe('connect() again', onLinux(), () => {
  for (const moment of ['connecting', 'connected']) {
    test(`is EISCONN while ${moment}, which ends the socket`, async (t) => {
      const before = countFds();
      const server = startServer(t);
      const client = makeSocket(t).connect(server.address());
      if (moment === 'connected') await nextEvent(client, 'connect');
      const events = eventsOf(client, ['connect', 'error', 'close']);
      assert.equal(client.connect(server.address()), client);
      assert.deepEqual([client.connecting, client.destroyed, events.length], [true, false, 0]);
      await closing(client);
      assert.deepEqual(events, ['error EISCONN', 'close true']);
      server.close();
      await closing(server);
      await assertNoLeak(before);
    });
  }

  test('reaches the second server where the first is not there', async (t) => {
    const server = startServer(t);
    const client = makeSocket(t).connect(abstractName());
    const events = eventsOf(client, ['connect', 'error']);
    client.connect(server.address());
    client.write('hello');
    const [accepted] = await nextEvent(server, 'connection');
    assert.equal(String((await nextEvent(accepted, 'data'))[0]), 'hello');
    assert.deepEqual(events, ['connect']);
  });

  /** A listener whose backlog is full: `{ listener, name }`. */
  async function fullListener(t) {
    const name = abstractName();
    const listener = open(t);
    posix.bind(listener, { sun_family: posix.AF_UNIX, sun_path: name });
    posix.listen(listener, 0);
    await nextEvent(makeSocket(t).connect(name), 'connect');
    return { listener, name };
  }

  test('waits for a full backlog, whatever has become of the first', async (t) => {
    const { listener, name } = await fullListener(t);
    const client = makeSocket(t).connect(abstractName()).connect(name);
    const events = eventsOf(client, ['connect', 'error']);
    await quiet();
    assert.deepEqual([events, client.connecting], [[], true]);
    posix.close(posix.accept(listener));
    await nextEvent(client, 'connect');
    posix.close(posix.accept(listener));
  });

  test('waits no longer for a full backlog', async (t) => {
    const { listener, name } = await fullListener(t);
    const server = startServer(t);
    const client = makeSocket(t).connect(name).connect(server.address());
    await Promise.all([nextEvent(client, 'connect'), nextEvent(server, 'connection')]);
    assert.equal(client.remoteAddress, server.address());
    // Nor does it turn up there once there is room.
    posix.close(posix.accept(listener));
    const next = makeSocket(t).connect(name);
    await nextEvent(next, 'connect');
    next.write('the next');
    const fd = posix.accept(listener);
    const room = Buffer.alloc(10);
    assert.equal(room.toString('utf8', 0, posix.recv(fd, room, 10)), 'the next');
    posix.close(fd);
  });
});

describe('connect()', onLinux(), () => {
  test('is ECONNRESET, and no connection, where the server closes before it accepts', async (t) => {
    const server = startServer(t);
    const client = makeSocket(t).connect(server.address());
    const events = eventsOf(client, ['connect', 'error', 'close']);
    const failed = once(client, 'error', { signal: AbortSignal.timeout(15_000) }).catch((error) => [
      error,
    ]);
    server.close();
    const [error] = await failed;
    assert.deepEqual([error.code, error.syscall], ['ECONNRESET', 'connect']);
    await closing(client);
    assert.deepEqual(events, ['error ECONNRESET', 'close true']);
  });

  test('makes a socket as new that was ended before; the end follows', async (t) => {
    const server = startServer(t);
    const client = makeSocket(t);
    client.end();
    assert.equal(client.writable, false);
    client.connect(server.address());
    assert.deepEqual([client.writable, client.writableEnded], [true, false]);
    const [accepted] = await nextEvent(server, 'connection');
    accepted.resume();
    await nextEvent(accepted, 'end');
    await closing(client);
  });

  test('makes a socket as new that failed before; that is still reported', async (t) => {
    const server = startServer(t);
    const client = makeSocket(t);
    client.write('nowhere');
    assert.equal(client.errored.code, 'ERR_SOCKET_CLOSED');
    client.connect(server.address());
    assert.deepEqual([client.writable, client.errored], [true, null]);
    const events = eventsOf(client, ['connect', 'error', 'close']);
    await within(new Promise((resolve) => client.once('close', resolve)), "'close'");
    assert.deepEqual(events, ['error ERR_SOCKET_CLOSED', 'close true']);
    // A third life.
    client.connect(server.address());
    await nextEvent(client, 'connect');
    assert.deepEqual([client.writable, client.errored], [true, null]);
  });

  test('of what waited for the connection before, no listener is left', async (t) => {
    const client = makeSocket(t).connect('/nobody/is/here');
    const failed = nextEvent(client, 'error');
    let code;
    client.write('never sent', (error) => ({ code } = error));
    await failed;
    await closing(client);
    assert.equal(code, 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION');
    assert.equal(client.listenerCount('connect'), 0);
  });

  test("in a 'close' handler: what later handlers write is of the new life", async (t) => {
    const server = startServer(t);
    const client = makeSocket(t).connect(server.address());
    await nextEvent(client, 'connect');
    const outcomes = [];
    client.once('close', () => client.connect(server.address()));
    client.once('close', () => client.write('hello', (error) => outcomes.push(error?.code)));
    const accepted = nextEvent(server, 'connection');
    client.destroy();
    await Promise.all([accepted, nextEvent(client, 'connect')]);
    await until(() => outcomes.length > 0, 'the callback');
    assert.deepEqual(outcomes, [undefined]);
  });

  test('of a socket that was iterated before it had a connection: the next loop gets data', async (t) => {
    const server = startServer(t);
    server.on('connection', (socket) => socket.end('hello'));
    const client = makeSocket(t);
    const loop = (async () => {
      for await (const data of client) assert.fail(`${data}`);
    })();
    client.write('nowhere', () => {});
    await assert.rejects(loop, { code: 'ERR_SOCKET_CLOSED' });
    await closing(client);
    client.connect(server.address());
    let text = '';
    for await (const data of client) text += data;
    assert.equal(text, 'hello');
  });

  test("behind destroy(): each life has its callbacks, and the second one's bytes and end arrive", async (t) => {
    const server = startServer(t, { allowHalfOpen: true });
    const accepted = [];
    server.on('connection', (socket) => accepted.push(socket));
    const client = makeSocket(t).connect(server.address());
    await nextEvent(client, 'connect');
    const outcomes = [];
    const note = (name) => (error) => outcomes.push(`${name} ${error?.code ?? 'done'}`);
    client.write(Buffer.alloc(1 << 20), note('first'));
    client.write('waits behind', note('second'));
    client.destroy();
    client.connect(server.address());
    assert.deepEqual(outcomes, [], 'none is called inside of a call');
    client.write('hello', note('third'));
    client.end(note('end'));
    await nextEvent(client, 'finish');
    await until(() => accepted.length === 2, 'both connections');
    assert.equal(String(await allBytes(accepted[1])), 'hello');
    const lost = 'ERR_STREAM_DESTROYED';
    assert.deepEqual(outcomes, [`first ${lost}`, `second ${lost}`, 'third done', 'end done']);
  });

  test('behind destroy() while connecting: the write of before fails, the next is sent', async (t) => {
    const server = startServer(t);
    const client = makeSocket(t).connect(abstractName());
    const outcomes = [];
    client.write('before', (error) => outcomes.push(error?.code));
    client.destroy();
    client.connect(server.address());
    client.end('after', (error) => outcomes.push(error?.code));
    const [accepted] = await nextEvent(server, 'connection');
    assert.equal(String(await allBytes(accepted)), 'after');
    assert.deepEqual(outcomes, ['ERR_SOCKET_CLOSED_BEFORE_CONNECTION', undefined]);
  });

  for (const moment of ['error', 'destroy']) {
    const title =
      moment === 'error' ? "in an 'error' handler" : 'behind destroy() before connect()';
    test(`${title}: the new life reads, writes and ends`, async (t) => {
      const server = startServer(t);
      server.on('connection', (socket) => socket.end('hello'));
      const accepted = nextEvent(server, 'connection');
      const client = makeSocket(t);
      const ended = new Promise((done) => {
        const again = () => void client.connect(server.address()).end('hi', done);
        if (moment === 'error') client.once('error', again).connect(abstractName());
        else client.destroy() && again();
      });
      const text = [];
      client.on('data', (data) => text.push(data));
      const [socket] = await accepted;
      assert.equal(String(await allBytes(socket)), 'hi');
      await ended;
      await until(() => client.readableEnded, 'the end');
      assert.equal(String(text), 'hello');
    });
  }

  test("in a 'close' handler, while a write of before waits: that is no error of the new life", async (t) => {
    const server = startServer(t);
    const client = makeSocket(t).connect(abstractName());
    const events = eventsOf(client, ['connect', 'error']);
    const outcomes = [];
    client.write('before', (error) => outcomes.push(error?.code));
    client.once('close', () => client.connect(server.address()).end('after'));
    const [accepted] = await nextEvent(server, 'connection');
    assert.equal(String(await allBytes(accepted)), 'after');
    assert.deepEqual(outcomes, ['ERR_SOCKET_CLOSED_BEFORE_CONNECTION']);
    assert.deepEqual(events, ['error ECONNREFUSED', 'connect']);
  });

  test('behind one without a descriptor (EMFILE), which was destroyed: that error is not of the new life', async (t) => {
    const result = await runScript(
      t,
      ({ UServer, USocket }, name) => {
        const fs = require('node:fs');
        const server = new UServer((socket) => socket.resume()).listen(name);
        const client = new USocket();
        const events = [];
        client.on('error', ({ code }) => events.push(code));
        client.on('connect', () => events.push('connect'));
        const opened = [];
        try {
          for (;;) opened.push(fs.openSync('/dev/null'));
        } catch {
          // There are no more.
        }
        client.connect(name);
        client.destroy();
        for (const fd of opened) fs.closeSync(fd);
        client.connect(name).end();
        client.resume().on('end', () => {
          console.log(JSON.stringify(events));
          server.close();
        });
      },
      [temporaryPath(t)],
      { openFiles: 80 },
    );
    assert.deepEqual(result, ['connect']);
  });

  test('unref() holds for one connection, or the next one, as in net', async (t) => {
    // Prints 'alive' where the last connection keeps the process, and 'ended' where not.
    const body = ({ USocket }, isNet, moment, name) => {
      const net = require('node:net');
      const server = net.createServer((peer) => peer.unref()).unref();
      const client = isNet ? new net.Socket() : new USocket();
      const says = (when) => when === moment && client.unref();
      const connects = () => {
        client.connect(name);
        says('connecting');
      };
      server.listen(name, () => {
        says('before');
        says('before a failure');
        if (moment === 'connecting') return connects();
        if (moment.endsWith('failure')) client.on('error', () => {}).connect('/no/where');
        else client.connect(name).once('connect', () => client.destroy());
        says('in the life before');
        says('behind a failure');
        client.once('close', () => {
          says('between');
          connects();
        });
      });
      const timer = setTimeout(() => process.stdout.write('alive\n', () => process.exit()), 1000);
      server.on('connection', () => timer.refresh());
      timer.unref();
      process.once('beforeExit', () => console.log('ended'));
    };
    const moments = [
      'never',
      'before',
      'in the life before',
      'between',
      'connecting',
      'before a failure',
      'behind a failure',
    ];
    const outcome = async (isNet, moment) => {
      const program = startScript(t, body, [isNet, moment, temporaryPath(t)]);
      const said = await program.lines.next();
      await program.ended();
      return `${moment}: ${said}`;
    };
    const outcomes = (isNet) => Promise.all(moments.map((moment) => outcome(isNet, moment)));
    const expected = await outcomes(true);
    assert.equal(expected.filter((line) => line.endsWith('alive')).length, 4);
    assert.deepEqual(await outcomes(false), expected);
  });

  test('timeout stays what it was', async (t) => {
    const server = startServer(t);
    const client = makeSocket(t);
    client.setTimeout(60_000);
    client.on('error', () => {}).connect(abstractName());
    await nextEvent(client, 'close');
    client.connect(server.address());
    assert.equal(client.timeout, 60_000);
    await nextEvent(client, 'connect');
    client.destroy();
  });
});
