'use strict';

// Owns moments in which programs written for net.Socket were let down: each scene runs on net and on USocket, and has
// to give the same.

const { assertNoLeaks } = require('../helpers/leaks.js');
const { quiet } = require('../helpers/seqpacket.js');
const { compare } = require('../helpers/stage.js');
const { delay, until } = require('../helpers/wait.js');

assertNoLeaks();

compare({
  "an empty write before 'connect', then a large one: its bytes arrive once": async (stage) => {
    let length = 0;
    await stage.serve((socket) => socket.on('data', (data) => (length += data.length)));
    const client = stage.connect();
    client.write('');
    client.on('connect', () => client.end(Buffer.alloc(1 << 20)));
    client.resume();
    await stage.over();
    stage.note('client', length);
  },

  'after a failed connect it is not connecting any more': async (stage) => {
    stage.path += '-nobody';
    const client = stage.connect();
    const note = (what) =>
      stage.note('client', `${what}: ${client.connecting} ${client.readyState}`);
    note('inside');
    client.on('error', () => note('error')).on('close', () => note('close'));
    await stage.over();
  },

  'connect() to nobody: listeners that are attached in the same turn hear of it': async (stage) => {
    stage.path += '-nobody';
    const client = stage.connect();
    stage.note('client', `destroyed ${client.destroyed}`);
    await stage.over();
  },

  "a write after the peer's end, in the turn of the own end": async (stage) => {
    await stage.serve((socket) => socket.end());
    const client = stage.connect();
    client.resume().on('end', () => {
      // The stream ends itself in the next tick.
      const write = () => client.write('x', stage.callback('client', 'write'));
      process.nextTick(() => process.nextTick(write));
    });
    await stage.over();
  },

  "a write after the peer's end, in the turn behind that of the own end": async (stage) => {
    await stage.serve((socket) => socket.end());
    const client = stage.connect();
    client.resume().on('end', () => {
      // Asked for before the stream ends itself: it comes before all that follows from that.
      setImmediate(() => client.write('x', stage.callback('client', 'write')));
    });
    await stage.over();
  },

  'destroy(), then end() with a callback': async (stage) => {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect();
    await stage.saw('client', 'connect');
    client.destroy();
    client.end('x', stage.callback('client', 'end'));
    await stage.over();
    await quiet();
  },

  'destroy() while much waits: no error of its own': async (stage) => {
    await stage.serve((socket) => socket.pause());
    const client = stage.connect();
    await stage.saw('client', 'connect');
    // Its callback gets an error; net says nothing of it.
    client.write(Buffer.alloc(1 << 20));
    client.destroy();
    stage.note('client', `errored ${client.errored}`);
    await until(() => client.closed, 'the end of the client');
    stage.peer.destroy();
    await stage.over();
  },

  'iteration of what is destroyed while much waits': async (stage) => {
    await stage.serve((socket) => socket.pause());
    const client = stage.connect();
    await stage.saw('client', 'connect');
    client.write(Buffer.alloc(1 << 20));
    setImmediate(() => client.destroy());
    try {
      for await (const data of client) stage.note('client', data.length);
    } catch ({ code }) {
      // From Node 22 on, net makes the write that it cancels the stream's error, ECANCELED.
      const isEarly = ['ECANCELED', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code);
      stage.note('client', isEarly ? 'thrown early' : `thrown ${code}`);
    }
    stage.peer.destroy();
    await stage.over();
  },

  'end() and a connect() that fails behind it': async (stage) => {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect();
    await stage.saw('client', 'connect');
    client.on('error', () => {});
    client.end('last', (error) => stage.note('client', `callback of end ${error?.code}`));
    client.connect('/nobody/is/here');
    await stage.over();
  },

  'getConnections() right after destroy()': async (stage) => {
    await stage.serve((socket) => socket.resume());
    stage.connect();
    await stage.saw('client', 'connect');
    await until(() => stage.peer !== undefined, 'the connection');
    const count = () =>
      new Promise((done) => stage.server.getConnections((_error, found) => done(found)));
    stage.note('server', await count());
    stage.peer.destroy();
    stage.note('server', await count());
    stage.client.destroy();
    await stage.over();
  },

  'close() twice with a connection open: the callbacks': async (stage) => {
    await stage.serve((socket) => socket.resume());
    stage.connect();
    await stage.saw('client', 'connect');
    await until(() => stage.peer !== undefined, 'the connection');
    let isOpen = true;
    const note = (name) => (error) => stage.note('server', `${name} ${error?.code} ${isOpen}`);
    stage.server.close(note('first'));
    stage.server.close(note('second'));
    await quiet();
    isOpen = false;
    stage.client.destroy();
    await stage.over();
    await until(() => stage.seen.server.filter((each) => / false$/.test(each)).length >= 2, 'both');
  },

  "end() and write() after 'close'": async (stage) => {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect();
    client.resume().end();
    await stage.over();
    client.end('x', stage.callback('client', 'end'));
    await quiet();
  },

  'end() and write() after destroy()': async (stage) => {
    await stage.serve((socket) => socket.resume());
    const client = stage.connect();
    await stage.saw('client', 'connect');
    client.destroy();
    client.end('x');
    client.write('y', stage.callback('client', 'write'));
    await stage.over();
    await quiet();
  },

  'close() and listen() inside a connection handler, while others were accepted': async (stage) => {
    const other = `${stage.path}-other`;
    let count = 0;
    await stage.serve((socket) => {
      socket.resume();
      if (++count > 1) return;
      stage.server.close();
      stage.server.listen(other);
    });
    stage.server.on('error', ({ code }) => stage.note('server', `error ${code}`));
    const clients = Array.from({ length: 5 }, () => new stage.Socket());
    for (const client of clients) {
      stage.t.after(() => client.destroy());
      client.on('error', () => {}).connect(stage.path);
    }
    await until(() => count > 0 && stage.server.listening, 'the other name');
    stage.note('server', stage.server.address());
    stage.note('server', `listening ${stage.server.listening}`);
    for (const client of clients) client.destroy();
    stage.peer.destroy();
    await until(() => stage.peer.closed, 'the end of the peer');
    await quiet();
    stage.seen.server = stage.seen.server.map((each) => String(each).replace(stage.path, ''));
    stage.seen.server = stage.seen.server.filter((each) => !/^(end|close|finish)/.test(each));
  },

  'a write without bytes to a peer that is gone': async (stage) => {
    await stage.serve((socket) => socket.pause());
    const client = stage.connect();
    await stage.saw('client', 'connect');
    await until(() => stage.peer !== undefined, 'the connection');
    client.pause();
    stage.peer.destroy();
    await until(() => stage.peer.closed, 'the end of the peer');
    client.write('', stage.callback('client', 'write'));
    await stage.over();
  },

  'what was received before a handler listens, from a peer that leaves our bytes unread': async (
    stage,
  ) => {
    await stage.serve((socket) => {
      socket.pause();
      socket.write(Buffer.alloc(60_000), () => socket.destroy());
    });
    const client = stage.connect({ allowHalfOpen: true });
    client.write('never read');
    await until(() => stage.peer?.closed, 'the end of the peer');
    await delay(20);
    let length = 0;
    client.on('data', (data) => (length += data.length));
    client.on('end', () => client.end());
    await until(() => client.closed || length === 60_000, 'what was received');
    stage.note('client', length);
    client.destroy();
    await stage.over();
    // Whether the reset or the end follows is a race in net, too.
    stage.seen.client = stage.seen.client.filter((each) => typeof each === 'number');
  },

  'a reader that starts before the connection gets what comes': async (stage) => {
    await stage.serve((socket) => socket.end('hello'));
    const client = new stage.Socket();
    stage.client = stage.watch('client', client);
    const reading = (async () => {
      let text = '';
      for await (const data of client) text += data;
      stage.note('client', text);
    })();
    client.connect(stage.path);
    await reading;
    await stage.over();
  },

  'a fresh socket: what it says of itself': async (stage) => {
    const socket = new stage.Socket();
    stage.note('client', `${socket.timeout} ${socket.readyState} ${socket.pending}`);
    socket.destroy();
    try {
      for await (const data of socket) stage.note('client', data);
      stage.note('client', 'ended');
    } catch ({ code }) {
      stage.note('client', code);
    }
  },

  'a server that never listened says that it is closed': async (stage) => {
    const server = new stage.Server();
    server.on('close', () => stage.note('server', 'close'));
    server.close(stage.callback('server', 'callback'));
    await quiet();
  },
});
