'use strict';

// Owns the claim that USocket and UServer do what net.Socket and net.Server do with connections:
// connecting, writing, ending, destroying, and their errors. Each scenario runs on both, see
// helpers/stage.js.

const fs = require('node:fs');
const { describe } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { until } = require('../helpers/wait.js');
const { compare } = require('../helpers/stage.js');

assertNoLeaks();

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
    // Here there was room for 'a' at once; net hears of it a moment later.
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

  async "write after the peer's end, which has closed the socket"(stage) {
    await stage.serve((socket) => stage.read('server', socket).end());
    const client = stage.connect().resume();
    // In the turns before that, as-net.test.js compares: each has an outcome of its own.
    await stage.saw('client', 'close');
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
};

describe('what net does', onLinux(), () => compare(SCENARIOS));
