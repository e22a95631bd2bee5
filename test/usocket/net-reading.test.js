'use strict';

// Owns the claim that USocket does what net.Socket does with time-outs, odd arguments, encodings,
// pauses, readers and peers that do not do their part, and backpressure. Each scenario runs on both,
// see helpers/stage.js.

const { describe } = require('node:test');
const { inspect } = require('node:util');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { compare } = require('../helpers/stage.js');
const { delay } = require('../helpers/wait.js');

assertNoLeaks();

/** Name → what to do on a stage. */
const SCENARIOS = {
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
    let accept;
    const accepted = new Promise((resolve) => (accept = resolve));
    await stage.serve((socket) => accept(socket.pause()));
    const client = stage.connect().resume();
    const [peer] = await Promise.all([accepted, stage.saw('client', 'connect')]);
    client.write('never read', () => peer.destroy());
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
};

describe('what net does', onLinux(), () => compare(SCENARIOS));
