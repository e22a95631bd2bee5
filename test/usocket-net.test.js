'use strict';

// Owns the claim that USocket and UServer do what net.Socket and net.Server do: each scenario of the
// table runs on both, and what the two ends saw has to be the same, in the same order.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { finished, pipeline, PassThrough, Readable } = require('node:stream');
const { describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const { inspect } = require('node:util');
const { UServer, USocket } = require('../lib');
const { onLinux } = require('./helpers/programs.js');
const { quiet } = require('./helpers/seqpacket.js');
const { temporaryPath } = require('./helpers/tmp.js');
const { until, within } = require('./helpers/wait.js');

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

/** Name → what to do on a stage. */
const SCENARIOS = {
  async 'the client ends'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    stage.read('client', stage.connect()).end('hello');
    await stage.over();
  },

  async 'the server ends'(stage) {
    await stage.serve((socket) => socket.end('hello'));
    stage.read('client', stage.connect());
    await stage.over();
  },

  async 'the server ends without a word, nobody reads'(stage) {
    await stage.serve((socket) => socket.end());
    stage.connect();
    await stage.saw('client', 'close');
    await stage.over();
  },

  async "'ready' follows 'connect'"(stage) {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect().resume();
    client.on('ready', () => {
      stage.note('client', 'ready');
      client.end();
    });
    await stage.over();
  },

  async echo(stage) {
    await stage.serve((socket) => socket.pipe(socket));
    const client = stage.read('client', stage.connect());
    client.write('a', stage.callback('client', 'a'));
    client.write('b', stage.callback('client', 'b'));
    client.end('c', stage.callback('client', 'end'));
    await stage.over();
  },

  async 'writes before and after connecting call back in order'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect();
    client.write('1', stage.callback('client', '1'));
    client.write('', stage.callback('client', '2'));
    client.on('connect', () => {
      client.write('3', stage.callback('client', '3'));
      client.end('4', stage.callback('client', 'end'));
    });
    client.resume();
    await stage.over();
  },

  async 'cork and uncork'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    client.cork();
    for (const name of 'abc') client.write(name, stage.callback('client', name));
    await quiet();
    stage.note('client', `${client.writableLength} waiting`);
    client.uncork();
    client.write('d', stage.callback('client', 'd'));
    client.end();
    await stage.over();
  },

  async 'half-open at the server'(stage) {
    await stage.serve(
      (socket) => {
        stage.read('server', socket);
        socket.on('end', () => setTimeout(() => socket.end('answer'), 5));
      },
      { allowHalfOpen: true },
    );
    stage.read('client', stage.connect()).end('question');
    await stage.over();
  },

  async 'half-open at the client'(stage) {
    await stage.serve((socket) => stage.read('server', socket).end('bye'));
    const client = stage.read('client', stage.connect({ allowHalfOpen: true }));
    await stage.saw('client', 'end');
    stage.note('client', client.readyState);
    client.end('last', stage.callback('client', 'end'));
    await stage.over();
  },

  async 'destroy after connecting'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect();
    await stage.saw('client', 'connect');
    client.destroy().destroy();
    stage.note('client', `${client.destroyed} ${client.readyState} ${client.pending}`);
    await stage.over();
  },

  async 'destroy with an error'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect();
    await stage.saw('client', 'connect');
    client.destroy(new Error('mine'));
    await stage.over();
  },

  async 'destroy while connecting'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect();
    client.on('close', () => stage.note('client', client.readyState));
    client.destroy();
    await stage.saw('client', 'closed');
    await quiet();
    // The server may have seen the connection, or not.
    delete stage.seen.server;
  },

  async 'destroy in the callback of connect'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    stage.client = stage.watch('client', new stage.Socket());
    stage.client.connect(stage.path, () => stage.client.destroy());
    await until(() => stage.client.closed, "'close'");
    await quiet();
    // Whether 'connect' has other listeners is net's own affair.
    stage.seen.client = stage.seen.client.filter((what) => what !== 'connect');
  },

  async "destroy in 'data'"(stage) {
    await stage.serve((socket) => {
      socket.write('a');
      setTimeout(() => socket.write('b'), 20);
    });
    const client = stage.read('client', stage.connect());
    client.on('data', () => client.destroy());
    await stage.over();
  },

  async "destroy in 'end'"(stage) {
    await stage.serve((socket) => socket.end('a'));
    const client = stage.read('client', stage.connect());
    client.on('end', () => client.destroy());
    await stage.over();
  },

  async "end in 'connect'"(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    client.on('connect', () => client.end());
    await stage.over();
  },

  async 'nobody is there'(stage) {
    const client = stage.connect();
    let failed = 0;
    client.write('x', (error) => (failed += Number(Boolean(error))));
    await until(() => client.closed, "'close'");
    await until(() => failed === 1, 'the callback of write');
    await quiet();
    stage.note('client', failed);
  },

  async 'the socket file is dead'(stage) {
    await stage.serve();
    fs.linkSync(stage.path, `${stage.path}~`);
    await new Promise((done) => stage.server.close(done));
    stage.path = `${stage.path}~`;
    const client = stage.connect();
    client.on('error', ({ syscall, errno, address, path }) => {
      stage.note('client', `${syscall} ${errno} ${(address ?? path) === stage.path}`);
    });
    await until(() => client.closed, "'close'");
    await quiet();
  },

  async 'write after end'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    client.end('a');
    client.write('b', stage.callback('client', 'b'));
    await stage.over();
    // Here there was room for 'a' at once; net is told a moment later.
    stage.seen.client = stage.seen.client.filter((what) => what !== 'finish');
  },

  async 'write after destroy'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect();
    await stage.saw('client', 'connect');
    client.destroy();
    client.write('b', stage.callback('client', 'b'));
    await stage.over();
    client.write('c', stage.callback('client', 'c'));
    await quiet();
  },

  async "write after the peer's end"(stage) {
    await stage.serve((socket) => stage.read('server', socket).end());
    const client = stage.connect().resume();
    await stage.saw('client', 'end');
    client.write('b', stage.callback('client', 'b'));
    await stage.over();
  },

  async 'end twice, with callbacks'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    client.end('a', stage.callback('client', 'first'));
    client.end(stage.callback('client', 'second'));
    await stage.over();
    client.end(stage.callback('client', 'third'));
    await quiet();
  },

  async 'a timeout'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    client.setTimeout(20, () => stage.note('client', 'callback of setTimeout'));
    await stage.saw('client', 'timeout');
    stage.note('client', client.timeout);
    await delay(60);
    stage.note('client', 'one time-out only');
    client.end();
    await stage.over();
    client.setTimeout(5);
    await delay(20);
  },

  async 'a timeout that is taken back'(stage) {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect({ timeout: 10 }).resume();
    const callback = () => stage.note('client', 'callback');
    client.setTimeout(10, callback);
    client.setTimeout(0, callback);
    await delay(40);
    stage.note('client', client.listenerCount('timeout'));
    client.end();
    await stage.over();
  },

  async 'arguments of setTimeout'(stage) {
    const client = new stage.Socket();
    for (const value of [1.5, 0, -1, NaN, Infinity, '1', undefined, null]) {
      try {
        client.setTimeout(value);
        stage.note('client', `${value}: ${client.timeout}`);
      } catch ({ name, code }) {
        stage.note('client', `${value}: ${name} ${code}`);
      }
    }
    client.destroy();
  },

  async 'arguments of write'(stage) {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect();
    for (const value of [null, undefined, 1, true, () => {}, Symbol('s')]) {
      try {
        client.write(value);
        stage.note('client', `${String(value)}: fine`);
      } catch ({ name, code }) {
        stage.note('client', `${String(value)}: ${name} ${code}`);
      }
    }
    for (const encoding of ['no-such-encoding', '', 0, 5, ['utf8'], { length: 4 }, 'UTF8']) {
      try {
        client.write('x', encoding);
        stage.note('client', `${inspect(encoding)}: fine`);
      } catch ({ name, code }) {
        stage.note('client', `${inspect(encoding)}: ${name} ${code}`);
      }
    }
    client.destroy();
    await stage.over();
  },

  async 'callbacks that are no functions'(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    for (const callback of [5, 'text', Buffer.from('bytes'), {}, null]) {
      client.write('w', 'utf8', callback);
    }
    client.end('e', 'utf8', 'no chunk');
    await stage.over();
  },

  async encodings(stage) {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    client.setDefaultEncoding('hex');
    client.write('6162');
    client.write('Yw==', 'base64');
    client.write('ü', 'utf8');
    client.end('d', 'latin1');
    await stage.over();
  },

  async 'setEncoding over cut characters'(stage) {
    await stage.serve(async (socket) => {
      const bytes = Buffer.from('žluťoučký €');
      for (let at = 0; at < bytes.length; at++) {
        socket.write(bytes.subarray(at, at + 1));
        await delay(1);
      }
      socket.end();
    });
    stage.read('client', stage.connect()).setEncoding('utf8');
    await stage.over();
  },

  async 'a paused reader keeps the end waiting'(stage) {
    await stage.serve((socket) => socket.end('words'));
    const client = stage.read('client', stage.connect());
    client.pause();
    await delay(30);
    stage.note('client', `${client.isPaused()} ${client.readableLength} ${client.bytesRead}`);
    client.resume();
    await stage.over();
  },

  async 'pause before connecting'(stage) {
    await stage.serve((socket) => socket.end('words'));
    const client = stage.watch('client', (stage.client = new stage.Socket()));
    client.pause();
    client.connect(stage.path);
    await delay(30);
    stage.note('client', `${client.readableFlowing} ${client.readableLength}`);
    stage.read('client', client).resume();
    await stage.over();
  },

  async 'nobody reads what came'(stage) {
    await stage.serve((socket) => socket.end('words'));
    const client = stage.connect();
    await delay(40);
    stage.note('client', `${client.readableLength} ${client.bytesRead} ${client.readyState}`);
    client.destroy();
    await stage.over();
  },

  async "reading by 'readable'"(stage) {
    await stage.serve((socket) => socket.end('words of some length'));
    const client = stage.connect();
    let text = '';
    client.on('readable', () => {
      for (let some; (some = client.read(4) ?? client.read()) !== null;) text += some;
    });
    await stage.over();
    stage.note('client', text);
  },

  async 'the peer is destroyed with data unread'(stage) {
    await stage.serve((socket) => {
      socket.pause();
      setTimeout(() => socket.destroy(), 20);
    });
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    client.write('never read');
    await stage.saw('client', 'close');
    await stage.over();
  },

  async 'a write to a peer that is gone'(stage) {
    await stage.serve((socket) => socket.destroy());
    const client = stage.connect({ allowHalfOpen: true }).resume();
    await stage.saw('client', 'end');
    client.write('x', stage.callback('client', 'x'));
    await stage.over();
  },

  async 'destroySoon sends what waits'(stage) {
    let length = 0;
    await stage.serve((socket) => {
      socket.on('data', (data) => (length += data.length));
    });
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    client.write(Buffer.alloc(2_000_000));
    client.destroySoon();
    await stage.over();
    stage.note('server', length);
    stage.seen.client = stage.seen.client.filter((what) => what !== 'drain');
  },

  async backpressure(stage) {
    await stage.serve((socket) => {
      socket.pause();
      setTimeout(() => socket.resume(), 30);
    });
    const client = stage.connect({ writableHighWaterMark: 1000 }).resume();
    await stage.saw('client', 'connect');
    stage.note('client', client.write(Buffer.alloc(5_000_000)));
    stage.note('client', client.write('more', stage.callback('client', 'more')));
    stage.note('client', client.writableNeedDrain);
    await stage.saw('client', 'drain');
    stage.note('client', client.bytesWritten);
    client.end();
    await stage.over();
  },

  async 'bytes and states'(stage) {
    await stage.serve((socket) => socket.resume().end('12345'));
    stage.client = stage.watch('client', new stage.Socket());
    const { client } = stage;
    const look = () => {
      const { connecting, pending, readyState, bytesRead, bytesWritten, destroyed } = client;
      const all = { connecting, pending, readyState, bytesRead, bytesWritten, destroyed };
      stage.note('client', JSON.stringify(all));
    };
    client.connect({ path: stage.path });
    client.write('äö');
    stage.note('client', client.bytesWritten);
    client.on('connect', look).on('end', look).on('close', look).resume();
    await stage.over();
  },

  async 'an AbortSignal'(stage) {
    await stage.serve((socket) => socket.resume());
    const abort = new AbortController();
    stage.connect({ signal: abort.signal }).resume();
    await stage.saw('client', 'connect');
    abort.abort();
    await stage.over();
  },

  async 'destroy mid-stream'(stage) {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    const errors = [];
    stage.peer.pause();
    client.write(Buffer.alloc(10_000_000), (error) => errors.push(error?.code));
    client.write('x', (error) => errors.push(error?.code));
    await delay(10);
    client.destroy();
    await until(() => client.closed, "'close'");
    await quiet();
    stage.note('client', errors.length);
    stage.peer.resume();
    await stage.over();
  },

  async 'finished() and pipeline()'(stage) {
    await stage.serve((socket) => {
      pipeline(socket, new PassThrough(), socket, stage.callback('server', 'pipeline'));
    });
    const client = stage.connect();
    finished(client, stage.callback('client', 'finished'));
    let text = '';
    pipeline(
      Readable.from(['a', 'b', 'c']),
      client,
      async (source) => {
        for await (const data of source) text += data;
      },
      stage.callback('client', 'pipeline'),
    );
    await stage.over();
    stage.note('client', text);
  },

  async 'finished() when the peer dies'(stage) {
    await stage.serve((socket) => socket.destroy());
    const client = stage.connect().resume();
    finished(client, stage.callback('client', 'finished'));
    await stage.over();
  },

  async iteration(stage) {
    await stage.serve((socket) => socket.end('some words'));
    const client = stage.connect();
    let text = '';
    for await (const data of client) text += data;
    stage.note('client', text);
    await stage.over();
    // Here shutdown(2) is done when it is called; net is told a moment later, and destroyed by then.
    stage.seen.client = stage.seen.client.filter((what) => what !== 'finish');
  },

  async 'iteration that breaks off'(stage) {
    await stage.serve((socket) => {
      socket.on('error', () => {});
      socket.write('some words');
    });
    const client = stage.connect();
    for await (const data of client) {
      stage.note('client', String(data));
      break;
    }
    await until(() => client.closed, "'close'");
    await quiet();
    stage.seen = { client: stage.seen.client };
  },

  async pauseOnConnect(stage) {
    await stage.serve(
      (socket) => {
        stage.read('server', socket);
        setTimeout(() => {
          stage.note('server', `${socket.isPaused()} ${socket.bytesRead}`);
          socket.resume();
        }, 30);
      },
      { pauseOnConnect: true },
    );
    stage.connect().resume().end('hello');
    await stage.over();
  },

  async 'onread with one buffer'(stage) {
    await stage.serve((socket) => socket.end('abcdefghijklmnopqrstuvwxyz'));
    const buffer = Buffer.alloc(10);
    let text = '';
    stage.connect({
      onread: {
        buffer,
        callback(length, given) {
          stage.note('client', `${length} ${given === buffer} ${this === undefined}`);
          text += given.toString('latin1', 0, length);
          return true;
        },
      },
    });
    await stage.over();
    stage.note('client', text);
  },

  async 'onread with a function'(stage) {
    await stage.serve((socket) => socket.end('abcdefghijklmnopqrstuvwxyz'));
    const buffers = [];
    let made = 0;
    stage.connect({
      onread: {
        buffer: () => Buffer.alloc(++made),
        callback: (length, given) => void buffers.push(given.toString('latin1', 0, length)),
      },
    });
    await stage.over();
    stage.note('client', buffers.join());
  },

  async 'onread that pauses by returning false'(stage) {
    await stage.serve((socket) => socket.end('abcdef'));
    const client = stage.connect({
      onread: {
        buffer: Buffer.alloc(2),
        callback(length, given) {
          stage.note('client', given.toString('latin1', 0, length));
          setTimeout(() => client.resume(), 10);
          return false;
        },
      },
    });
    await stage.over();
  },

  async 'a server: states and events'(stage) {
    const server = new stage.Server();
    for (const event of ['listening', 'close', 'error']) {
      server.on(event, (error) => stage.note('server', `${event} ${error?.code}`));
    }
    const look = () => {
      stage.note('server', `listening: ${server.listening}`);
      stage.note('server', `a file: ${fs.existsSync(stage.path)}`);
    };
    look();
    stage.note('server', server.address());
    const listen = () => server.listen(stage.path, () => stage.note('server', 'callback'));
    stage.note('server', listen() === server);
    look();
    await stage.saw('server', 'callback');
    look();
    stage.note('server', server.address() === stage.path);
    try {
      server.listen(stage.path);
    } catch (error) {
      stage.note('server', error.code);
    }
    server.close(stage.callback('server', 'close'));
    look();
    await stage.saw('server', 'close()');
    stage.note('server', listen() === server);
    await until(() => server.listening, 'listening again');
    await quiet();
    server.close(stage.callback('server', 'closed'));
    await stage.saw('server', 'closed()');
  },

  async 'a server: close without listen'(stage) {
    const server = new stage.Server();
    server.close(stage.callback('server', 'close'));
    await stage.saw('server', 'close');
  },

  async 'a server: the name is taken'(stage) {
    await stage.serve();
    const other = new stage.Server();
    other.on('listening', () => stage.note('other', 'listening'));
    other.on('error', ({ code, syscall, errno }) =>
      stage.note('other', `${code} ${errno} ${typeof syscall}`),
    );
    other.on('close', () => stage.note('other', 'close'));
    other.listen(stage.path, () => stage.note('other', 'callback'));
    await stage.saw('other', 'EADDRINUSE');
    await quiet();
    // Whether it is alive is asked by connecting: net does not ask.
    delete stage.seen.server;
    stage.note('other', other.listening);
  },

  async 'a server: close waits for the last connection'(stage) {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect().resume();
    await stage.saw('client', 'connect');
    await until(() => stage.peer, 'the connection');
    stage.server.close(stage.callback('listener', 'closed'));
    stage.server.getConnections((error, count) => stage.note('listener', `${error} ${count}`));
    await delay(20);
    client.end();
    await stage.saw('listener', 'closed');
    await stage.over();
  },

  async 'a server: maxConnections'(stage) {
    await stage.serve((socket) => socket.resume());
    stage.server.maxConnections = 1;
    stage.server.on('drop', () => stage.note('server', 'drop'));
    const first = stage.connect().resume();
    await stage.saw('client', 'connect');
    const second = stage.watch('second', new stage.Socket().connect(stage.path)).resume();
    await until(() => second.closed, "'close' of the second");
    first.end();
    await stage.over();
  },
};

describe('what net does', onLinux(), () => {
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    test(name, async (t) => {
      const seen = {};
      for (const [family, classes] of Object.entries(FAMILIES)) {
        const stage = new Stage(t, classes);
        await within(scenario(stage), `the scenario on ${family}`, 10_000).catch((error) => {
          error.message += `\n${JSON.stringify(stage.seen, null, 1)}`;
          throw error;
        });
        seen[family] = stage.seen;
      }
      assert.notDeepEqual(seen.net, {});
      assert.deepEqual(seen.afunix, seen.net);
    });
  }
});
