'use strict';

// Owns sdNotify(): what a manager gets, stored descriptors, barriers, and what happens without one.
// The manager is a stand-in, which answers as systemd does.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { closeFd, sdNotify } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { startScript, startStalled } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { inbox, openSocket } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

/** A manager that listens at a name: a Queue of messages. */
const startManager = (t, name) =>
  inbox(openSocket(t, { receiveFds: true, credentials: true }).bind(name));

/** The environment of its services. */
const environment = (name) => ({ ...process.env, NOTIFY_SOCKET: name.replace(/^\0/, '@') });

/** A process that calls sdNotify() with these arguments, one call after the other, and prints the result. */
function startService(t, name, ...calls) {
  return startScript(
    t,
    ({ sdNotify }, calls) => {
      for (const args of calls) {
        try {
          console.log(JSON.stringify(sdNotify(...args)));
        } catch ({ code, syscall }) {
          console.log(JSON.stringify({ code, syscall }));
        }
      }
      process.exit();
    },
    [calls],
    { env: environment(name) },
  );
}

/** Sets NOTIFY_SOCKET of this process for a test. */
function setSocket(t, value) {
  const { NOTIFY_SOCKET } = process.env;
  t.after(() => {
    if (NOTIFY_SOCKET === undefined) delete process.env.NOTIFY_SOCKET;
    else process.env.NOTIFY_SOCKET = NOTIFY_SOCKET;
  });
  if (value === undefined) delete process.env.NOTIFY_SOCKET;
  else process.env.NOTIFY_SOCKET = value;
}

describe('the manager', onLinux({}), () => {
  for (const [kind, makeName] of [
    ['a path', (t) => temporaryPath(t, 'notify')],
    ['an abstract name', () => abstractName()],
  ]) {
    test(`at ${kind} gets the state, and who it is of, though the service ends at once`, async (t) => {
      const name = makeName(t);
      const messages = startManager(t, name);
      const service = startService(t, name, ['READY=1\nSTATUS=bei der Arbeit: ü'], ['STOPPING=1']);
      const { data, fds, credentials } = await messages.next('READY=1');
      assert.equal(String(data), 'READY=1\nSTATUS=bei der Arbeit: ü');
      assert.deepEqual(fds, []);
      assert.equal(credentials.pid, service.pid);
      assert.equal(String((await messages.next('STOPPING=1')).data), 'STOPPING=1');
      assert.equal((await service.ended()).stdout, 'true\ntrue\n');
    });
  }

  test('gets descriptors to store, which stay ours', async (t) => {
    const name = temporaryPath(t, 'notify');
    const messages = startManager(t, name);
    setSocket(t, name);
    const before = countFds();
    const file = await fs.promises.open(__filename);
    const fd = fs.openSync('/dev/null');
    assert.equal(sdNotify('FDSTORE=1\nFDNAME=two', { fds: [file, fd] }), true);
    fs.closeSync(fd);
    await file.close();
    const { data, fds } = await messages.next('FDSTORE=1');
    assert.equal(String(data), 'FDSTORE=1\nFDNAME=two');
    assert.equal(fs.fstatSync(fds[0]).ino, fs.statSync(__filename).ino);
    assert.equal(fs.fstatSync(fds[1]).rdev, fs.statSync('/dev/null').rdev);
    fds.forEach(closeFd);
    await assertNoLeak(before);
  });

  test('gets descriptors with a barrier of its sender, who is not waited for', async (t) => {
    const name = temporaryPath(t, 'notify');
    const messages = startManager(t, name);
    setSocket(t, name);
    assert.equal(sdNotify('BARRIER=1', { fds: [0] }), true);
    const { data, fds } = await messages.next('the barrier');
    assert.deepEqual([String(data), fds.length], ['BARRIER=1', 1]);
    assert.equal(fs.fstatSync(fds[0]).ino, fs.fstatSync(0).ino);
    fds.forEach(closeFd);
  });

  test('is waited for at a barrier until it has come to it', async (t) => {
    const name = temporaryPath(t, 'notify');
    const messages = startManager(t, name);
    const service = startService(t, name, ['STATUS=before'], ['BARRIER=1\n'], ['STATUS=after']);
    assert.equal(await service.lines.next('the first call'), 'true');
    assert.equal(String((await messages.next('the first')).data), 'STATUS=before');
    const { data, fds } = await messages.next('the barrier');
    assert.deepEqual([String(data), fds.length], ['BARRIER=1', 1]);
    assert.equal(fs.fstatSync(fds[0]).isFIFO(), true);
    assert.equal(messages.length + service.lines.length, 0);
    closeFd(fds[0]);
    assert.deepEqual(await service.lines.take(2), ['true', 'true']);
    assert.equal(String((await messages.next('the last')).data), 'STATUS=after');
  });

  test('that does not come to a barrier is reported, and leaves nothing open', async (t) => {
    const name = temporaryPath(t, 'notify');
    const messages = startManager(t, name);
    setSocket(t, name);
    const before = countFds();
    assert.throws(() => sdNotify('BARRIER=1', { timeout: 20 }), {
      name: 'Error',
      code: 'ETIMEDOUT',
      syscall: 'poll',
      message: /20 ms/,
    });
    (await messages.next('the barrier')).fds.forEach(closeFd);
    await assertNoLeak(before);
  });

  test('that reads nothing is waited for no longer than asked', async (t) => {
    const name = temporaryPath(t, 'notify');
    await startStalled(t, name);
    const calls = Array.from({ length: 30 }, () => ['WATCHDOG=1', { timeout: 20 }]);
    const service = startService(t, name, ...calls);
    const { stdout } = await service.ended();
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(results[0], true);
    assert.deepEqual(results.at(-1), { code: 'EAGAIN', syscall: 'sendmsg' });
  });
});

test('sends what systemd-notify sends', onLinux(skipUnless('systemd-notify')), async (t) => {
  const name = temporaryPath(t, 'notify');
  const messages = startManager(t, name);
  const theirs = startProgram(t, 'systemd-notify', ['--ready', '--status=at work'], {
    env: environment(name),
  });
  const received = [];
  const take = async () => {
    const { data, fds, path } = await messages.next('a message');
    fds.forEach(closeFd);
    return { data: String(data).split('\n').sort(), fds: fds.length, path };
  };
  received.push(await take());
  const next = await Promise.race([take(), theirs.closed]);
  if (next.fds === undefined) return t.skip('this version (before 246) sends no barrier');
  received.push(next);
  assert.equal((await theirs.ended()).code, 0);
  const ours = startService(t, name, ['READY=1\nSTATUS=at work'], ['BARRIER=1']);
  assert.deepEqual([await take(), await take()], received);
  assert.equal((await ours.ended()).stdout, 'true\ntrue\n');
});

describe('without a manager', onLinux({}), () => {
  test('it is false: no variable, an empty one, nobody there, nobody any more', async (t) => {
    const before = countFds();
    const dead = temporaryPath(t, 'dead');
    const socket = openSocket(t).bind(`${dead}~`);
    fs.linkSync(`${dead}~`, dead);
    socket.close();
    for (const value of [undefined, '', temporaryPath(t, 'absent'), dead, '@afunix-test-absent']) {
      setSocket(t, value);
      for (const state of ['READY=1', 'BARRIER=1']) assert.equal(sdNotify(state), false);
      assert.equal(sdNotify('FDSTORE=1', { fds: [0] }), false);
    }
    await assertNoLeak(before);
  });

  test('a variable that makes no sense throws', (t) => {
    for (const value of ['relative/path', 'vsock:2:1', '@', '/']) {
      setSocket(t, value);
      const failure = { code: 'ERR_AFUNIX_NOTIFY_SOCKET', message: /NOTIFY_SOCKET/ };
      assert.throws(() => sdNotify('READY=1'), failure);
    }
    setSocket(t, `/${'n'.repeat(200)}`);
    assert.throws(() => sdNotify('READY=1'), { code: 'ENAMETOOLONG' });
  });
});

test('faulty arguments throw, manager or not', (t) => {
  setSocket(t, undefined);
  for (const state of [undefined, null, 1, {}, Buffer.from('READY=1')]) {
    assert.throws(() => sdNotify(state), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
  }
  for (const state of ['', 'READY=1\0']) {
    assert.throws(() => sdNotify(state), { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
  }
  for (const options of [null, 1, 'x', [], { fds: 1 }, { fds: [{}] }, { timeout: '1' }]) {
    assert.throws(() => sdNotify('READY=1', options), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  for (const options of [{ timeout: 0 }, { timeout: Infinity }, { fds: [-1] }]) {
    assert.throws(() => sdNotify('READY=1', options), { code: 'ERR_OUT_OF_RANGE' });
  }
  Object.prototype.fds = [0];
  try {
    assert.equal(sdNotify('READY=1'), false);
  } finally {
    delete Object.prototype.fds;
  }
});
