'use strict';

// Owns the examples that are clients, with the programs they are written for. That every example
// runs alone is in code.test.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { startStalled } = require('../helpers/node.js');
const { findProgram, onLinux, startProgram } = require('../helpers/programs.js');
const { skipUnlessPython, startPeer } = require('../helpers/python.js');
const { temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

const EXAMPLES = path.join(__dirname, '..', '..', 'examples');

/** Starts an example. Not with our own manager, if we have one. */
function startExample(t, name, args = [], environment = {}) {
  const env = { ...process.env, NOTIFY_SOCKET: '', TMPDIR: temporaryFolder(t), ...environment };
  return startProgram(t, process.execPath, [path.join(EXAMPLES, name), ...args], { env });
}

// It is a daemon, which Debian keeps out of the users' PATH.
const rsyslogd = ['rsyslogd', '/usr/sbin/rsyslogd']
  .map((name) => (name.startsWith('/') && fs.existsSync(name) ? name : findProgram(name)))
  .find(Boolean);

describe('syslog.js', () => {
  const withRsyslogd = onLinux({ skip: rsyslogd ? false : 'not installed: rsyslogd' });

  test('is understood by rsyslogd', withRsyslogd, async (t) => {
    const folder = temporaryFolder(t);
    const [socket, output, settings] = ['log', 'out', 'conf'].map((name) => `${folder}/${name}`);
    fs.writeFileSync(
      settings,
      `module(load="imuxsock" SysSock.Use="off")
      input(type="imuxsock" Socket="${socket}" UseSpecialParser="on")
      template(name="fields" type="string"
        string="%syslogfacility-text%|%syslogseverity-text%|%programname%|%procid%|%msg%\\n")
      action(type="omfile" file="${output}" template="fields" asyncWriting="off")
      global(workDirectory="${folder}")
      `,
    );
    startProgram(t, rsyslogd, ['-n', '-iNONE', '-f', settings]);
    await until(() => fs.existsSync(socket), 'rsyslogd to bind');
    const example = startExample(t, 'syslog.js', [socket]);
    const { code, stderr } = await example.ended();
    assert.equal(code, 0, stderr);
    const severities = ['err', 'warning', 'notice', 'info', 'debug'];
    const lines = () => {
      const text = fs.existsSync(output) ? fs.readFileSync(output, 'utf8') : '';
      return text.split('\n').filter((line) => line.includes('afunix-example'));
    };
    await until(() => lines().length === severities.length, 'the lines');
    assert.deepEqual(
      lines(),
      severities.map(
        (severity) =>
          `user|${severity}|afunix-example|${example.pid}| this is of severity ${severity}`,
      ),
    );
  });

  test('says so if nobody takes its lines', onLinux({}), async (t) => {
    for (const name of [temporaryPath(t), (await startStalled(t, temporaryPath(t))).name]) {
      if (fs.existsSync(name)) {
        // Five lines have room.
        const fill = startExample(t, 'syslog.js', [name]);
        assert.equal((await fill.ended()).code, 0);
        assert.equal((await startExample(t, 'syslog.js', [name]).ended()).code, 0);
      }
      const { code, stderr } = await startExample(t, 'syslog.js', [name]).ended();
      assert.equal(code, 1);
      assert.match(stderr, /\d lines could not be logged/);
    }
  });
});

describe('sd-notify.js', onLinux(skipUnlessPython()), () => {
  for (const [kind, makeName] of [
    ['a path', temporaryPath],
    ['an abstract name', (t) => `\0afunix-${path.basename(temporaryFolder(t))}`],
  ]) {
    test(`reports to a manager in Python at ${kind}, as the process it is`, async (t) => {
      const name = makeName(t);
      const manager = await startPeer(t, name);
      await manager.call('pass_credentials');
      const service = startExample(t, 'sd-notify.js', [], {
        NOTIFY_SOCKET: name.replace('\0', '@'),
        WATCHDOG_USEC: '100000',
      });
      const reported = [];
      while (reported.at(-1) !== 'STOPPING=1') {
        const { text, pid } = await manager.call('receive_from_whom');
        assert.equal(pid, service.pid);
        reported.push(...text.split('\n'));
      }
      assert.equal((await service.ended()).code, 0);
      const beats = reported.filter((line) => line === 'WATCHDOG=1').length;
      assert.ok(beats >= 1 && beats <= 5, `${beats} signs of life`);
      assert.deepEqual(
        reported.filter((line) => line !== 'WATCHDOG=1'),
        [
          'STATUS=Reading the configuration',
          'READY=1',
          'STATUS=Serving',
          `MAINPID=${service.pid}`,
          'STATUS=250 milliseconds were enough',
          'STOPPING=1',
        ],
      );
    });
  }

  test('believes nobody else, and counts signs of life', async (t) => {
    const { code, stdout } = await startExample(t, 'sd-notify.js').ended();
    assert.equal(code, 0);
    assert.match(stdout, /process \d+ is not our service: not believed/);
    assert.match(stdout, /^ {2}READY=1$/m);
    assert.match(stdout, /[1-5] signs of life; it ended with code 0/);
  });
});

test('dogstatsd.js accounts for every metric', onLinux({}), async (t) => {
  const { code, stdout } = await startExample(t, 'dogstatsd.js').ended();
  assert.equal(code, 0);
  const counts = [...stdout.matchAll(/: (\d+) sent, (\d+) dropped/g)].map(([, ...both]) =>
    both.map(Number),
  );
  assert.equal(counts.length, 3);
  const [[sent, dropped], gone, back] = counts;
  assert.equal(sent + dropped, 40_000);
  assert.ok(sent > 0);
  assert.deepEqual(gone, [sent, dropped + 1]);
  assert.deepEqual(back, [sent + 1, dropped + 1]);
  const totals = [...stdout.matchAll(/page\.views\{env:example,page:\w+\} (\d+)/g)];
  assert.equal(totals.length, 2);
  assert.match(stdout, /temperature\{env:example,room:1\} 21\.5/);
});
