'use strict';

// Owns DgramSocket against installed programs: socat, systemd-notify and logger. For Python see
// peers.test.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { closed, inbox, openSocket, sendTo } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

/** Waits for another program to bind a path or an abstract name. */
function untilBound(name) {
  // Each line of the table ends with the name; an abstract one has @ for its NUL.
  const ending = ` ${name.replace(/^\0/, '@')}`;
  const isBound = () =>
    fs
      .readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .some((line) => line.endsWith(ending));
  return until(isBound, `somebody to bind ${ending}`);
}

describe('socat', onLinux(skipUnless('socat')), () => {
  const KINDS = [
    ['a path', 'UNIX', (t) => temporaryPath(t)],
    ['an abstract name', 'ABSTRACT', () => abstractName()],
  ];
  /** A name as socat takes it. */
  const shown = (name) => name.replace(/^\0/, '');

  for (const [kind, family, makeName] of KINDS) {
    test(`UNIX-SENDTO sends to ${kind}`, async (t) => {
      const here = makeName(t);
      const messages = inbox(openSocket(t).bind(here));
      const socat = startProgram(t, 'socat', ['-u', '-', `${family}-SENDTO:${shown(here)}`]);
      socat.end('from socat');
      const { data, path: from } = await messages.next('a message from socat');
      assert.equal(String(data), 'from socat');
      assert.equal(from, '');
      const { code, stderr } = await socat.ended();
      assert.equal(code, 0, stderr);
    });

    test(`UNIX-SENDTO bound to ${kind} prints our answers`, async (t) => {
      const here = makeName(t);
      const there = makeName(t);
      const socket = openSocket(t).bind(here);
      const messages = inbox(socket);
      const address = `${family}-SENDTO:${shown(here)},bind=${shown(there)}`;
      const socat = startProgram(t, 'socat', ['-', address]);
      for (const round of ['one', 'two', 'three']) {
        socat.write(round);
        const { data, path: from } = await messages.next('a message from socat');
        assert.deepEqual([String(data), from], [round, there]);
        socket.sendTo(`answer to ${data}\n`, from);
        assert.equal(await socat.lines.next("socat's output"), `answer to ${round}`);
      }
    });

    test(`UNIX-RECVFROM at ${kind} answers us`, async (t) => {
      const here = makeName(t);
      const there = makeName(t);
      const socket = openSocket(t).bind(here);
      const messages = inbox(socket);
      startProgram(t, 'socat', [`${family}-RECVFROM:${shown(there)}`, 'PIPE']);
      await untilBound(there);
      await sendTo(socket, 'an echo, please', there);
      const { data, path: from } = await messages.next("socat's echo");
      assert.deepEqual([String(data), from], ['an echo, please', there]);
    });

    test(`UNIX-RECV at ${kind} prints what we send`, async (t) => {
      const there = makeName(t);
      const socket = openSocket(t);
      const socat = startProgram(t, 'socat', ['-u', `${family}-RECV:${shown(there)}`, '-']);
      await untilBound(there);
      const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`);
      await Promise.all(lines.map((line) => sendTo(socket, `${line}\n`, there)));
      assert.deepEqual(await socat.lines.take(lines.length, "socat's output"), lines);
    });
  }
});

describe('systemd-notify', onLinux(skipUnless('systemd-notify')), () => {
  const READY = ['--ready', '--status=at work'];

  for (const [kind, makeName] of [
    ['a path', (t) => temporaryPath(t, 'notify')],
    ['an abstract name', () => abstractName()],
  ]) {
    test(`reports to ${kind}, and is not kept waiting`, async (t) => {
      const name = makeName(t);
      const messages = inbox(openSocket(t, { credentials: true }).bind(name));
      const env = { ...process.env, NOTIFY_SOCKET: name.replace(/^\0/, '@') };
      const program = startProgram(t, 'systemd-notify', READY, { env });
      const { data, path: from, credentials } = await messages.next('READY=1');
      assert.deepEqual(String(data).split('\n').sort(), ['READY=1', 'STATUS=at work']);
      assert.equal(from, '');
      // As root it speaks in the name of the process that started it.
      assert.ok([program.pid, process.pid].includes(credentials.pid));
      assert.equal(credentials.uid, process.getuid());
      const { code, stderr } = await program.ended();
      assert.equal(code, 0, stderr);
    });
  }

  test('waits until we close the descriptor of its barrier', async (t) => {
    const name = temporaryPath(t, 'notify');
    const messages = inbox(openSocket(t, { receiveFds: true }).bind(name));
    const env = { ...process.env, NOTIFY_SOCKET: name };
    const program = startProgram(t, 'systemd-notify', READY, { env });
    let running = true;
    program.closed.then(() => (running = false));
    assert.deepEqual((await messages.next('READY=1')).fds, []);
    const next = messages.next('BARRIER=1');
    const barrier = await Promise.race([next, program.closed]);
    if (barrier.fds === undefined) return t.skip('this version (before 246) sends no barrier');
    assert.equal(String(barrier.data), 'BARRIER=1');
    assert.equal(barrier.fds.length, 1);
    assert.ok(running);
    fs.closeSync(barrier.fds[0]);
    assert.equal((await program.ended()).code, 0);
  });
});

describe('logger', onLinux(skipUnless('logger')), () => {
  test('writes a syslog line to our socket', async (t) => {
    const here = temporaryPath(t, 'log');
    const messages = inbox(openSocket(t, { credentials: true }).bind(here));
    const args = ['-u', here, '--socket-errors=on', '-p', 'user.warning', '-t', 'afunix'];
    const program = startProgram(t, 'logger', [...args, 'a line for the log']);
    const { data, path: from, credentials } = await messages.next('a line from logger');
    // user is facility 1, warning severity 4: 1 * 8 + 4.
    assert.match(String(data), /^<12>.*\bafunix(\[\d+\])?: a line for the log$/);
    assert.equal(from, '');
    const { code, stderr } = await program.ended();
    assert.equal(code, 0, stderr);
    const identity = { pid: program.pid, uid: process.getuid(), gid: process.getgid() };
    assert.deepEqual(credentials, identity);
  });

  test('sends its lines one datagram each', async (t) => {
    const here = temporaryPath(t, 'log');
    const messages = inbox(openSocket(t).bind(here));
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index}`);
    const program = startProgram(t, 'logger', ['-u', here, '--socket-errors=on', '-t', 'many']);
    program.end(lines.join('\n'));
    const received = await messages.take(lines.length, 'a line from logger');
    assert.deepEqual(
      received.map(({ data }) => String(data).replace(/^.*: /, '')),
      lines,
    );
    assert.equal((await program.ended()).code, 0);
  });

  test('fails when nobody is there any more', async (t) => {
    const here = temporaryPath(t, 'log');
    await closed(openSocket(t).bind(here));
    const program = startProgram(t, 'logger', ['-u', here, '--socket-errors=on', 'in vain']);
    const { code, stderr } = await program.ended();
    assert.notEqual(code, 0);
    assert.match(stderr, /No such file/);
  });
});
