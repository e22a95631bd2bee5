'use strict';

// Owns making random programs with messages: for a SeqpacketSocket on either side, or for a DgramSocket, whose peers
// are sockets of a Python process.
//
// A program: { kind: 'client' | 'server' | 'dgram', options, reader, steps }. A step: { do, ... }, see messages.js.

const { Chance } = require('./chance.js');

const SIZES = [0, 4, 5, 10, 100, 1000, 5000, 30_000];
/** How many files there are to pass. */
const FILES = 6;

class Maker {
  constructor(seed) {
    this.chance = new Chance(seed);
    this.number = 0;
    this.empties = new Set();
  }

  files() {
    const { chance } = this;
    if (!chance.maybe(0.25)) return [];
    return Array.from({ length: 1 + chance.below(3) }, () => chance.below(FILES));
  }

  message() {
    const files = this.files();
    let size = this.chance.one(SIZES);
    // Empty messages are known by their files.
    if (size === 0 && this.empties.has(files.join())) size = 4;
    if (size === 0) this.empties.add(files.join());
    return { number: ++this.number, size, files };
  }

  send(depth) {
    const { chance } = this;
    const step = { do: 'send', ...this.message(), callback: chance.maybe(0.85) };
    if (this.kind === 'dgram') step.to = chance.one(['r0', 'r0', 'r0', 'stalled', 'nobody']);
    if (chance.maybe(0.03)) step.closedFd = true;
    if (step.callback && depth < 2 && chance.maybe(0.15)) {
      const what = chance.one([
        'send',
        'send',
        'destroy',
        this.kind === 'dgram' ? 'destroy' : 'end',
      ]);
      if (what === 'send') step.then = [this.send(depth + 1)];
      else step.then = [{ do: what }];
    }
    return step;
  }

  step(steps, reader) {
    const { chance } = this;
    const isDgram = this.kind === 'dgram';
    // Iterators and 'readable' do that themselves.
    const hasFlow = !isDgram && (reader === 'data' || reader === 'none');
    const name = chance.weighted({
      ...{ send: 20, burst: 6, peerSend: 14, peerReceive: 8, wait: 12, tick: 4 },
      ...{ end: isDgram ? 0 : 1.5, destroy: 1, pause: hasFlow ? 2 : 0, resume: hasFlow ? 3 : 0 },
      ...{ cork: isDgram ? 0 : 1, uncork: isDgram ? 0 : 1.5 },
      ...{ peerShutdown: isDgram ? 0 : 1, peerClose: 1, read: hasFlow ? 2 : 0 },
    });
    if (name === 'send') steps.push(this.send(0));
    else if (name === 'burst') {
      for (let left = 5 + chance.below(60); left > 0; left--) steps.push(this.send(1));
    } else if (name === 'peerSend') {
      const messages = Array.from({ length: 1 + chance.below(4) }, () => this.message());
      steps.push({ do: 'peerSend', messages });
    } else if (name === 'peerReceive') {
      steps.push({ do: 'peerReceive', limit: 1 + chance.below(20) });
    } else {
      steps.push({ do: name });
    }
  }

  program() {
    const { chance } = this;
    this.kind = chance.one(['client', 'server', 'dgram']);
    const options = { receiveFds: true, credentials: chance.maybe(0.5) };
    if (chance.maybe(0.3)) options.writableHighWaterMark = chance.one([1, 1000, 20_000]);
    const reader = { kind: chance.one(['data', 'data', 'iterate', 'readable', 'none']) };
    if (this.kind === 'dgram') reader.kind = chance.one(['data', 'iterate']);
    reader.when = chance.one(['early', 'at once', 'late']);
    const steps = [];
    if (chance.maybe(0.15) && this.kind === 'client') options.beforeConnect = [this.send(2)];
    const count = 2 + chance.below(10);
    for (let made = 0; made < count; made++) this.step(steps, reader.kind);
    return { kind: this.kind, options, reader, steps };
  }
}

/** The program of a seed. */
const generate = (seed) => new Maker(seed).program();

module.exports = { FILES, generate };
