'use strict';

// Metrics for a DogStatsD agent over a Unix datagram socket: with tags, many to a datagram, and
// never in the way of the application. An agent that is slow, stalled or gone costs metrics, which
// are counted, and nothing else: no memory, no error. One that comes back is found again.
// Run: node examples/dogstatsd.js (after `npm start` or `npm run build` has built the addon)
//
// Here the agent is a part of the same program. A real one is at /var/run/datadog/dsd.socket.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');
const { DgramSocket } = require('afunix');

/** Bytes of a datagram, as Datadog recommends for Unix sockets. */
const DATAGRAM_SIZE = 8192;
/** Milliseconds a metric is kept back to share a datagram with others. */
const FLUSH_INTERVAL = 100;

/** Sends metrics: `name:value|type|#tag,tag`, one a line. Nothing here grows, waits or throws. */
class Metrics {
  /** Metrics that reached the agent's socket, and that did not. */
  sent = 0;
  dropped = 0;
  // A full agent costs metrics: nothing is ever queued.
  #socket = new DgramSocket({ whenFull: 'fail' });
  #address;
  #tags;
  #lines = [];
  #size = 0;
  #timer = null;

  /** @param {string[]} tags for every metric, such as `'env:test'` */
  constructor(address, tags = []) {
    this.#address = address;
    this.#tags = tags;
    // Metrics keep no process alive.
    this.#socket.unref();
  }

  count = (name, value, tags) => this.#add(name, value, 'c', tags);
  gauge = (name, value, tags) => this.#add(name, value, 'g', tags);
  distribution = (name, value, tags) => this.#add(name, value, 'd', tags);

  #add(name, value, type, tags = []) {
    const all = [...this.#tags, ...tags];
    const line = `${name}:${value}|${type}${all.length > 0 ? `|#${all.join(',')}` : ''}`;
    const size = Buffer.byteLength(line) + 1;
    if (this.#size + size > DATAGRAM_SIZE) this.flush();
    this.#lines.push(line);
    this.#size += size;
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_INTERVAL).unref();
  }

  /** Sends what is kept back. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const lines = this.#lines.splice(0);
    this.#size = 0;
    if (lines.length === 0) return;
    const done = (error) => {
      if (error) this.dropped += lines.length;
      else this.sent += lines.length;
    };
    try {
      // By its name, not connected: whoever has the name now gets it, a restarted agent too.
      this.#socket.sendTo(lines.join('\n'), this.#address, done);
    } catch (error) {
      done(error); // After close().
    }
  }

  /** Sends what is kept back, and closes. Resolves when it is known what became of all. */
  async close() {
    this.flush();
    await this.#socket[Symbol.asyncDispose]();
  }
}

/** Adds up counters by name and tags, and keeps the last of every gauge. */
class Agent {
  received = 0;
  totals = new Map();
  gauges = new Map();
  #socket = new DgramSocket();

  constructor(address) {
    this.#socket.bind(address, { mode: 0o622 });
    this.#socket.on('data', (data) => {
      for (const line of data.toString().split('\n')) this.#take(line);
    });
  }

  #take(line) {
    const [, name, value, type, tags = ''] =
      /^([^:|]+):([^|]+)\|(\w+)(?:\|#(.*))?$/.exec(line) ?? [];
    if (name === undefined) return;
    const key = `${name}{${tags}}`;
    if (type === 'c') this.totals.set(key, (this.totals.get(key) ?? 0) + Number(value));
    if (type === 'g') this.gauges.set(key, Number(value));
    this.received++;
  }

  close() {
    return this.#socket[Symbol.asyncDispose]();
  }
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-dogstatsd-'));
  const address = path.join(folder, 'dsd.socket');
  const metrics = new Metrics(address, ['env:example']);
  const report = (what) => console.log(`${what}: ${metrics.sent} sent, ${metrics.dropped} dropped`);

  const first = new Agent(address);
  // All in one turn of the event loop, in which the agent has no time to read: the worst case.
  for (let event = 0; event < 20_000; event++) {
    metrics.count('page.views', 1, [`page:${event % 2 ? 'home' : 'help'}`]);
    metrics.distribution('render.time', (event % 50) / 10);
  }
  metrics.flush();
  while (metrics.sent + metrics.dropped < 40_000) await pause(10);
  report('a burst');
  while (first.received < metrics.sent) await pause(10);
  for (const [key, total] of first.totals) console.log(`  ${key} ${total}`);

  await first.close();
  metrics.count('page.views', 1);
  await pause(2 * FLUSH_INTERVAL);
  report('the agent is gone');

  const second = new Agent(address);
  metrics.gauge('temperature', 21.5, ['room:1']);
  while (second.received === 0) await pause(10);
  report('it is back');
  for (const [key, value] of second.gauges) console.log(`  ${key} ${value}`);

  await metrics.close();
  await second.close();
  fs.rmdirSync(folder);
}

module.exports = { Metrics };

if (require.main === module) main();
