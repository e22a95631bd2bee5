'use strict';

// Owns: workers started and ended with live sockets of every class, while the main thread's own
// sockets pass numbered messages to and fro. Imports lib/ of the project,
// lib/workers-life.js and lib/death-descriptors.js.

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const afunix = require('../../../lib');
const posix = require('../../../lib/posix');
const { descriptors, leftSince } = require('../lib/death-descriptors.js');

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket } = afunix;

const LIFE = path.join(__dirname, '..', 'lib', 'workers-life.js');
const AT_ONCE = 16;
/** Milliseconds that a worker may take to end after terminate(). */
const END_LIMIT = 100_000;
/** RSS may grow by so much for each worker: Node alone leaves about that behind. */
const MAX_GROWTH = 64 * 1024;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The main thread's own traffic: each pair passes a number to and fro, one higher each time. */
class Volley {
  constructor(name, one, two, send) {
    this.name = name;
    this.number = 0;
    this.wrong = [];
    this.stopped = false;
    this.sockets = [one, two];
    for (const socket of this.sockets) {
      for (const event of ['error', 'close', 'end']) {
        socket.on(event, (error) => this.stopped || this.wrong.push(`${event} ${error ?? ''}`));
      }
      socket.on(name === 'unix_dgram' ? 'message' : 'data', (data) => {
        if (Number(data) !== this.number) this.wrong.push(`${data} instead of ${this.number}`);
        this.number = Number(data) + 1;
        if (!this.stopped) setImmediate(send, socket, `${this.number}`);
      });
    }
    send(two, '0');
  }

  stop() {
    this.stopped = true;
  }
}

function startVolleys(folder) {
  const write = (socket, text) => socket.write(text);
  const paths = [0, 1].map((index) => path.join(folder, `main${index}`));
  const old = paths.map((name) => {
    const socket = afunix.createSocket('unix_dgram');
    socket.bind(name);
    return socket;
  });
  const sendOld = (socket, text) => {
    const data = Buffer.from(text);
    socket.send(data, 0, data.length, paths[socket === old[0] ? 1 : 0]);
  };
  return [
    new Volley('DgramSocket', ...DgramSocket.pair(), (socket, text) => socket.send(text)),
    new Volley('SeqpacketSocket', ...SeqpacketSocket.pair(), write),
    new Volley('USocket', ...USocket.pair(), write),
    new Volley('unix_dgram', ...old, sendOld),
  ];
}

/** Starts a worker and ends it at some moment of its life; says how it ended. */
async function liveAndDie(data, random) {
  const worker = new Worker(LIFE, { workerData: data, stderr: true });
  let failure;
  let stderr = '';
  worker.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  worker.on('error', (error) => (failure = error));
  const exited = new Promise((resolve) => worker.on('exit', resolve));
  const running = new Promise((resolve) => worker.on('message', () => resolve('running')));
  if (data.end === 'terminate') {
    // From before its first line to the midst of its traffic.
    if (random() < 0.3) await pause(random() * 150);
    else await Promise.race([running, exited]);
    if (random() < 0.5) await pause(random() * 10);
    worker.terminate();
  }
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, END_LIMIT, 'late');
  });
  const code = await Promise.race([exited, late]);
  clearTimeout(timer);
  // Ended on purpose: by terminate() with 1 or, before it has begun or after, 0.
  const expected = { exit: [3], throw: [1], terminate: [0, 1] }[data.end];
  if (!expected.includes(code)) return `worker ${data.name} (${data.end}) ended with ${code}`;
  if (failure !== undefined && failure.message !== 'on purpose') return `${failure.stack}`;
  if (stderr !== '') return stderr;
}

exports.about =
  'Workers started and ended, 16 at a time, with live sockets of every class, descriptors in ' +
  "flight and connections to the main thread, while the main thread's own sockets pass numbers.";
exports.limit = 900;
exports.quickLimit = 600;

exports.run = async ({ quick, random, say }) => {
  if (process.platform !== 'linux') return { skipped: 'it counts descriptors in /proc' };
  const total = quick ? 64 : 1000;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-torture-'));
  const stalled = path.join(folder, 'stalled');
  // It never reads: its messages wait, and with them their senders.
  const receiver = posix.socket(posix.AF_UNIX, posix.SOCK_DGRAM, 0);
  posix.bind(receiver, { sun_family: posix.AF_UNIX, sun_path: stalled });
  const main = {};
  // What travels: a descriptor like it that is left is one that we lost.
  const file = fs.openSync(__filename);
  const open = new Set();
  let peers = 0;
  let peersClosed = 0;
  const servers = [
    [SeqpacketServer, 'q'],
    [UServer, 's'],
  ].map(([Server, suffix]) => {
    main[suffix] = path.join(folder, `main-${suffix}`);
    const server = new Server((socket) => {
      peers++;
      open.add(socket);
      socket.on('error', () => {});
      socket.on('data', (data) => setImmediate(() => socket.destroyed || socket.write(data)));
      socket.on('close', () => {
        peersClosed++;
        open.delete(socket);
      });
    });
    server.listen(main[suffix]);
    return server;
  });
  const volleys = startVolleys(folder);
  const mine = fs.readdirSync(folder).sort();

  const problems = [];
  let started = 0;
  let ended = 0;
  let still = 0;
  async function lane() {
    while (started < total) {
      const number = started++;
      const end = random() < 0.8 ? 'terminate' : random() < 0.5 ? 'exit' : 'throw';
      const before = volleys.map((volley) => volley.number);
      const turns = 21 + Math.floor(random() * 300);
      const data = { folder, name: `w${number}`, main, stalled, file, turns, end };
      const problem = await liveAndDie(data, random);
      if (problem !== undefined) problems.push(problem);
      still += volleys.filter((volley, index) => volley.number === before[index]).length;
      ended++;
      if (ended % 100 === 0) {
        say(`${ended} workers, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`);
      }
    }
  }
  const run = async (until) => {
    const goal = Math.min(until, total);
    while (ended < goal) await pause(20);
  };
  // With its first worker Node opens /dev/null, once and for all.
  await once(new Worker('', { eval: true, stderr: true }), 'exit');
  const before = descriptors();
  const lanes = Array.from({ length: AT_ONCE }, lane);
  // Threads' stacks and the heaps' reserves have been made by then.
  const warm = quick ? 32 : 200;
  await run(warm);
  global.gc?.();
  const rssWarm = process.memoryUsage.rss();
  await Promise.all(lanes);
  for (let look = 0; look < 200 && open.size > 0; look++) await pause(25);
  global.gc?.();
  await pause(100);
  const growth = Math.max(0, process.memoryUsage.rss() - rssWarm);
  const more = await leftSince(before);
  const left = fs.readdirSync(folder).filter((name) => !mine.includes(name));

  for (const volley of volleys) volley.stop();
  await pause(50);
  for (const { sockets } of volleys) for (const socket of sockets) socket.close();
  for (const server of servers) server.close();
  posix.close(receiver);
  fs.closeSync(file);
  fs.rmSync(folder, { recursive: true, force: true });
  const wrong = volleys.flatMap(({ name, wrong: list }) => list.map((text) => `${name}: ${text}`));
  for (const problem of [...problems, ...wrong].slice(0, 10)) say(problem);

  const perWorker = Math.round(growth / Math.max(1, total - warm));
  const allowed = quick ? 1024 * 1024 : MAX_GROWTH;
  return [
    { what: 'workers ended as they should', tried: ended, lost: problems.length },
    {
      what: "messages of the main thread's sockets",
      tried: volleys.reduce((sum, volley) => sum + volley.number, 0),
      lost: wrong.length,
      note: volleys.map(({ name, number }) => `${name} ${number}`).join(', '),
    },
    {
      what: 'main sockets standing still while a worker lived',
      tried: ended * volleys.length,
      lost: still,
    },
    { what: 'connections from workers, closed', tried: peers, lost: peers - peersClosed },
    {
      what: 'socket files left',
      tried: ended * 6,
      lost: left.length,
      note: left.slice(0, 3).join(' '),
    },
    {
      what: 'descriptors left',
      tried: before.length,
      lost: more.length,
      note: more.slice(0, 3).join(', '),
    },
    {
      what: 'memory left, bytes a worker',
      tried: ended - warm,
      lost: perWorker > allowed ? perWorker : 0,
      note: `${perWorker} bytes a worker after the first ${warm}; ${allowed} allowed`,
    },
  ];
};
