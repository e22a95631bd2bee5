'use strict';

// Owns the comparison of USocket and UServer with net.Socket and net.Server: each scenario of a table runs
// on both, and what the two ends saw has to be the same, in the same order.

const assert = require('node:assert/strict');
const net = require('node:net');
const { test } = require('node:test');
const { UServer, USocket } = require('../../lib');
const { assertIdle } = require('./idle-cpu.js');
const { quiet } = require('./seqpacket.js');
const { temporaryPath } = require('./tmp.js');
const { until, within } = require('./wait.js');

const FAMILIES = {
  net: { Server: net.Server, Socket: net.Socket },
  afunix: { Server: UServer, Socket: USocket },
};
const EVENTS = ['connect', 'end', 'finish', 'drain', 'timeout', 'error', 'close'];

/** A stage for a scenario: one family's server and client, and what the two saw. */
class Stage {
  constructor(t, { Server, Socket }) {
    this.t = t;
    this.Server = Server;
    this.Socket = Socket;
    this.path = temporaryPath(t);
    this.seen = {};
  }

  /** Notes something that one end saw. */
  note(who, what) {
    (this.seen[who] ??= []).push(what);
  }

  /** A callback that notes that it ran, and with what error. */
  callback(who, name) {
    return (error) => this.note(who, `${name}(${error ? error.code : ''})`);
  }

  /** Notes an end's events; its 'data' only if it has a reader. */
  watch(who, socket) {
    for (const event of EVENTS) {
      socket.on(event, (value) => {
        const shown = event === 'error' ? (value.code ?? value.message) : value;
        this.note(who, value === undefined ? event : `${event} ${shown}`);
      });
    }
    this.t.after(() => socket.destroy());
    return socket;
  }

  /** Notes the bytes that come, together: their cuts are no one's business. */
  read(who, socket) {
    socket.on('data', (data) => {
      const list = (this.seen[who] ??= []);
      const last = list.at(-1);
      if (String(last).startsWith('data ')) list[list.length - 1] = last + data;
      else list.push(`data ${data}`);
    });
    return socket;
  }

  /** Starts the server; `serve` gets each connection. */
  async serve(serve = () => {}, options = {}) {
    this.server = new this.Server(options, (socket) => {
      this.peer = this.watch('server', socket);
      serve(socket);
    });
    this.t.after(() => this.server.close());
    await new Promise((done) => this.server.listen(this.path, done));
  }

  /** A client that connects, with the callback noted. */
  connect(options = {}) {
    this.client = new this.Socket(options);
    // First, because it runs before listeners that come later in net, and before all of them here.
    this.client.connect(this.path, () => this.note('client', 'callback of connect'));
    return this.watch('client', this.client);
  }

  /** Waits until both ends, as far as there are any, have closed. */
  async over() {
    const isOver = (socket) => socket === undefined || socket.closed;
    await until(() => isOver(this.client) && isOver(this.peer), 'both ends to close');
    await quiet();
  }

  /** Waits until an end saw this. */
  async saw(who, what) {
    await until(
      () => this.seen[who]?.some((each) => String(each).startsWith(what)),
      `${who}: ${what}`,
    );
  }
}

/** A test for each scenario: name → what to do on a stage. */
function compare(scenarios) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    test(name, async (t) => {
      const seen = {};
      for (const [family, classes] of Object.entries(FAMILIES)) {
        const stage = new Stage(t, classes);
        await within(scenario(stage), `the scenario on ${family}`).catch((error) => {
          error.message += `\n${JSON.stringify(stage.seen, null, 1)}`;
          throw error;
        });
        seen[family] = stage.seen;
        // What the scenario leaves open waits, and may take no time of the processor.
        const isOpen = [stage.client, stage.peer].some((socket) => socket && !socket.closed);
        if (family === 'afunix' && isOpen) await assertIdle(name);
      }
      assert.notDeepEqual(seen.net, {});
      assert.deepEqual(seen.afunix, seen.net);
    });
  }
}

module.exports = { compare };
