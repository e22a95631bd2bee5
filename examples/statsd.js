'use strict';

// A StatsD server over a Unix datagram socket, as DogStatsD agents have it, and an application that
// counts. The application never waits for the server: what is too much for it is dropped.
// Run: node examples/statsd.js (after `npm start` or `npm run build` has built the addon)

const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { DgramSocket } = require('afunix');

const EVENTS = 5000;

/** Adds up counters: lines of the form `name:value|c`. */
class Server {
  counters = new Map();

  constructor(address) {
    this.socket = new DgramSocket().bind(address);
    this.socket.on('data', (data) => {
      for (const line of data.toString().split('\n')) this.count(line);
    });
  }

  count(line) {
    const [, name, value] = /^([^:]+):(\d+)\|c/.exec(line) ?? [];
    if (name) this.counters.set(name, (this.counters.get(name) ?? 0) + Number(value));
  }
}

/** Sends counters, unless too many wait already. */
class Client {
  dropped = 0;

  constructor(address) {
    this.socket = new DgramSocket({ writableHighWaterMark: 16 * 1024 }).connect(address);
    // For sends without a callback: the server has gone. Metrics are not worth failing for.
    this.socket.on('error', () => this.dropped++);
  }

  increment(name) {
    if (this.socket.writableNeedDrain) this.dropped++;
    else this.socket.send(`${name}:1|c`);
  }

  /** Resolves once everything sent has reached the server's socket. */
  flush() {
    return new Promise((resolve) => {
      this.socket.send('', resolve); // In order: called back after all that was sent before.
    });
  }
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-statsd-'));
  const address = path.join(folder, 'statsd.sock');
  const server = new Server(address);
  const client = new Client(address);

  // All in one turn of the event loop, in which the server has no time to read: the worst case.
  for (let event = 0; event < EVENTS; event++) client.increment('page.views');
  await client.flush();
  const counted = () => server.counters.get('page.views') ?? 0;
  while (counted() + client.dropped < EVENTS) await once(server.socket, 'data');

  console.log(`${EVENTS} events: ${counted()} counted, ${client.dropped} dropped`);
  client.socket.close();
  server.socket.close();
  fs.rmdirSync(folder);
}

main();
