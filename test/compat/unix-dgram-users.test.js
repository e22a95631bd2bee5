'use strict';

// Owns the packages that use unix-dgram, with this package in its place: hot-shots (protocol uds),
// winston-syslog (both of its unix protocols) and janode; and that package's own tests.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB, startReceiver, startScript, startStalled } = require('../helpers/node.js');
const { onLinux, startProgram } = require('../helpers/programs.js');
const { installPackages } = require('../helpers/packages.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const users = installPackages(
  { 'hot-shots': '17.1.1', janode: '1.8.0', winston: '3.19.0', 'winston-syslog': '2.7.1' },
  'unix-dgram',
);
const original = installPackages({ 'unix-dgram': '2.0.7' });

/** Options for tests with installed packages. */
const withPackages = ({ skip }) => onLinux({ skip: skip ?? false });

/**
 * Runs a function as startScript() where the packages are. Each line that it reads from its
 * standard input it gets with `await line()`; what it prints as JSON, `next()` returns.
 */
function startUser(t, body, args) {
  const source = `async (afunix, ...args) => {
    const lines = require('node:readline').createInterface({ input: process.stdin });
    const queue = require('node:events').on(lines, 'line');
    const line = async () => (await queue.next()).value[0];
    const print = (value) => console.log(JSON.stringify(value));
    const pause = async (time) => {
      await new Promise((resolve) => setTimeout(resolve, time));
      // On a busy machine the time may pass before any socket has had its turn.
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    };
    await (${body})({ line, print, pause }, ...args);
    lines.close();
  }`;
  const program = startScript(t, source, args, { cwd: users.folder });
  return {
    program,
    write: (text) => program.write(`${text}\n`),
    next: async (what) => JSON.parse(await program.lines.next(what)),
    async ended() {
      const { code, signal, stderr } = await program.ended();
      assert.equal(code, 0, `ended with ${signal ?? `code ${code}`}\n${stderr}`);
    },
  };
}

test('they get this package', withPackages(users), async () => {
  const link = path.join(users.folder, 'node_modules', 'unix-dgram');
  assert.equal(fs.realpathSync(link), fs.realpathSync(path.join(LIB, '..')));
});

describe('hot-shots over uds', withPackages(users), () => {
  /** Sends `count` metrics on each command, and prints how each batch went. */
  async function sendMetrics({ line, print }, socketPath, options) {
    const StatsD = require('hot-shots');
    const client = new StatsD({ protocol: 'uds', path: socketPath, maxBufferSize: 0, ...options });
    print('ready');
    let number = 0;
    for (let count = await line(); count !== 'end'; count = await line()) {
      const sends = Array.from({ length: Number(count) }, () => {
        return new Promise((resolve) => {
          client.increment(`metric.${number++}`, (error) => resolve(error?.code ?? 'sent'));
        });
      });
      const outcomes = {};
      for (const code of await Promise.all(sends)) outcomes[code] = (outcomes[code] ?? 0) + 1;
      print(outcomes);
    }
    await new Promise((resolve, reject) => {
      client.close((error) => (error ? reject(error) : resolve()));
    });
  }

  const startClient = async (t, name, options = {}) => {
    const client = startUser(t, sendMetrics, [name, options]);
    assert.equal(await client.next(), 'ready');
    return client;
  };

  const metrics = (from, count) =>
    Array.from({ length: count }, (_, index) => `metric.${from + index}:1|c`);

  test('sends, and everything arrives in order', async (t) => {
    const receiver = await startReceiver(t, temporaryPath(t));
    const client = await startClient(t, receiver.name);
    client.write('10');
    assert.deepEqual(await client.next(), { sent: 10 });
    assert.deepEqual(await receiver.texts(10), metrics(0, 10));
    client.write('end');
    await client.ended();
  });

  test('tries again while the receiver is full for a second, and loses nothing', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = await startClient(t, receiver.name, {
      udsRetryOptions: { retries: 100, retryDelayMs: 20, maxRetryDelayMs: 50 },
    });
    client.write('60');
    setTimeout(() => receiver.resume(), 1000);
    assert.deepEqual(await client.next(), { sent: 60 });
    assert.deepEqual((await receiver.texts(60)).sort(), metrics(0, 60).sort());
    client.write('5');
    assert.deepEqual(await client.next(), { sent: 5 });
    assert.deepEqual(await receiver.texts(5), metrics(60, 5));
    client.write('end');
    await client.ended();
  });

  test('reports congestion once its attempts are used up, and goes on afterwards', async (t) => {
    const receiver = await startStalled(t, temporaryPath(t));
    const client = await startClient(t, receiver.name, {
      udsRetryOptions: { retries: 1, retryDelayMs: 10 },
    });
    client.write('50');
    const outcomes = await client.next();
    assert.deepEqual(Object.keys(outcomes).sort(), ['1', 'sent']);
    assert.equal(outcomes.sent + outcomes[1], 50);
    receiver.resume();
    assert.deepEqual(await receiver.texts(outcomes.sent), metrics(0, outcomes.sent));
    client.write('5');
    assert.deepEqual(await client.next(), { sent: 5 });
    assert.deepEqual(await receiver.texts(5), metrics(50, 5));
    client.write('end');
    await client.ended();
  });

  test('finds a receiver that died and came back', async (t) => {
    const name = temporaryPath(t);
    const first = await startReceiver(t, name);
    const client = await startClient(t, name);
    client.write('1');
    assert.deepEqual(await client.next(), { sent: 1 });
    assert.equal((await first.next()).text, 'metric.0:1|c');
    await first.kill();
    client.write('1');
    assert.deepEqual(await client.next(), { [-111]: 1 });
    client.write('1');
    assert.deepEqual(await client.next(), { [-107]: 1 });
    const second = await startReceiver(t, name);
    client.write('5');
    assert.deepEqual(await client.next(), { sent: 5 });
    assert.deepEqual(await second.texts(5), metrics(3, 5));
    client.write('end');
    await client.ended();
  });

  test('replaces its socket once the receiver is back', async (t) => {
    const name = temporaryPath(t);
    const first = await startReceiver(t, name);
    const user = startUser(
      t,
      async ({ line, print, pause }, path) => {
        const afunix = require('unix-dgram');
        const StatsD = require('hot-shots');
        const { createSocket } = afunix;
        const sockets = [];
        afunix.createSocket = (...args) => {
          sockets.push(createSocket(...args));
          return sockets.at(-1);
        };
        const errors = [];
        const client = new StatsD({
          protocol: 'uds',
          path,
          maxBufferSize: 0,
          udsGracefulRestartRateLimit: 1,
          errorHandler: ({ code, message }) => errors.push(code ?? message),
        });
        await pause(10);
        print('ready');
        for (let action = await line(); action !== 'end'; action = await line()) {
          client.increment(action);
          const open = sockets.filter(({ fd }) => fd >= 0).length;
          print({ errors: errors.splice(0), made: sockets.length, open });
        }
        client.close(() => print(sockets.filter(({ fd }) => fd >= 0).length));
      },
      [name],
    );
    assert.equal(await user.next(), 'ready');
    const send = async (metric) => {
      user.write(metric);
      return user.next(`the outcome of ${metric}`);
    };
    assert.deepEqual(await send('before'), { errors: [], made: 1, open: 1 });
    assert.equal((await first.next()).text, 'before:1|c');
    await first.kill();
    const second = await startReceiver(t, name);
    // The death is reported once; hot-shots takes that for the time to make another socket.
    assert.deepEqual(await send('lost'), { errors: [-111], made: 2, open: 1 });
    assert.deepEqual(await send('after'), { errors: [], made: 2, open: 1 });
    assert.equal((await second.next()).text, 'after:1|c');
    user.write('end');
    assert.equal(await user.next('its end'), 0);
    await user.ended();
  });

  test('reports it if nobody is there', async (t) => {
    const user = startUser(
      t,
      async ({ print }, name) => {
        const StatsD = require('hot-shots');
        const codes = [];
        const errorHandler = (error) => codes.push(error.code ?? error.message);
        const client = new StatsD({ protocol: 'uds', path: name, errorHandler });
        await new Promise((resolve) => setImmediate(resolve));
        print(codes);
        client.close(() => {});
      },
      [temporaryPath(t)],
    );
    assert.deepEqual(await user.next(), [-2]);
    await user.ended();
  });
});

describe('winston-syslog', withPackages(users), () => {
  /**
   * Logs `count` messages on each command. Prints the errors so far, how many messages the
   * transport keeps, and how many times sending succeeded. At the command `state`, it prints these.
   */
  async function log({ line, print, pause }, options) {
    const unixDgram = require('unix-dgram');
    const { createSocket } = unixDgram;
    let sent = 0;
    unixDgram.createSocket = (...args) => {
      const socket = createSocket(...args);
      const { send } = socket;
      socket.send = (...parts) => {
        const callback = parts.pop();
        send.call(socket, ...parts, (error) => {
          if (!error) sent++;
          callback(error);
        });
      };
      return socket;
    };
    const winston = require('winston');
    const { Syslog } = require('winston-syslog');
    const transport = new Syslog({ localhost: 'here', appName: 'app', ...options });
    // After an error winston closes it, at a time of its own: then or, if messages wait, up to four seconds later.
    transport.close = () => {};
    // Without its date and process.
    const format = winston.format.printf(({ message }) => message);
    const { levels } = winston.config.syslog;
    const logger = winston.createLogger({ levels, transports: [transport], format });
    const errors = [];
    logger.on('error', (error) => errors.push(error.code ?? error.message));
    let number = 0;
    print('ready');
    for (let count = await line(); count !== 'end'; count = await line()) {
      const last = count === 'state' ? number : number + Number(count);
      while (number < last) logger.info(`message ${number++}`);
      await pause(50);
      print({ errors, waiting: transport.queue.length, sent });
    }
    await new Promise((resolve) => {
      transport.on('closed', resolve);
      delete transport.close;
      transport.close();
    });
  }

  const startLogger = async (t, options) => {
    const user = startUser(t, log, [options]);
    assert.equal(await user.next(), 'ready');
    return user;
  };

  /** The numbers of the next `count` messages. */
  const numbers = async (receiver, count) =>
    (await receiver.texts(count)).map((text) => {
      const [, number] = /^<134>\w+ +\d+ \d\d:\d\d:\d\d here app\[\d+\]: message (\d+)$/.exec(text);
      return Number(number);
    });

  const range = (from, count) => Array.from({ length: count }, (_, index) => from + index);

  describe('with the protocol unix', () => {
    test('loses nothing while the receiver is full for a second', async (t) => {
      const receiver = await startStalled(t, temporaryPath(t));
      const user = await startLogger(t, { protocol: 'unix', path: receiver.name });
      user.write('500');
      assert.deepEqual(await user.next(), { errors: [], waiting: 0, sent: 11 });
      setTimeout(() => receiver.resume(), 1000);
      assert.deepEqual(await numbers(receiver, 500), range(0, 500));
      user.write('5');
      assert.deepEqual(await user.next(), { errors: [], waiting: 0, sent: 505 });
      assert.deepEqual(await numbers(receiver, 5), range(500, 5));
      user.write('end');
      await user.ended();
    });

    test('reports a receiver that died, and finds the next one', async (t) => {
      const name = temporaryPath(t);
      const first = await startReceiver(t, name);
      const user = await startLogger(t, { protocol: 'unix', path: name });
      user.write('1');
      assert.deepEqual(await user.next(), { errors: [], waiting: 0, sent: 1 });
      await first.kill();
      user.write('1');
      assert.deepEqual(await user.next(), { errors: [-111], waiting: 1, sent: 1 });
      const second = await startReceiver(t, name);
      user.write('3');
      assert.deepEqual(await user.next(), { errors: [-111], waiting: 1, sent: 4 });
      assert.deepEqual(await numbers(second, 3), range(2, 3));
      user.program.kill(); // Its close() would wait for the message that it keeps.
    });
  });

  describe('with the protocol unix-connect', () => {
    test('keeps what meets a full receiver, and goes on when that has room', async (t) => {
      const receiver = await startStalled(t, temporaryPath(t));
      const user = await startLogger(t, { protocol: 'unix-connect', path: receiver.name });
      user.write('50');
      const errors = Array(39).fill(1);
      // The kernel takes 11.
      assert.deepEqual(await user.next(), { errors, waiting: 39, sent: 11 });
      await new Promise((resolve) => setTimeout(resolve, 1000));
      receiver.resume();
      assert.deepEqual(await numbers(receiver, 11), range(0, 11));
      // At 'writable' the transport sends all that it kept, and does not look how that went.
      user.write('state');
      const { sent } = await user.next();
      assert.ok(sent > 11 && sent <= 50, `${sent} were sent`);
      const others = await numbers(receiver, sent - 11);
      assert.deepEqual(
        others,
        range(11, 39).filter((number) => others.includes(number)),
      );
      user.write('5');
      assert.deepEqual(await user.next(), { errors, waiting: 0, sent: sent + 5 });
      assert.deepEqual(await numbers(receiver, 5), range(50, 5));
      user.write('end');
      await user.ended();
    });

    test('finds a receiver that died and came back, and sends what it kept', async (t) => {
      const name = temporaryPath(t);
      const first = await startReceiver(t, name);
      const user = await startLogger(t, { protocol: 'unix-connect', path: name });
      user.write('1');
      assert.deepEqual(await user.next(), { errors: [], waiting: 0, sent: 1 });
      assert.deepEqual(await numbers(first, 1), [0]);
      await first.kill();
      user.write('3');
      const errors = [-111, -107, -107];
      assert.deepEqual(await user.next(), { errors, waiting: 3, sent: 1 });
      const second = await startReceiver(t, name);
      user.write('1');
      assert.deepEqual(await user.next(), { errors, waiting: 0, sent: 5 });
      assert.deepEqual((await numbers(second, 4)).sort(), range(1, 4));
      user.write('end');
      await user.ended();
    });

    test('reports it if nobody is there, and connects later', async (t) => {
      const name = temporaryPath(t);
      const user = await startLogger(t, { protocol: 'unix-connect', path: name });
      user.write('1');
      assert.deepEqual(await user.next(), { errors: [-2], waiting: 1, sent: 0 });
      const receiver = await startReceiver(t, name);
      user.write('1');
      assert.deepEqual(await user.next(), { errors: [-2], waiting: 0, sent: 2 });
      assert.deepEqual(await numbers(receiver, 2), range(0, 2));
      user.write('end');
      await user.ended();
    });
  });
});

describe('janode over a Unix socket', withPackages(users), () => {
  /** A Janus server that knows sessions, as far as janode asks. */
  function serveJanus({ DgramSocket }, name) {
    const sessions = new Set();
    const socket = new DgramSocket().bind(name);
    socket.on('data', (data, from) => {
      const { janus, transaction, session_id } = JSON.parse(data);
      const answer = (fields) => {
        socket.sendTo(JSON.stringify({ transaction, session_id, ...fields }), from, () => {});
      };
      if (janus === 'info') {
        answer({ janus: 'server_info', name: 'x'.repeat(100_000) });
      } else if (janus === 'create') {
        sessions.add(sessions.size + 1);
        answer({ janus: 'success', data: { id: sessions.size } });
      } else if (sessions.has(session_id)) {
        answer({ janus: 'ack' });
      } else {
        answer({ janus: 'error', error: { code: 458, reason: 'No such session' } });
      }
    });
    console.log('"bound"');
  }

  const startJanus = async (t, name) => {
    const janus = startScript(t, serveJanus, [name]);
    await janus.lines.next('Janus to bind');
    return janus;
  };

  async function talk({ line, print }, name) {
    const { default: Janode } = await import('janode');
    Janode.Logger.setLevel('none');
    const address = { url: `file://${name}` };
    const connect = () => Janode.connect({ address, retry_time_secs: 0.05, max_retries: 200 });
    let connection = await connect();
    const { name: title } = await connection.getInfo();
    print(title.length);
    const session = await connection.create();
    print(session.id);
    const failed = new Promise((resolve) => connection.once('connection_error', resolve));
    await line();
    await connection.getInfo().catch((error) => print(error.message));
    print((await failed).message);
    connection = await connect();
    print((await connection.create()).id);
    const closed = new Promise((resolve) => connection.once('connection_closed', resolve));
    await connection.close();
    await closed;
    print(await connect().then((third) => third.close().then(() => 'again')));
  }

  test('asks, is answered whole, notices that Janus died, and connects anew', async (t) => {
    const name = temporaryPath(t);
    const first = await startJanus(t, name);
    const user = startUser(t, talk, [name]);
    assert.equal(await user.next('information'), 100_000);
    assert.equal(await user.next('a session'), 1);
    first.kill('SIGKILL');
    await first.ended();
    user.write('died');
    assert.equal(await user.next('an error'), 'connection closed');
    assert.equal(await user.next('the end of the connection'), 'unexpected disconnection');
    await startJanus(t, name);
    assert.equal(await user.next('a session with the second'), 1);
    assert.equal(await user.next('a third connection'), 'again');
    await user.ended();
  });
});

describe("unix-dgram's own tests", withPackages(original), () => {
  const folder = 'node_modules/unix-dgram/test';
  const files = original.folder ? fs.readdirSync(path.join(original.folder, folder)) : [];

  for (const file of files) {
    test(file, async (t) => {
      // They require '../lib/unix_dgram' and share a fixed path.
      const place = temporaryFolder(t);
      for (const name of ['lib', 'test']) fs.mkdirSync(path.join(place, name));
      const library = `module.exports = require(${JSON.stringify(LIB)});`;
      fs.writeFileSync(path.join(place, 'lib', 'unix_dgram.js'), library);
      const source = fs.readFileSync(path.join(original.folder, folder, file), 'utf8');
      assert.ok(source.includes("'/tmp/unix_dgram"));
      const program = path.join(place, 'test', file);
      fs.writeFileSync(program, source.replaceAll("'/tmp/", `'${place}/`));
      const { code, signal, stderr } = await startProgram(t, process.execPath, [program]).ended();
      assert.equal(code, 0, `ended with ${signal ?? `code ${code}`}\n${stderr}`);
    });
  }

  test('are there', () => assert.equal(files.length, 4));
});
