'use strict';

// Owns random lives of servers at one name, with clients all the time: servers listen, pause, drain, close, are given up
// to others, in loops and by listeners. No client is left without an answer or an end, each callback comes once, and
// nothing stays. Seeded, as differential/ is.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { SeqpacketServer, SeqpacketSocket, UServer, USocket } = require('../../lib');
const { eachSeed } = require('../differential/chance.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { tick, turn } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { delay, until } = require('../helpers/wait.js');

assertNoLeaks();

const RUNS = Number(process.env.RUNS ?? 40);
const KINDS = [
  [UServer, USocket],
  [SeqpacketServer, SeqpacketSocket],
];

/** One run: who serves now, all who ever did, and the clients. */
class Run {
  constructor(chance, name) {
    this.chance = chance;
    this.name = name;
    [this.Server, this.Socket] = chance.one(KINDS);
    this.server = null;
    this.servers = [];
    this.clients = [];
    this.callbacks = [];
    this.closes = new Map();
    this.isOver = false;
    /** Steps inside of steps: listeners take some, too. */
    this.depth = 0;
  }

  /** A server, by a listener or in loops. */
  make() {
    const { Server, chance } = this;
    const options = { pauseOnConnect: chance.maybe(0.2) };
    if (chance.maybe(0.1)) options.allow = () => chance.maybe(0.8);
    const server = new Server(options);
    this.servers.push(server);
    this.closes.set(server, 0);
    server.on('close', () => this.closes.set(server, this.closes.get(server) + 1));
    if (chance.maybe(0.3)) this.loop(server);
    else server.on('connection', (socket) => this.answer(socket));
    return server;
  }

  async loop(server) {
    await tick();
    do {
      let left = 1 + this.chance.below(6);
      for await (const socket of server) {
        this.answer(socket);
        if (this.chance.maybe(0.3)) await delay(this.chance.below(4));
        const isLeft = --left === 0 || (!server.listening && this.chance.maybe(0.5));
        if (!this.isOver && isLeft) break;
      }
    } while (server.listening);
    if (server.listenerCount('connection') === 0) {
      server.on('connection', (socket) => this.answer(socket));
    }
  }

  answer(socket) {
    const { chance } = this;
    socket.on('error', () => {}).resume();
    const end = () => socket.destroyed || socket.end('answer');
    chance.one([end, () => setImmediate(end), () => setTimeout(end, chance.below(5))])();
    if (!this.isOver && chance.maybe(0.08)) this.step();
  }

  come() {
    const socket = new this.Socket({ connectTimeout: 60_000 });
    const client = { socket, isDone: false };
    this.clients.push(client);
    socket.on('error', () => {}).resume();
    socket.on('close', () => (client.isDone = true));
    socket.connect(this.name);
    if (this.chance.maybe(0.1)) setTimeout(() => socket.destroy(), this.chance.below(5));
  }

  listen() {
    if (this.server?.listening) return;
    if (this.server === null || this.chance.maybe(0.5)) this.server = this.make();
    this.server.listen(this.name, this.chance.one([511, 511, 0, 2]));
  }

  close(options) {
    const callback = { times: 0 };
    this.callbacks.push(callback);
    this.server.close(options, () => callback.times++);
  }

  handOver() {
    const before = this.server;
    try {
      const { fd } = before.detach();
      this.server = this.make();
      this.server.listen({ fd });
    } catch (error) {
      // A listener for one of those that were accepted was faster.
      assert.equal(error.code, 'ERR_SERVER_NOT_RUNNING');
    }
  }

  step() {
    if (this.depth > 2) return;
    const { chance } = this;
    const steps = {
      listen: () => this.listen(),
      come: () => this.come(),
      comeMany: () => {
        for (let count = 3 + chance.below(20); count > 0; count--) this.come();
      },
      close: () => this.close(),
      drain: () => this.close({ drain: true }),
      pause: () => this.server.pause(),
      resume: () => this.server.resume(),
      limit: () => (this.server.maxConnections = chance.one([undefined, 1, 3])),
      handOver: () => this.handOver(),
    };
    const weights = { listen: 3, come: 8, comeMany: 3, close: 1, drain: 1, pause: 1, resume: 2 };
    this.depth++;
    try {
      steps[chance.weighted({ ...weights, limit: 1, handOver: 1.5 })]();
    } finally {
      this.depth--;
    }
  }

  async go() {
    const { chance, clients, servers } = this;
    this.listen();
    for (let count = 10 + chance.below(30); count > 0; count--) {
      this.step();
      const pause = chance.one([undefined, undefined, tick, turn, () => delay(1), () => delay(4)]);
      await pause?.();
    }
    this.isOver = true;
    if (chance.maybe(0.7)) this.listen();
    this.server.maxConnections = undefined;
    this.server.resume();
    await until(() => clients.every(({ isDone }) => isDone), 'an end for all clients');
    if (this.server.listening) this.close();
    const hasClosed = (server) => !server.listening && this.closes.get(server) > 0;
    await until(() => servers.every(hasClosed), 'all servers to close');
    await until(() => this.callbacks.every(({ times }) => times > 0), 'all callbacks');
    await delay(5);
    assert.deepEqual(
      this.callbacks.filter(({ times }) => times !== 1),
      [],
    );
    for (const server of servers) {
      server.getConnections((_error, count) => assert.equal(count, 0));
    }
  }
}

test('servers come and go at random, and no client is left', onLinux(), async (t) => {
  await eachSeed(RUNS, (chance) => {
    const name = chance.maybe(0.5) ? abstractName() : temporaryPath(t);
    return new Run(chance, name).go();
  });
});
