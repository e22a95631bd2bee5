'use strict';

// Owns making programs from random numbers: the same program for the same seed.

const { Chance } = require('./chance.js');
const { ANSWERS } = require('./web.js');

/** Bytes that the kernel takes at once, whatever it took before. */
const SMALL = [0, 1, 2, 10, 100, 1000, 4096, 10000, 16384];
/** All small writes of one side together. */
const SMALL_TOTAL = 100_000;
/** More than a connection holds. */
const BIG = [1_000_000, 2_000_000];
const KINDS = ['buffer', 'buffer', 'text', 'latin1', 'hex', 'base64', 'utf16le', 'uint8'];
const URLS = Object.keys(ANSWERS);
const EVENTS = [
  'connect',
  'data',
  'end',
  'close',
  'error',
  'finish',
  'ready',
  'readable',
  'timeout',
];

class Maker {
  constructor(seed) {
    this.chance = new Chance(seed);
    this.number = 0;
    this.left = new Map();
    this.big = new Set();
    this.hasTimeout = false;
    this.readsLittle = false;
    this.hasEcho = false;
  }

  size(who) {
    const { chance } = this;
    if (!this.big.has(who) && !this.readsLittle && chance.maybe(0.06)) {
      this.big.add(who);
      return chance.one(BIG);
    }
    const left = this.left.get(who) ?? SMALL_TOTAL;
    const size = chance.one(SMALL);
    if (size > left / 4) return 1;
    // Text in UTF-16 or UTF-8 is longer than it looks.
    this.left.set(who, left - 2 * size);
    return size;
  }

  write(who) {
    const { chance } = this;
    const size = this.size(who);
    const kind = size > SMALL_TOTAL ? 'buffer' : chance.one(KINDS);
    const step = { do: 'write', who, number: ++this.number, size, kind };
    if (chance.maybe(0.8)) step.callback = true;
    return step;
  }

  /** Steps that run inside a handler or a callback. */
  nested(who, depth) {
    const count = 1 + this.chance.below(2);
    return Array.from({ length: count }, () => this.socketStep(who, depth + 1));
  }

  socketStep(who, depth = 0) {
    const { chance } = this;
    const name = chance.weighted({
      ...{ write: 20, end: 6, destroy: 4, destroySoon: 1, cork: 2, uncork: 2, pause: 3, resume: 4 },
      ...{ flow: 9, readable: 4, read: 3, iterate: 3, pipe: 3, echo: 2, pipeOut: 2, pipeIn: 2 },
      ...{ pipeEcho: 1, feed: 1, unpipe: 1, finished: 3, timeout: 0.8, on: depth < 2 ? 9 : 0 },
      ...{ again: who.startsWith('c') ? 0.7 : 0 },
      ...{ unshift: 1, setEncoding: 1, probe: 1.5, ref: 0.3, unref: 0.3, connections: 1 },
    });
    // Two that echo would never come to an end.
    if (name === 'echo' || name === 'pipeEcho') {
      if (this.hasEcho) return this.write(who);
      this.hasEcho = true;
    }
    const number = ++this.number;
    const step = { do: name, who, number };
    const then = () => {
      if (depth < 2 && chance.maybe(0.25)) step.then = this.nested(who, depth);
    };
    switch (name) {
      case 'write':
        Object.assign(step, this.write(who));
        if (step.callback) then();
        break;
      case 'end':
        if (chance.maybe(0.5)) {
          const { size, kind } = this.write(who);
          Object.assign(step, { size, kind });
        }
        step.callback = chance.maybe(0.6);
        if (step.callback) then();
        break;
      case 'destroy':
        step.error = chance.maybe(0.3);
        break;
      case 'readable':
      case 'read':
        if (chance.maybe(0.5)) step.size = chance.one([0, 1, 3, 100, 1000]);
        if (name === 'readable' && step.size !== undefined) {
          // Megabytes, byte by byte, take too long, and so do kilobytes for a time-out.
          step.size = Math.max(step.size, this.big.size > 0 || this.hasTimeout ? 1000 : 1);
          this.readsLittle = step.size < 1000;
        }
        break;
      case 'iterate':
        if (chance.maybe(0.3)) step.stopAfter = 1 + chance.below(2);
        break;
      case 'pipe':
      case 'pipeOut':
        step.sink = chance.one(['fast', 'fast', 'slow', 'stuck', 'fails']);
        step.sinkMark = chance.one([1, 1000, 16384]);
        then();
        break;
      case 'pipeIn':
      case 'feed':
        Object.assign(step, { size: chance.one(SMALL), parts: 1 + chance.below(3) });
        if (step.size * step.parts > 30_000) step.parts = 1;
        if (name === 'pipeIn') then();
        break;
      case 'finished':
        if (chance.maybe(0.2)) step.readable = false;
        else if (chance.maybe(0.25)) step.writable = false;
        then();
        break;
      case 'timeout':
        // To read a few bytes at a time takes as long.
        if (this.readsLittle) return { do: 'probe', who, number };
        this.hasTimeout = true;
        Object.assign(step, { time: 30, callback: chance.maybe(0.5) });
        then();
        break;
      case 'on':
        step.event = chance.one(EVENTS);
        step.nth = 1;
        step.run = this.nested(who, depth);
        break;
      case 'unshift':
        step.size = chance.one([0, 1, 100]);
        break;
      case 'setEncoding':
        step.encoding = chance.one(['utf8', 'latin1', 'hex']);
        break;
      case 'again':
        step.to = chance.one(['server', 'nobody']);
        break;
      case 'connections':
        step.who = 'server';
        break;
      default:
    }
    return step;
  }

  rawStep(who, isClient) {
    const { chance } = this;
    const name = chance.weighted({
      ...{ rawSend: 8, rawReceive: 6, rawShutdown: 4, rawClose: 4 },
      ...(isClient ? { rawConnect: 2 } : { rawAccept: 2 }),
    });
    const step = { do: name, who, number: ++this.number };
    if (name === 'rawSend') step.size = chance.one([1, 100, 10_000, 60_000]);
    if (name === 'rawReceive' && chance.maybe(0.5)) step.size = chance.one([1, 100, 60_000]);
    if (name === 'rawShutdown') step.how = chance.one(['read', 'write', 'write', 'both']);
    return step;
  }

  wait(steps) {
    const { chance } = this;
    const kind = chance.weighted({ settle: 45, tick: 15, turn: 4, nothing: 36 });
    if (kind !== 'nothing') steps.push({ do: kind });
  }

  socketOptions() {
    const { chance } = this;
    const options = { highWaterMark: chance.one([16384, 16384, 65536, 1000, 1]) };
    if (chance.maybe(0.3)) options.allowHalfOpen = true;
    return options;
  }

  clientOptions() {
    const options = this.socketOptions();
    if (this.chance.maybe(0.07)) {
      options.onread = { size: this.chance.one([10, 1000, 65536]), fresh: this.chance.maybe(0.4) };
      if (this.chance.maybe(0.3)) options.onread.stopAfter = 1;
    }
    return options;
  }

  serverOptions() {
    const options = this.socketOptions();
    if (this.chance.maybe(0.1)) options.pauseOnConnect = true;
    return options;
  }

  connect(who, to) {
    const { chance } = this;
    const step = { do: 'connect', who, to, number: ++this.number, callback: chance.maybe(0.4) };
    if (chance.maybe(0.3)) step.how = 'options';
    if (step.callback && chance.maybe(0.3)) step.then = this.nested(who, 1);
    return step;
  }

  create(who) {
    const step = { do: 'create', who, options: this.clientOptions() };
    if (this.chance.maybe(0.05)) step.listener = false;
    return step;
  }

  /** Random steps on these sockets, with waits in between. */
  mix(steps, names, count) {
    for (let made = 0; made < count; made++) {
      const who = this.chance.one(names);
      if (who.startsWith('r')) {
        const step = this.rawStep(who, this.rawIsClient);
        // What is there already is a matter of time.
        if (step.do === 'rawReceive') steps.push({ do: 'settle' });
        steps.push(step);
      } else steps.push(this.socketStep(who));
      this.wait(steps);
    }
  }

  connections(count) {
    return Array.from({ length: count }, (_, at) => {
      const steps = [];
      const number = this.chance.below(4);
      for (let made = 0; made < number; made++) steps.push(this.socketStep(`s${at}`));
      return steps;
    });
  }

  /** A client and a server that both are sockets. */
  pair() {
    const { chance } = this;
    const steps = [{ do: 'listen', who: 'server', number: 0 }, this.create('c0')];
    if (chance.maybe(0.2)) this.mix(steps, ['c0'], 1 + chance.below(2));
    steps.push(this.connect('c0', 'server'));
    if (chance.maybe(0.3)) this.mix(steps, ['c0'], 1 + chance.below(3));
    this.wait(steps);
    this.mix(steps, ['c0', 's0'], 2 + chance.below(8));
    return {
      steps,
      connections: this.connections(1),
      mode: chance.one(['both', 'client', 'server']),
    };
  }

  /** A client whose server is a descriptor. */
  rawServer() {
    const { chance } = this;
    this.rawIsClient = false;
    const steps = [{ do: 'rawListen', who: 'r0' }, this.create('c0'), this.connect('c0', 'server')];
    if (chance.maybe(0.3)) this.mix(steps, ['c0'], 1 + chance.below(2));
    if (chance.maybe(0.8)) steps.push({ do: 'settle' });
    steps.push({ do: 'rawAccept', who: 'r0', number: 0 });
    this.mix(steps, ['c0', 'r0'], 2 + chance.below(8));
    return { steps, connections: [], mode: 'client' };
  }

  /** A server whose client is a descriptor. */
  rawClient() {
    const { chance } = this;
    this.rawIsClient = true;
    const steps = [
      { do: 'listen', who: 'server', number: 0 },
      { do: 'rawConnect', who: 'r0' },
    ];
    if (chance.maybe(0.3)) this.mix(steps, ['r0'], 1 + chance.below(3));
    this.wait(steps);
    this.mix(steps, ['s0', 'r0'], 2 + chance.below(8));
    return { steps, connections: this.connections(1), mode: 'server' };
  }

  /** A server whose client is another process, which gets killed. */
  mortal() {
    const { chance } = this;
    const steps = [
      { do: 'listen', who: 'server', number: 0 },
      { do: 'mortalStart', who: 'm0' },
    ];
    const count = 2 + chance.below(6);
    for (let made = 0; made < count; made++) {
      const what = chance.one(['send', 'send', 'receive', 'shutdown']);
      const value =
        what === 'shutdown' ? chance.one(['read', 'write']) : chance.one([1, 1000, 60_000]);
      if (chance.maybe(0.3)) steps.push({ do: 'mortalDo', who: 'm0', what, value });
      else if (chance.maybe(0.2)) steps.push({ do: 'mortalKill', who: 'm0' });
      else steps.push(this.socketStep('s0'));
      if (chance.maybe(0.5)) steps.push({ do: 'settle' });
    }
    steps.push({ do: 'mortalKill', who: 'm0' });
    return { steps, connections: this.connections(1), mode: 'server' };
  }

  /** Requests over sockets, or to a server, under test. */
  web() {
    const { chance } = this;
    const steps = [{ do: 'webListen', who: 'web' }];
    const count = 1 + chance.below(4);
    for (let made = 0; made < count; made++) {
      const who = `q${made}`;
      const size = chance.one([0, 0, 10, 10_000, 300_000]);
      const read = chance.one(['all', 'all', 'all', 'never', 'cut']);
      const step = { do: 'request', who, url: chance.one(URLS), size, read };
      Object.assign(step, { agent: chance.maybe(0.5), open: size > 0 && chance.maybe(0.3) });
      if (chance.maybe(0.1)) step.nobody = true;
      steps.push(step);
      this.wait(steps);
      for (let more = chance.below(3); more > 0; more--) {
        const name = chance.one(['requestEnd', 'requestDestroy', 'responseRead']);
        steps.push({ do: name, who: `q${chance.below(made + 1)}`, error: chance.maybe(0.3) });
        this.wait(steps);
      }
    }
    return { steps, connections: [], mode: chance.one(['client', 'server']) };
  }

  /** A writer with a time-out, and a peer that reads slowly. */
  slow() {
    const { chance } = this;
    const steps = [
      { do: 'listen', who: 'server', number: 0 },
      { do: 'rawConnect', who: 'r0' },
    ];
    steps.push({ do: 'settle' });
    const timeout = { do: 'timeout', who: 's0', number: ++this.number, time: 60, callback: true };
    const write = { do: 'write', who: 's0', number: ++this.number, size: BIG[0], callback: true };
    steps.push(...(chance.maybe(0.5) ? [timeout, write] : [write, timeout]));
    for (let left = 5 + chance.below(4); left > 0; left--) {
      steps.push({ do: 'sleep', time: 20 });
      if (chance.maybe(0.8)) {
        steps.push({ do: 'rawReceive', who: 'r0', size: chance.one([60_000, 100_000]) });
      }
    }
    return { steps, connections: [[]], mode: 'server' };
  }

  /** A server whose connections are piped to another one and back. */
  proxy() {
    const { chance } = this;
    const join = (who, other) => {
      this.number++;
      return { do: 'join', who, other, number: this.number };
    };
    const steps = [
      { do: 'listen', who: 'server', number: 0 },
      { do: 'listen', who: 'server2', to: 'server-2', number: 0 },
      this.create('c0'),
      this.connect('c0', 'server'),
    ];
    const inside = [this.create('c1'), this.connect('c1', 'server-2')];
    inside.push(join('s0', 'c1'), join('c1', 's0'));
    if (chance.maybe(0.6)) steps.push({ do: 'settle' });
    this.mix(steps, ['c0', 's1', 'c0', 's1', 's0', 'c1'], 2 + chance.below(8));
    return { steps, connections: [inside, []], mode: chance.one(['both', 'client', 'server']) };
  }

  serverStep(depth = 0) {
    const { chance } = this;
    const name = chance.weighted({
      ...{ serverClose: 5, listen: 4, connections: 4, limit: 2, serverProbe: 1 },
      ...{ serverRef: 0.5, serverUnref: 0.5, serverOn: depth < 2 ? 4 : 0 },
    });
    const step = { do: name, who: 'server', number: ++this.number };
    if (name === 'serverClose' || name === 'listen') step.callback = chance.maybe(0.7);
    if (name === 'listen' && chance.maybe(0.4)) {
      step.to = chance.one(['server', 'server-2', 'no/where']);
    }
    if (name === 'limit') step.value = 1 + chance.below(2);
    const inside = () =>
      Array.from({ length: 1 + chance.below(2) }, () => {
        if (chance.maybe(0.3)) return this.socketStep(chance.one(['c0', 's0', 's1']), 2);
        return this.serverStep(depth + 1);
      });
    if (step.callback && depth < 2 && chance.maybe(0.3)) step.then = inside();
    if (name === 'serverOn') {
      step.event = chance.one(['connection', 'listening', 'close', 'error', 'drop']);
      step.run = inside();
    }
    return step;
  }

  /** A server's life, with several clients. */
  lifecycle() {
    const { chance } = this;
    const steps = [];
    if (chance.maybe(0.9)) steps.push({ do: 'listen', who: 'server', number: 0, callback: true });
    let clients = 0;
    const count = 4 + chance.below(10);
    for (let made = 0; made < count; made++) {
      if (clients < 4 && chance.maybe(0.35)) {
        const who = `c${clients++}`;
        steps.push(this.create(who), this.connect(who, chance.maybe(0.9) ? 'server' : 'server-2'));
      } else if (chance.maybe(0.5) && clients > 0) {
        steps.push(this.socketStep(`${chance.one(['c', 's'])}${chance.below(clients)}`));
      } else {
        steps.push(this.serverStep());
      }
      this.wait(steps);
    }
    const server = chance.maybe(0.3) ? { limit: 1 + chance.below(2) } : {};
    return {
      steps,
      connections: this.connections(2),
      server,
      mode: chance.one(['both', 'server']),
    };
  }

  /** Nobody there, or nobody yet; destroyed at once. */
  refused() {
    const { chance } = this;
    const steps = [];
    const to = chance.one(['nobody', 'no/where', 'server', 'server']);
    if (to === 'server' && chance.maybe(0.5)) {
      steps.push({ do: 'listen', who: 'server', number: 0 });
    }
    steps.push(this.create('c0'));
    if (chance.maybe(0.4)) this.mix(steps, ['c0'], 1 + chance.below(3));
    steps.push(this.connect('c0', to));
    if (chance.maybe(0.5)) steps.push({ do: 'destroy', who: 'c0', number: ++this.number });
    this.mix(steps, ['c0'], 1 + chance.below(5));
    if (chance.maybe(0.1)) steps.push(this.connect('c0', 'nobody'));
    return { steps, connections: this.connections(1), mode: 'client' };
  }

  /** A process of its own: how it ends. */
  solo() {
    const { chance } = this;
    const program = this.pair();
    const names = ['c0', 's0'];
    for (let made = 0; made < 3; made++) {
      const at = chance.below(program.steps.length + 1);
      const who = chance.one([...names, 'server']);
      const step =
        who === 'server'
          ? { do: 'serverUnref', who }
          : { do: chance.maybe(0.8) ? 'unref' : 'ref', who };
      program.steps.splice(at, 0, { ...step, number: ++this.number });
    }
    if (chance.maybe(0.5)) {
      const number = ++this.number;
      const writer = chance.one(names);
      program.steps.push({ do: 'flow', who: writer === 'c0' ? 's0' : 'c0', number });
      program.steps.push({ do: 'write', who: writer, number, size: BIG[0], callback: true });
    }
    if (chance.maybe(0.7)) program.steps.unshift({ do: 'serverUnref', who: 'server', number: 0 });
    return { ...program, solo: true };
  }

  program() {
    const { chance } = this;
    const shape = chance.weighted({
      ...{ pair: 38, rawServer: 17, rawClient: 17, lifecycle: 14, refused: 9, proxy: 4 },
      ...{ solo: 1.5, mortal: 0.7, web: 4, slow: 0.5 },
    });
    const { server, ...program } = this[shape]();
    if (this.hasTimeout && !program.solo) program.steps.push({ do: 'sleep', time: 80 });
    return { shape, ...program, server: { ...this.serverOptions(), ...server } };
  }
}

/** The program of a seed. */
const generate = (seed) => new Maker(seed).program();

module.exports = { generate };
