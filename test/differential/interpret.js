'use strict';

// Owns running a program: with `net`, or with the classes of this package on one side or both. What can be seen
// becomes a trace.
//
// A program: { mode, server, solo, steps, connections }
//   mode         whose sockets are under test: 'both', 'client', 'server'
//   server       options of the server and so of its sockets, and `limit`, maxConnections
//   connections  steps that run inside 'connection', a list for each
//   solo         needs a process of its own: how that ends is part of the trace
// A step: { do, who, ... }, see operations.js. `who` is c0, c1 (clients), s0, s1 (connections in the order in which
// the server has them), r0 (a raw descriptor), server, server2.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { MORTAL, RAW, SERVER, SOCKET } = require('./operations.js');
const raw = require('./raw.js');
const { WEB, closeWeb } = require('./web.js');
const { Trace, codeOf, stateOf } = require('./trace.js');

/** Turns of the event loop without an entry after which nothing more is to come. */
const SILENT_TURNS = 8;
/** Turns, at most: something goes on for ever. */
const MOST_TURNS = 3000;

const IMPLEMENTATIONS = {
  net: () => ({ Socket: net.Socket, Server: net.Server }),
  afunix() {
    const { USocket, UServer } = require('../../lib');
    return { Socket: USocket, Server: UServer };
  },
  'afunix/net': () => require('afunix/net'),
};

/** net with the timing of this package, where it depends on the peer or on the kernel in each way. */
const ADAPTED = [];
const TIMINGS = ['readsLater', 'connectsLater', 'endsLater', 'readsOnce'];
for (let bits = 0; bits < 1 << TIMINGS.length; bits++) {
  const name = `adapted ${bits}`;
  ADAPTED.push(name);
  const timing = Object.fromEntries(TIMINGS.map((each, bit) => [each, ((bits >> bit) & 1) === 1]));
  IMPLEMENTATIONS[name] = () => require('./adapted.js').adapted(timing);
}

let runs = 0;

/** One run of one program. */
class Run {
  constructor(program, subject, folder) {
    this.program = program;
    const own = IMPLEMENTATIONS[subject]();
    const reference = IMPLEMENTATIONS.net();
    this.client = program.mode === 'server' ? reference : own;
    this.server = program.mode === 'client' ? reference : own;
    this.sockets = new Map();
    this.servers = new Map();
    this.raws = new Map();
    this.mortals = new Map();
    this.requests = new Map();
    /** Of each socket, the number of its last step that connects. */
    this.connects = new Map();
    this.responses = new Map();
    this.sinks = [];
    this.rawListener = null;
    /** Handlers do nothing any more. */
    this.isOver = false;
    this.accepted = 0;
    this.folder = path.join(folder, `${runs++}`);
    this.trace = new Trace(this.folder);
  }

  /** The name that a step means. */
  pathOf(to) {
    return path.join(this.folder, to ?? 'server');
  }

  /** Runs steps one after the other, in one go. */
  all(steps) {
    if (this.isOver) return;
    for (const step of steps ?? []) this.one(step);
  }

  /** Runs one step; what it throws is recorded. */
  one(step) {
    try {
      this.perform(step);
    } catch (error) {
      this.trace.add(step.who, 'thrown', { of: step.do, code: codeOf(error) });
    }
  }

  perform(step) {
    const { do: name, who } = step;
    if (name === 'create') return this.create(step);
    if (name === 'rawListen') {
      if (this.rawListener === null) this.rawListener = raw.listen(this.pathOf('server'), 16);
      return undefined;
    }
    if (name in WEB) return WEB[name](this, step);
    if (name in SERVER) {
      const server = this.servers.get(who) ?? this.createServer(who);
      return SERVER[name](this, step, server);
    }
    if (name in RAW) {
      const fd = this.raws.get(who);
      if (fd === undefined && name !== 'rawConnect' && name !== 'rawAccept') return undefined;
      return RAW[name](this, step, fd);
    }
    const socket = this.sockets.get(who);
    if (socket === undefined) return undefined;
    return SOCKET[name](this, step, socket);
  }

  create({ who, options = {}, listener = true }) {
    if (this.sockets.has(who)) return;
    const { onread, ...plain } = options;
    if (onread) {
      const buffer = Buffer.alloc(onread.size);
      let count = 0;
      plain.onread = {
        buffer: onread.fresh ? () => Buffer.alloc(onread.size) : buffer,
        callback: (size, bytes) => {
          this.trace.addBytes(who, Buffer.from(bytes.subarray(0, size)));
          return ++count !== onread.stopAfter;
        },
      };
    }
    const socket = new this.client.Socket(plain);
    this.adopt(who, socket, listener);
    this.trace.add(who, 'created', undefined, socket);
  }

  adopt(who, socket, listener) {
    this.sockets.set(who, socket);
    this.trace.watch(who, socket, true);
    if (listener) socket.on('error', () => {});
  }

  createServer(who) {
    const { limit, listener = true, ...options } = this.program.server ?? {};
    const server = new this.server.Server(options);
    this.servers.set(who, server);
    this.trace.watch(who, server, false);
    if (limit !== undefined) server.maxConnections = limit;
    server.on('error', () => {});
    server.on('connection', (socket) => {
      const number = this.accepted++;
      const name = `s${number}`;
      this.adopt(name, socket, listener);
      this.trace.add(name, 'accepted', undefined, socket);
      this.all(this.program.connections?.[number]);
    });
    return server;
  }

  /** Waits until nothing happens any more. */
  async settle() {
    let silent = 0;
    for (let turn = 0; silent < SILENT_TURNS; turn++) {
      const before = this.trace.count;
      await new Promise((resolve) => setImmediate(resolve));
      silent = this.trace.count === before ? silent + 1 : 0;
      if (turn === MOST_TURNS) {
        this.trace.add('process', 'never silent');
        return;
      }
    }
  }

  /** Runs the program; resolves to its trace. */
  async run({ solo = false } = {}) {
    fs.mkdirSync(this.folder);
    // Each run begins in the same phase of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    let settled = 0;
    for (const step of this.program.steps) {
      if (step.do === 'settle') {
        await this.settle();
        this.trace.mark(settled++);
      } else if (step.do === 'tick') {
        await new Promise((resolve) => process.nextTick(resolve));
      } else if (step.do === 'turn') {
        await new Promise((resolve) => setImmediate(resolve));
      } else if (step.do === 'sleep') {
        await new Promise((resolve) => setTimeout(resolve, step.time));
        await this.settle();
        this.trace.mark(settled++);
      } else if (step.do in MORTAL) {
        await MORTAL[step.do](this, step);
      } else {
        this.one(step);
      }
    }
    // Alone, it ends when the sockets let it.
    if (solo) return this.trace;
    await this.settle();
    this.trace.mark(settled);
    return this.trace;
  }

  /** Records what sockets are at the end. */
  recordLeft() {
    for (const [who, socket] of this.sockets) {
      const { readableFlowing, writableLength } = socket;
      const more = { flowing: readableFlowing, waiting: writableLength > 0 };
      this.trace.add(who, 'left', more, socket);
    }
  }

  /** Records what is open, closes it, and records what that brings. */
  async finish() {
    this.isOver = true;
    this.recordLeft();
    for (const [who, server] of this.servers) {
      this.trace.add(who, 'left', { listening: server.listening });
      server.getConnections((error, value) => {
        this.trace.add(who, 'connections', { code: codeOf(error), value });
      });
    }
    await this.settle();
    closeWeb(this);
    for (const socket of this.sockets.values()) socket.destroy();
    for (const server of this.servers.values()) {
      if (server.listening) server.close();
    }
    for (const who of this.mortals.keys()) await MORTAL.mortalKill(this, { who });
    for (const fd of this.raws.values()) raw.close(fd);
    if (this.rawListener !== null) raw.close(this.rawListener);
    await this.settle();
    for (const [who, socket] of this.sockets) this.trace.add(who, 'over', undefined, socket);
    this.trace.isClosed = true;
    for (const sink of this.sinks) sink.destroy();
    fs.rmSync(this.folder, { recursive: true, force: true });
    return this.trace;
  }
}

module.exports = { ADAPTED, Run, stateOf };
