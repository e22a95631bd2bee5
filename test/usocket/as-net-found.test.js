'use strict';

// Owns scenes that random programs have found: each runs on net and on USocket, and has to give the same.

const { Readable, Writable, pipeline } = require('node:stream');
const posix = require('../../posix.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { quiet } = require('../helpers/seqpacket.js');
const { compare } = require('../helpers/stage.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** More than a connection holds. */
const BIG = Buffer.alloc(2_000_000);

/** A client whose writes have failed, the last of which returned false, for want of a connection that it has now. */
async function connectAfterWrites(stage) {
  const client = stage.watch('client', new stage.Socket({ highWaterMark: 1 }));
  stage.client = client;
  client.write('');
  client.write('x');
  await stage.saw('client', 'close');
  client.connect(stage.path);
  await stage.saw('client', 'connect');
  return client;
}

compare({
  'writes that returned false and failed before connect(): the next one in the new life drains':
    async (stage) => {
      await stage.serve((socket) => socket.resume());
      const client = await connectAfterWrites(stage);
      client.write('small');
      await stage.saw('client', 'drain');
      stage.peer.destroy();
      client.destroy();
      await quiet();
      // Which of the ends has heard of the other one is up to the kernel.
      stage.seen.server = [];
    },

  'the same, where a pipeline waits for it': async (stage) => {
    await stage.serve((socket) => stage.read('server', socket));
    const client = await connectAfterWrites(stage);
    client.write('first,');
    pipeline(Readable.from(['last']), client, stage.callback('client', 'pipeline'));
    await stage.saw('client', 'pipeline()');
    await stage.over();
  },

  'a reset, and a write that fails with it, of one who has paused with bytes unread': async (
    stage,
  ) => {
    await stage.serve((socket) => {
      socket.write(BIG);
      socket.pause();
    });
    stage.connect();
    stage.client.pause();
    stage.client.write('unread');
    await stage.saw('client', 'connect');
    await quiet();
    stage.client.destroy();
    await stage.over();
  },

  'bytes that were buffered when a write fails come once': async (stage) => {
    // One byte is enough to stop reading.
    await stage.serve((socket) => socket.once('readable', () => {}), { highWaterMark: 1 });
    stage.connect().write('buffered');
    await stage.saw('client', 'connect');
    await until(() => stage.peer.readableLength > 0, 'what the client has written');
    stage.client.destroy();
    await quiet();
    stage.peer.removeAllListeners('readable');
    stage.peer.write('in vain');
    stage.read('server', stage.peer).resume();
    await stage.over();
  },

  'what a handler puts back into a connection that it destroys, and pipes': async (stage) => {
    const sink = new Writable({
      write(chunk, _encoding, callback) {
        stage.note('sink', String(chunk));
        callback();
      },
    });
    await stage.serve((socket) => {
      socket.unshift(Buffer.from('put back'));
      socket.destroy();
      socket.pipe(sink);
    });
    stage.connect().resume();
    await stage.over();
  },

  'what was corked before connect() counts': async (stage) => {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.watch('client', new stage.Socket());
    stage.client = client;
    client.cork();
    client.write('corked');
    client.connect(stage.path);
    await stage.saw('client', 'connect');
    client.uncork();
    client.end();
    await stage.over();
    stage.note('client', client.bytesWritten);
  },

  'one whose buffer is full of what was put back before the connection does not read': async (
    stage,
  ) => {
    await stage.serve(() => {}, { pauseOnConnect: true });
    const client = stage.connect({ highWaterMark: 1 });
    client.unshift(Buffer.from('put back'));
    client.write('unread');
    await stage.saw('client', 'connect');
    await until(() => stage.peer !== undefined, 'a peer');
    await quiet();
    stage.peer.destroy();
    await quiet();
    stage.note('client', client.destroyed);
    client.destroy();
    await stage.over();
  },

  'one that reads what was put back before the connection reads on': async (stage) => {
    await stage.serve((socket) => socket.end(' and sent'));
    const client = stage.connect({ highWaterMark: 1 });
    client.unshift(Buffer.from('put back'));
    await stage.saw('client', 'connect');
    stage.read('client', client);
    await stage.over();
  },

  "pause() in a listener for 'ready', with memory to receive into": async (stage) => {
    await stage.serve((socket) => socket.write('not read'));
    const buffer = Buffer.alloc(100);
    const callback = (length) => stage.note('client', `${length} bytes`);
    const client = stage.connect({ onread: { buffer, callback } });
    client.on('data', () => {});
    client.on('ready', () => client.pause());
    await stage.saw('client', 'connect');
    await quiet();
    client.destroy();
    stage.peer.destroy();
    await quiet();
    // Which of the ends has heard of the other one is up to the kernel.
    stage.seen.server = [];
  },

  'writes without bytes to a peer that takes none any more: together, and alone': async (stage) => {
    await stage.serve(() => {}, { allowHalfOpen: true });
    const fd = posix.socket(posix.AF_UNIX, posix.SOCK_STREAM, 0);
    posix.connect(fd, { sun_family: posix.AF_UNIX, sun_path: stage.path });
    posix.shutdown(fd, posix.SHUT_RDWR);
    await stage.saw('server', 'end');
    const { peer } = stage;
    peer.cork();
    for (const name of ['one', 'other']) peer.write('', stage.callback('server', name));
    peer.uncork();
    await quiet();
    peer.write('', stage.callback('server', 'alone'));
    await stage.over();
    posix.close(fd);
  },

  'what end() is given counts at once': async (stage) => {
    await stage.serve((socket) => stage.read('server', socket));
    const client = stage.connect().resume();
    client.write('first,');
    client.end('12345');
    stage.note('client', client.bytesWritten);
    await stage.over();
  },

  "'close' of one whose write waits comes before the turn asked for behind destroy()": async (
    stage,
  ) => {
    await stage.serve((socket) => socket.pause());
    stage.connect();
    await stage.saw('client', 'connect');
    stage.client.write(BIG);
    await quiet();
    stage.client.destroy();
    setImmediate(() => stage.note('client', 'the next turn'));
    await stage.saw('client', 'the next turn');
    stage.peer.destroy();
    await stage.over();
    stage.seen.server = [];
  },

  'destroySoon() in the callback of a write that failed: what is corked is so in the next life':
    async (stage) => {
      await stage.serve((socket) => socket.resume());
      const client = new stage.Socket();
      stage.client = client;
      stage.watch('client', client);
      client.write('to nobody', () => {
        client.cork();
        client.destroySoon();
      });
      await stage.saw('client', 'close');
      client.connect(stage.path);
      await stage.saw('client', 'connect');
      stage.note('client', client.writableCorked);
      client.destroy();
      await stage.over();
    },
});
