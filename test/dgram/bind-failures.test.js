'use strict';

// Owns binds that fail, and change nothing then: neither the socket nor what has the name.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { once } = require('node:events');
const { describe, test } = require('node:test');
const { DgramSocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { closed, inbox, leaveDeadFile, openSocket, sendTo } = require('../helpers/sockets.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const modeOf = (path) => fs.statSync(path).mode & 0o7777;

/** The permissions of a socket file to whose bind no mode was given. */
function usualMode(t) {
  const path = temporaryPath(t);
  openSocket(t).bind(path);
  return modeOf(path);
}

describe('a bind that fails', () => {
  test('leaves no mode to the next', (t) => {
    const folder = temporaryFolder(t);
    fs.writeFileSync(`${folder}/file`, 'in the way');
    const socket = openSocket(t);
    const failed = () => socket.bind(`${folder}/file`, { mode: 0o600 });
    assert.throws(failed, { code: 'EADDRINUSE' });
    socket.bind(`${folder}/socket`);
    assert.equal(modeOf(`${folder}/socket`), usualMode(t));
  });

  test('for want of descriptors (EMFILE) can be tried again', onLinux({}), async (t) => {
    const path = temporaryPath(t);
    const tried = await runScript(
      t,
      ({ DgramSocket: Socket }, name) => {
        const { closeSync, existsSync, openSync, statSync } = require('node:fs');
        const socket = new Socket();
        const taken = [];
        const attempt = () => {
          try {
            socket.bind(name, { mode: 0o666 });
            return 'bound';
          } catch (error) {
            return error.code;
          }
        };
        try {
          for (;;) taken.push(openSync('/dev/null'));
        } catch {
          // All are taken.
        }
        const results = [attempt()];
        // One by one: each shortage ends elsewhere.
        while (results.at(-1) !== 'bound' && taken.length > 0) {
          if (existsSync(name) || socket.address() !== '') results.push('half bound');
          closeSync(taken.pop());
          results.push(attempt());
        }
        results.push((statSync(name).mode & 0o777).toString(8));
        socket.close();
        taken.forEach(closeSync);
        console.log(JSON.stringify(results));
      },
      [path],
      { openFiles: 64 },
    );
    assert.deepEqual([...new Set(tried)], ['EMFILE', 'bound', '666']);
  });

  test('since the socket has a name leaves a dead file where it is', onLinux({}), async (t) => {
    const path = temporaryPath(t);
    await leaveDeadFile(path);
    const before = fs.statSync(path).ino;
    const [receiver, name] = [openSocket(t), abstractName()];
    const messages = inbox(receiver.bind(name));
    // The kernel gives it a name when it first sends.
    const socket = openSocket(t, { credentials: true });
    await sendTo(socket, 'x', name);
    const { path: from } = await messages.next();
    assert.equal(from[0], '\0');
    for (const to of [path, `${path}2`]) {
      assert.throws(() => socket.bind(to, { mode: 0o600 }), { code: 'EINVAL', syscall: 'bind' });
    }
    assert.equal(fs.statSync(path).ino, before);
    assert.equal(fs.existsSync(`${path}2`), false);
    assert.equal(socket.address(), from);
  });
});

describe('the file of a name that another meaning befalls', () => {
  test('is removed: through a descriptor that is closed', onLinux({}), async (t) => {
    const folder = temporaryFolder(t);
    const fd = fs.openSync(folder);
    const socket = openSocket(t).bind(`/proc/self/fd/${fd}/socket`);
    fs.closeSync(fd);
    assert.deepEqual(fs.readdirSync(folder), ['socket']);
    await closed(socket);
    assert.deepEqual(fs.readdirSync(folder), []);
  });

  test('is removed: in a working directory that was left and renamed', async (t) => {
    const folder = temporaryFolder(t);
    const [first, second] = ['first', 'second'].map((name) => `${folder}/${name}`);
    fs.mkdirSync(first);
    const before = process.cwd();
    t.after(() => process.chdir(before));
    process.chdir(first);
    const socket = new DgramSocket().bind('socket');
    process.chdir(before);
    fs.renameSync(first, second);
    assert.deepEqual(fs.readdirSync(second), ['socket']);
    socket.close();
    await once(socket, 'close');
    assert.deepEqual(fs.readdirSync(second), process.platform === 'linux' ? [] : ['socket']);
  });
});
