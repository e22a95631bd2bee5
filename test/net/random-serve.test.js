'use strict';

// Owns random programs with a web server, or a server of net, that listens on a path by itself, and by serve(): what is
// called, emitted and answered in each step is the same. Seeded, as differential/ is.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const { describe, test } = require('node:test');
const { serve } = require('../../lib');
const { Chance, ofSeed } = require('../differential/chance.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { delay } = require('../helpers/wait.js');

assertNoLeaks();

const RUNS = Number(process.env.RUNS ?? 12);
/** Milliseconds that a step takes: on a busy machine more of them show whether it was a matter of time. */
const PAUSES = [15, 60, 200];
const WEIGHTS = {
  ...{ listen: 4, 'listen once more': 0.7, close: 3, 'close silently': 1, abort: 0.4, signal: 0.6 },
  ...{ 'close idle': 1, 'close all': 1, unref: 0.5, ref: 0.5, ask: 1, count: 1.5, limit: 0.7 },
  ...{ get: 4, 'get and keep': 4, 'get slowly': 2, connect: 2, 'connect and end': 1 },
};

function programOf(seed) {
  const chance = new Chance(seed);
  return Array.from({ length: 4 + chance.below(12) }, () => ({
    what: chance.weighted(WEIGHTS),
    at: chance.below(3),
    isShort: chance.maybe(0.5),
  }));
}

const servers = {
  http: (pause, note) =>
    http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      note('request', request.url);
      if (request.url === '/slow') setTimeout(() => response.end('late'), pause * 2.5);
      else response.end('at once');
    }),
  net: (pause, note) =>
    net.createServer((socket) => {
      note('connection');
      socket.on('error', () => {}).on('close', () => note('connection closed'));
      socket.on('data', (data) => {
        if (String(data) === '/slow') setTimeout(() => socket.end('late'), pause * 2.5);
        else socket.end('at once');
      });
    }),
};

/** One program, run by one of both. */
class Run {
  constructor(t, kind, start, pause) {
    this.kind = kind;
    this.start = start;
    this.pause = pause;
    this.names = [0, 1, 2].map(() => temporaryPath(t));
    this.last = 0;
    this.log = [];
    this.number = 0;
    this.sockets = [];
    this.aborts = [];
    this.agent = new http.Agent({ keepAlive: true });
    this.server = servers[kind](pause, (...words) => this.note(...words));
    for (const name of ['listening', 'close', 'error', 'drop']) {
      this.server.on(name, (value) => this.note('event', name, value?.code));
    }
  }

  note(...words) {
    const line = `${this.number} ${words.join(' ')}`;
    // net emits 'close' twice where close() is called just as the last connection goes.
    if (!line.endsWith('event close ') || !this.log.includes(line)) this.log.push(line);
  }

  listen(at, callback, signal) {
    try {
      this.start(this.server, { path: this.names[at], signal }, callback);
      this.last = at;
    } catch ({ code }) {
      this.note('thrown', code);
    }
  }

  get(url, agent) {
    const socketPath = this.names[this.last];
    if (this.kind === 'net') {
      this.connect(url).write(url);
      return;
    }
    const request = http.get({ socketPath, path: url, agent }, (response) => {
      let text = '';
      response.on('data', (data) => (text += data));
      response.on('end', () => this.note('answer', url, text));
      response.on('error', ({ code }) => this.note('answer', url, code));
    });
    request.on('error', ({ code }) => this.note('no answer', url, code));
  }

  connect(name) {
    const socket = net.connect(this.names[this.last]);
    this.sockets.push(socket);
    socket.on('data', (data) => this.note(name, data));
    socket.on('error', ({ code }) => this.note(name, code));
    socket.on('end', () => this.note(name, 'ended')).on('close', () => this.note(name, 'closed'));
    return socket;
  }

  step({ what, at, isShort }) {
    const { server } = this;
    const steps = {
      listen: () => this.listen(at, isShort ? () => this.note('listens') : undefined),
      'listen once more': () => this.listen(this.last, () => this.note('listens')),
      signal: () => {
        const controller = new AbortController();
        if (isShort) controller.abort();
        this.aborts.push(controller);
        this.listen(at, () => this.note('listens'), controller.signal);
      },
      abort: () => this.aborts.splice(0).forEach((controller) => controller.abort()),
      close: () => server.close((error) => this.note('closed', error?.code)),
      'close silently': () => server.close(),
      'close idle': () => server.closeIdleConnections?.(),
      'close all': () => server.closeAllConnections?.(),
      unref: () => this.note(server.unref() === server),
      ref: () => this.note(server.ref() === server),
      ask: () => this.note(this.names.indexOf(server.address()), server.listening),
      count: () => server.getConnections((error, count) => this.note('count', error, count)),
      limit: () => (server.maxConnections = isShort ? 1 : undefined),
      get: () => this.get('/get', false),
      'get and keep': () => this.get('/keep', this.agent),
      'get slowly': () => this.get('/slow', isShort ? this.agent : false),
      connect: () => isShort && this.connect('connected').write('GET / HT'),
      'connect and end': () => this.connect('connected').end(),
    };
    this.note('-', what);
    steps[what]();
  }

  /** What happened, sorted within each step. */
  async go(program) {
    for (const step of program) {
      this.step(step);
      await delay(this.pause * (step.isShort ? 1 : 3));
      this.number++;
    }
    this.server.close();
    this.server.closeAllConnections?.();
    this.agent.destroy();
    for (const socket of this.sockets) socket.destroy();
    await delay(this.pause * 4);
    this.note(this.server.listening, this.names.filter((name) => fs.existsSync(name)).length);
    return this.log.sort((one, other) => parseInt(one) - parseInt(other) || (one < other ? -1 : 1));
  }
}

const BY_ITSELF = (server, options, callback) => server.listen(options, callback);

/** Whether both do the same, given so much time. */
async function compare(t, kind, program) {
  let found;
  for (const pause of PAUSES) {
    const runs = [BY_ITSELF, serve].map((start) => new Run(t, kind, start, pause));
    found = await Promise.all(runs.map((run) => run.go(program)));
    if (found[0].join() === found[1].join()) return;
  }
  assert.deepEqual(found[1], found[0]);
}

describe('serve() does what listen() does, at random', onLinux(), () => {
  for (const kind of Object.keys(servers)) {
    test(`with a server of ${kind}`, async (t) => {
      const first = Chance.seed();
      const seeds = Array.from({ length: RUNS }, (_, index) => first + index);
      const comparing = seeds.map((seed) => ofSeed(seed, compare(t, kind, programOf(seed))));
      await Promise.all(comparing);
    });
  }
});
