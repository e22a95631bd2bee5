'use strict';

// Owns the claim that USocket and UServer do what net.Socket and net.Server do with AbortSignal, helpers
// of node:stream, iteration and onread, and as servers. Each scenario runs on both, see
// helpers/stage.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { finished, pipeline, PassThrough, Readable } = require('node:stream');
const { describe } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { delay, until } = require('../helpers/wait.js');
const { compare } = require('../helpers/stage.js');

assertNoLeaks();

/** Name → what to do on a stage. */
const SCENARIOS = {
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
    // A client can be connected before its server has accepted it.
    await until(() => stage.peer, 'the connection');
    stage.peer.pause();
    client.write(Buffer.alloc(10_000_000), (error) => errors.push(error?.code));
    client.write('x', (error) => errors.push(error?.code));
    await quiet();
    assert.deepEqual(errors, []);
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
    // Here shutdown(2) is done when it is called; net hears of it a moment later, and destroyed by then.
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

describe('what net does', onLinux(), () => compare(SCENARIOS));
