'use strict';

// Owns: what a connection does in each state, as net does: the table of docs/internals.md, row by row.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const posix = require('../../lib/posix');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { delay } = require('../helpers/wait.js');

assertNoLeaks();

const { AF_UNIX, SHUT_RD, SHUT_WR, SOCK_STREAM } = posix;
const EVENTS = ['end', 'finish', 'error', 'close'];

/** What the peer does, with its descriptor; what it closes it removes from the scene. */
const PEER = {
  'the peer ends': ({ fd }) => posix.shutdown(fd, SHUT_WR),
  'the peer writes and ends': ({ fd }) => {
    posix.send(fd, Buffer.from('last words'));
    posix.shutdown(fd, SHUT_WR);
  },
  'the peer closes': (scene) => close(scene),
  'the peer closes with our bytes unread': async (scene) => {
    scene.socket.write('unread');
    await turns();
    close(scene);
  },
  'the peer writes, and closes with our bytes unread': async (scene) => {
    scene.socket.write('unread');
    posix.send(scene.fd, Buffer.from('last words'));
    await turns();
    close(scene);
  },
  'the peer closes, and we write': async (scene) => {
    close(scene);
    scene.socket.write('x', (error) => scene.note(`callback ${error?.code}`));
    await turns();
  },
  'the peer stops reading, and we write': async (scene) => {
    posix.shutdown(scene.fd, SHUT_RD);
    scene.socket.write('x', (error) => scene.note(`callback ${error?.code}`));
    await turns();
  },
  'we end': ({ socket }) => socket.end(),
  'we end, and then the peer': async ({ socket, fd }) => {
    socket.end();
    await turns();
    posix.shutdown(fd, SHUT_WR);
  },
  'we destroy': ({ socket }) => socket.destroy(),
  'we destroy with an error': ({ socket }) => socket.destroy(new Error('mine')),
};

/** Who reads. */
const READERS = {
  nobody: () => {},
  flowing: (socket) => socket.resume(),
  paused: (socket) => socket.pause(),
  "'readable', never read": (socket) => socket.on('readable', () => {}),
  "'readable', for more than comes": (socket) => socket.on('readable', () => socket.read(1000)),
};

/** Where what net does is not the same: who may read later gets what was received, and then the error. */
const NET_ALONE = new Map([
  [
    "'readable', never read: the peer writes, and closes with our bytes unread",
    'error ECONNRESET, close true',
  ],
]);

function close(scene) {
  posix.close(scene.fd);
  scene.fd = -1;
}

/** Long enough for everything that is under way between two sockets of one process. */
async function turns() {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  await delay(2);
}

/** The events of a client of this kind in this state. */
async function play(t, connect, reader, action, options) {
  const name = temporaryPath(t);
  const listener = posix.socket(AF_UNIX, SOCK_STREAM, 0);
  posix.bind(listener, { sun_family: AF_UNIX, sun_path: name });
  posix.listen(listener, 5);
  const events = [];
  const scene = {
    note: (event) => events.push(event),
    socket: connect({ path: name, ...options }),
  };
  const { socket } = scene;
  for (const event of EVENTS) {
    socket.on(event, (value) => {
      const detail = event === 'error' ? (value.code ?? value.message) : value;
      events.push(detail === undefined ? event : `${event} ${detail}`);
    });
  }
  READERS[reader](socket);
  await new Promise((done) => socket.on('connect', done));
  scene.fd = posix.accept(listener);
  await turns();
  await PEER[action](scene);
  await turns();
  await turns();
  // It waits for its reader, or for us: that must take no time of the processor.
  if (connect === connectOurs && !socket.destroyed) await assertIdle(`${reader}: ${action}`);
  if (scene.fd >= 0) posix.close(scene.fd);
  posix.close(listener);
  const open = socket.destroyed ? '' : 'open';
  const seen = [...events, open].filter(Boolean).join(', ');
  socket.destroy();
  return seen;
}

const connectNet = ({ path: name, ...options }) => new net.Socket(options).connect(name);
const connectOurs = ({ path: name, ...options }) => new USocket(options).connect(name);

/** The rows of the page: reader | event | what net does, and so USocket. */
function documented() {
  const page = fs.readFileSync(path.join(__dirname, '..', '..', 'docs', 'internals.md'), 'utf8');
  const [, table] = /<!-- states -->\n([^]*?)<!-- \/states -->/.exec(page);
  const rows = table.trim().split('\n').slice(2);
  return new Map(
    rows.map((row) => {
      const [reader, action, events] = row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim());
      return [`${reader}: ${action}`, events.replaceAll('`', '')];
    }),
  );
}

describe('in each state a connection does what the page says, and what net does', () => {
  const page = documented();

  for (const reader of Object.keys(READERS)) {
    for (const action of Object.keys(PEER)) {
      test(`${reader}: ${action}`, async (t) => {
        const ours = await play(t, connectOurs, reader, action);
        const theirs = await play(t, connectNet, reader, action);
        assert.equal(theirs, NET_ALONE.get(`${reader}: ${action}`) ?? ours);
        assert.equal(page.get(`${reader}: ${action}`), ours);
      });
    }
  }

  test('and no more rows than are tested', () => {
    assert.equal(page.size, Object.keys(READERS).length * Object.keys(PEER).length);
  });
});
