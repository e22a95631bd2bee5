'use strict';

// Owns web servers on Unix paths under strain: large bodies in every combination of ends, clients that vanish at any
// moment, and cluster workers that are replaced while connections come.

const cluster = require('node:cluster');
const { createHash, randomFillSync } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { serve, USocket } = require('../../../lib');
const unix = require('../../../lib/net');
const { Queue } = require('../../helpers/wait.js');

const WORKER = path.join(__dirname, '..', '..', 'helpers', 'cluster-worker.js');
const MB = 1024 * 1024;
const CLIENTS = {
  net: (name) => net.connect(name),
  'afunix/net': (name) => unix.connect(name),
  USocket: (name) => new USocket(name),
};
const SERVERS = { net: (web, name) => web.listen(name), serve };

/** So many bytes that are hard to guess, and their digest. */
function body(megabytes) {
  const block = randomFillSync(Buffer.alloc(MB));
  const hash = createHash('sha256');
  for (let at = 0; at < megabytes; at++) hash.update(block);
  const blocks = Array.from({ length: megabytes }, () => block);
  return { stream: Readable.from(blocks), digest: hash.digest('hex') };
}

async function digestOf(stream) {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

/** A large body there and back, by HTTP/1 and HTTP/2. */
async function largeBodies(folder, megabytes) {
  let tried = 0;
  let lost = 0;
  for (const [server, listen] of Object.entries(SERVERS)) {
    for (const [client, connect] of Object.entries(CLIENTS)) {
      const name = path.join(folder, `${server}-${client.replace('/', '-')}`);
      const web = http.createServer((request, response) => request.pipe(response));
      listen(web, name);
      await once(web, 'listening');
      const createConnection = () => connect(name);
      const request = http.request({ method: 'POST', createConnection });
      const { stream, digest } = body(megabytes);
      const sent = pipeline(stream, request);
      const [response] = await once(request, 'response');
      if ((await digestOf(response)) !== digest) lost++;
      await sent;
      web.close();
      web.closeAllConnections();
      await once(web, 'close');

      const web2 = http2.createServer((asked, answer) => asked.pipe(answer));
      listen(web2, name);
      await once(web2, 'listening');
      const session = http2.connect('http://localhost', { createConnection });
      const second = body(megabytes);
      const http2Stream = session.request({ ':method': 'POST' });
      const sent2 = pipeline(second.stream, http2Stream, { end: true }).catch(() => {});
      if ((await digestOf(http2Stream)) !== second.digest) lost++;
      await sent2;
      session.close();
      web2.close();
      await once(web2, 'close');
      tried += 2;
    }
  }
  return { what: `bodies of ${megabytes} MB there and back`, tried, lost, note: '' };
}

/** Clients that vanish at any moment; then nothing is left of them. */
async function vanishing(folder, count, random) {
  const name = path.join(folder, 'vanishing');
  const web = http.createServer((request, response) => {
    request.resume();
    if (random() < 0.5) response.end(Buffer.alloc(Math.floor(random() * 300_000)));
    else response.write('begin');
  });
  web.on('upgrade', (_request, socket) => {
    socket
      .on('error', () => {})
      .write('HTTP/1.1 101 a\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n');
    socket.pipe(socket);
  });
  serve(web, name);
  await once(web, 'listening');
  const one = async () => {
    const socket = unix.connect(name).on('error', () => {});
    if (random() < 0.7) socket.resume();
    const more = random() < 0.3 ? 'Connection: Upgrade\r\nUpgrade: a\r\n' : 'Content-Length: 9\r\n';
    const text = `POST / HTTP/1.1\r\nHost: a\r\n${more}\r\n123456789`;
    socket.write(text.slice(0, Math.floor(random() * (text.length + 1))));
    await new Promise((done) => setTimeout(done, random() * 5));
    if (random() < 0.5) socket.end();
    await new Promise((done) => setTimeout(done, random() * 5));
    socket.destroy();
  };
  for (let at = 0; at < count; at += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - at) }, one));
  }
  const open = () => new Promise((done) => web.getConnections((_error, all) => done(all)));
  const end = performance.now() + 60_000;
  while ((await open()) > 0 && performance.now() < end) {
    await new Promise((done) => setTimeout(done, 5));
  }
  const lost = await open();
  web.close();
  web.closeAllConnections();
  await once(web, 'close');
  return {
    what: 'clients that vanish at any moment',
    tried: count,
    lost,
    note: 'connections left',
  };
}

/** Waits for a report of that event. */
async function reported(worker, event) {
  for (;;) {
    const report = await worker.reports.next(`${event} of a worker`);
    if (report.event === event) return;
    if (report.event === 'error') throw new Error(`a worker: ${report.message}`);
  }
}

/** Workers at one path, replaced again and again while connections come. */
async function workers(folder, count) {
  const name = path.join(folder, 'workers');
  cluster.setupPrimary({ exec: WORKER, args: ['UServer', JSON.stringify({ path: name })] });
  const start = async () => {
    const worker = cluster.fork();
    // All of them: several come in one turn, between which nobody who awaits the next is called.
    worker.reports = new Queue();
    worker.on('message', (report) => worker.reports.put(report));
    worker.on('exit', (code, signal) => {
      worker.reports.fail(new Error(`a worker ended with ${signal ?? `code ${code}`}`));
    });
    await reported(worker, 'listening');
    return worker;
  };
  const two = [await start(), await start()];
  let tried = 0;
  let replaced = 0;
  const outcomes = new Map();
  const ask = async () => {
    while (tried < count) {
      tried++;
      const socket = new USocket(name);
      const outcome = await new Promise((done) => {
        socket.on('data', () => done('answered')).on('error', ({ code }) => done(code));
        socket.on('close', () => done('closed'));
      });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      socket.destroy();
    }
  };
  const asking = Promise.all(Array.from({ length: 8 }, ask));
  while (tried < count) {
    const next = await start();
    const old = two.shift();
    two.push(next);
    old.send('close');
    await reported(old, 'close');
    old.process.kill();
    replaced++;
  }
  await asking;
  for (const worker of two) worker.process.kill();
  const lost = tried - outcomes.get('answered');
  const ends = [...outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(', ');
  const note = `${replaced} workers replaced; ${ends}`;
  return { what: 'connections to two workers', tried, lost, note };
}

async function run({ quick, random }) {
  if (process.platform !== 'linux') return { skipped: 'clusters share paths on Linux alone' };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-torture-'));
  try {
    return [
      await largeBodies(folder, quick ? 5 : 100),
      await vanishing(folder, quick ? 300 : 10_000, random),
      await workers(folder, quick ? 500 : 10_000),
    ];
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = {
  about: 'Web servers on Unix paths: large bodies, clients that vanish, workers that are replaced.',
  limit: 900,
  run,
};
