'use strict';

// Owns what keeps a process alive while messages of a DgramSocket wait, each for another reason: after unref()
// nothing does.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { startScript } = require('../helpers/node.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { temporaryFolder } = require('../helpers/tmp.js');

assertNoLeaks();

/**
 * Name → a script that gets messages to wait, and lets go of them. It ends by itself, or not at all. What
 * `bind(name)` binds is only a descriptor: it keeps no process, and reads nothing.
 */
const SCRIPTS = {
  'for a full destination': ({ DgramSocket }, bind) => {
    const socket = new DgramSocket();
    const to = bind('full');
    while (socket.writableLength < 100) socket.sendTo('0123456789', to);
    console.log(socket.writableLength);
    socket.unref();
  },
  'for a full destination, bound': ({ DgramSocket }, bind) => {
    const socket = new DgramSocket().bind();
    const to = bind('full');
    while (socket.writableLength < 100) socket.sendTo('0123456789', to);
    setImmediate(() => {
      console.log(socket.writableLength);
      socket.unref();
    });
  },
  'for many full destinations': ({ DgramSocket }, bind) => {
    const socket = new DgramSocket();
    for (let number = 0; number < 10; number++) {
      const to = bind(`full${number}`);
      const enough = socket.writableLength + 100;
      while (socket.writableLength < enough) socket.sendTo('0123456789', to);
    }
    console.log(socket.writableLength);
    setImmediate(() => socket.unref());
  },
  'for the full peer': ({ DgramSocket }, bind) => {
    const socket = new DgramSocket().connect(bind('peer'));
    while (socket.writableLength < 100) socket.send('0123456789');
    console.log(socket.writableLength);
    socket.unref();
  },
  'for the own send buffer, which other messages fill': ({ DgramSocket }, bind) => {
    const socket = new DgramSocket({ sendBufferSize: 5000 });
    const [first, second] = [bind('first'), bind('second')];
    while (socket.writableLength < 9000) socket.sendTo(Buffer.alloc(3000), first);
    // Nothing says when there is room again: it is tried now and then.
    socket.sendTo('x', second);
    console.log(socket.writableLength);
    socket.unref();
  },
  'for the own send buffer, some attempts later': ({ DgramSocket }, bind) => {
    const socket = new DgramSocket({ sendBufferSize: 5000 });
    const [first, second] = [bind('first'), bind('second')];
    while (socket.writableLength < 9000) socket.sendTo(Buffer.alloc(3000), first);
    socket.sendTo('x', second);
    setTimeout(() => {
      console.log(socket.writableLength);
      socket.unref();
    }, 50);
  },
};

/** Runs a script; `bind` is made in its process. */
function run({ DgramSocket, pair }, posix, folder, source) {
  const { AF_UNIX, SOCK_DGRAM, bind: bindTo, socket: make } = require(posix);
  const bind = (name) => {
    const path = `${folder}/${name}`;
    bindTo(make(AF_UNIX, SOCK_DGRAM, 0), { sun_family: AF_UNIX, sun_path: path });
    return path;
  };
  (0, eval)(`(${source})`)({ DgramSocket, pair }, bind);
}

/** Runs a script to its end; the last line that it printed. */
async function endOf(t, body) {
  const posix = require.resolve('../../lib/posix/index.js');
  const program = startScript(t, run, [posix, temporaryFolder(t), `${body}`]);
  const { code, stdout, stderr } = await program.ended();
  assert.equal(code, 0, stderr);
  return stdout.trimEnd().split('\n').at(-1);
}

describe('unref() lets the process end although messages wait', onLinux(), () => {
  for (const [what, body] of Object.entries(SCRIPTS)) {
    test(what, async (t) => {
      const waiting = Number(await endOf(t, body));
      assert.ok(waiting > 0, `${waiting} bytes wait`);
    });
  }
});
