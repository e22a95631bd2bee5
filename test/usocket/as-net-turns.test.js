'use strict';

// Owns the order in which a USocket and a program's own ticks, microtasks and turns come: each scene runs on net and on
// USocket, and has to give the same.

const fs = require('node:fs');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { quiet } = require('../helpers/seqpacket.js');
const { compare } = require('../helpers/stage.js');
const { until } = require('../helpers/wait.js');
const { isNodeBefore } = require('../helpers/versions.js');

assertNoLeaks();

/** Runs a part of a scene in the phase of the event loop that setImmediate() has. */
const inTurn = (run) => new Promise((done) => setImmediate(() => done(run())));

/** A client that receives into memory of its own. */
function connectInto(stage) {
  const buffer = Buffer.alloc(100);
  const callback = (length) => {
    stage.note('client', `${length} bytes`);
    return true;
  };
  return stage.connect({ onread: { buffer, callback } });
}

compare({
  "'connect' comes when the loop polls, before the turn that was asked for first": async (
    stage,
  ) => {
    await stage.serve((socket) => socket.resume());
    await inTurn(() => {
      setImmediate(() => stage.note('client', 'the next turn'));
      stage.connect();
    });
    await stage.saw('client', 'connect');
    await quiet();
    stage.client.destroy();
    await stage.over();
  },

  "'connect' does not come in the poll in which connect() is called": async (stage) => {
    await stage.serve((socket) => {
      socket.resume();
      if (stage.client !== undefined) return;
      stage.connect();
      setImmediate(() => stage.note('client', 'the turn of connect()'));
    });
    const first = new stage.Socket();
    stage.t.after(() => first.destroy());
    first.connect(stage.path);
    await until(() => stage.client !== undefined, 'the second connection');
    await stage.saw('client', 'connect');
    await quiet();
    first.destroy();
    stage.client.destroy();
    await stage.over();
    // Of two connections, which are not compared with each other.
    stage.seen.server = [];
  },

  "the 'error' of connect(), called while the loop polls, comes before the turn that was asked for behind it":
    async (stage) => {
      await new Promise((done) => fs.stat('/', done));
      stage.connect();
      setImmediate(() => stage.note('client', 'the turn of connect()'));
      await stage.saw('client', 'error');
      await stage.over();
    },

  'an end in the handler of connect() is sent in the same turn': async (stage) => {
    await stage.serve((socket) => socket.resume());
    await inTurn(() => {
      stage.connect().resume();
      stage.client.on('connect', () => stage.client.end(stage.callback('client', 'end')));
      setImmediate(() => stage.note('client', 'the next turn'));
    });
    await stage.over();
  },

  "'finish' of one after another, each ended by that of the one before, comes in one turn": async (
    stage,
  ) => {
    const all = [];
    await stage.serve((socket) => socket.resume());
    for (let number = 0; number < 4; number++) {
      const socket = new stage.Socket();
      stage.t.after(() => socket.destroy());
      socket.on('finish', () => {
        stage.note('client', `finish ${number}`);
        all[number + 1]?.end();
      });
      await new Promise((done) => socket.connect(stage.path, done));
      all.push(socket.resume());
    }
    await inTurn(() => {
      setImmediate(() => stage.note('client', 'the next turn'));
      all[0].end();
    });
    await until(() => all.every((socket) => socket.closed), 'all of them to close');
    // Of four connections, which are not compared with each other.
    stage.seen.server = [];
  },

  'connect() to nobody fails before the turn that was asked for first': async (stage) => {
    stage.path += '-nobody';
    await inTurn(() => {
      setImmediate(() => stage.note('client', 'the next turn'));
      stage.connect();
    });
    await stage.over();
    await quiet();
  },

  'resume() and pause() in one tick: nothing is received into memory of the own': async (stage) => {
    await stage.serve();
    const client = connectInto(stage);
    await stage.saw('client', 'connect');
    await until(() => stage.peer !== undefined, 'the connection');
    client.resume();
    client.pause();
    await quiet();
    stage.peer.end('hello');
    await quiet();
    stage.note('client', 'resumes');
    client.resume();
    await stage.over();
  },

  'a pipe to itself that ends: nothing more is received into memory of the own': async (stage) => {
    await stage.serve((socket) => socket.resume(), { allowHalfOpen: true });
    const client = connectInto(stage);
    client.end(() => client.pipe(client));
    await stage.saw('client', 'finish');
    await until(() => stage.peer !== undefined, 'the connection');
    stage.peer.write('hello');
    await quiet();
    client.destroy();
    stage.peer.destroy();
    await stage.over();
  },

  'resume() in one callback and pause() in the next: nothing is received into memory of the own':
    async (stage) => {
      await stage.serve((socket) => socket.end('hello'));
      const client = connectInto(stage);
      client.write('', () => {
        client.write('', () => client.pause());
        client.resume();
      });
      await stage.saw('client', 'connect');
      await quiet();
      stage.note('client', 'resumes');
      client.resume();
      await stage.over();
    },

  'what is read before the connection is received into memory of the own': async (stage) => {
    await stage.serve((socket) => socket.end('hello'));
    connectInto(stage).resume();
    await stage.over();
  },

  'unshift() of a connection that flows is emitted at once': async (stage) => {
    await stage.serve((socket) => {
      stage.read('server', socket);
      socket.unshift('back');
      stage.note('server', 'unshifted');
    });
    stage.connect();
    await stage.saw('client', 'connect');
    await until(() => stage.peer !== undefined, 'the connection');
    stage.client.destroy();
    await stage.over();
  },
});

// From Node 22 on, net's own end() before connect() is over at once, and is never sent.
if (isNodeBefore('22')) {
  compare({
    'end() before connect(): what older listeners write is sent before it, and nothing later':
      async (stage) => {
        await stage.serve((socket) => stage.read('server', socket), { allowHalfOpen: true });
        const client = new stage.Socket({ allowHalfOpen: true });
        stage.client = client;
        const writes = (text) => () => client.write(text, stage.callback('client', text));
        client.once('connect', writes('older'));
        client.end();
        client.connect(stage.path);
        stage.watch('client', client);
        client.once('connect', writes('younger'));
        await stage.saw('client', 'close');
        await stage.saw('server', 'end');
        stage.peer.destroy();
        await stage.over();
      },

    'end() before connect(): what the callback of that writes comes too late': async (stage) => {
      await stage.serve((socket) => stage.read('server', socket), { allowHalfOpen: true });
      const client = new stage.Socket({ allowHalfOpen: true });
      stage.client = client;
      client.end();
      client.connect(stage.path, () => client.write('late', stage.callback('client', 'late')));
      stage.watch('client', client);
      await stage.saw('client', 'close');
      await stage.saw('server', 'end');
      stage.peer.destroy();
      await stage.over();
    },

    'end() before connect() and once more: the second is done before any microtask': async (
      stage,
    ) => {
      await stage.serve((socket) => socket.resume(), { allowHalfOpen: true });
      const client = new stage.Socket();
      stage.client = client;
      client.end();
      client.connect(stage.path);
      stage.watch('client', client);
      await stage.saw('client', 'connect');
      await quiet();
      await inTurn(() => {
        client.end(stage.callback('client', 'end'));
        Promise.resolve().then(() => stage.note('client', 'microtask'));
      });
      await quiet();
      stage.peer.destroy();
      client.destroy();
      await stage.over();
    },
  });
}
