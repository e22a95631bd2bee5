'use strict';

// Owns what a stranger's code puts on Object.prototype or Array.prototype: functions about descriptors take
// nothing from there.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { closeFd, createReuseportFd, fdType, memfd } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { polluted } = require('../helpers/prototypes.js');

assertNoLeaks();

describe('what Object.prototype has got', onLinux({}), () => {
  test('is no option of memfd()', () => {
    for (const options of [undefined, {}]) {
      const fd = polluted({ name: 'of a stranger', seal: true }, () => memfd('abc', options));
      assert.equal(fs.readlinkSync(`/proc/self/fd/${fd}`), '/memfd:afunix (deleted)');
      assert.equal(fs.writeSync(fd, 'X', 0), 1);
      closeFd(fd);
    }
  });

  test('is no option of createReuseportFd()', () => {
    for (const options of [undefined, {}]) {
      const fd = polluted({ type: 'udp' }, () => createReuseportFd(0, '127.0.0.1', options));
      assert.equal(fdType(fd), 'tcp');
      closeFd(fd);
    }
  });

  test('is no option of listenFds()', async (t) => {
    const result = await runScript(t, ({ listenFds }) => {
      const { pid } = process;
      Object.assign(process.env, { LISTEN_PID: pid, LISTEN_FDS: 1, LISTEN_FDNAMES: 'in' });
      require('node:fs').openSync('/dev/null');
      Object.prototype.unset = true;
      const found = [listenFds(), listenFds({}), listenFds('in', {})];
      delete Object.prototype.unset;
      console.log(JSON.stringify({ found, left: process.env.LISTEN_FDS }));
    });
    assert.equal(result.left, '1');
    for (const each of result.found) assert.deepEqual(each, [{ fd: 3, name: 'in' }]);
  });
});

test('setters on Array.prototype keep nothing that listenFds() returns', onLinux({}), async (t) => {
  const result = await runScript(t, ({ listenFds }) => {
    Object.assign(process.env, { LISTEN_PID: process.pid, LISTEN_FDS: 1 });
    require('node:fs').openSync('/dev/null');
    Object.defineProperty(Array.prototype, '0', { configurable: true, set() {} });
    const [found] = listenFds();
    delete Array.prototype[0];
    console.log(JSON.stringify({ found }));
  });
  assert.deepEqual(result.found, { fd: 3, name: 'unknown' });
});
