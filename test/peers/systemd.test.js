'use strict';

// Owns what this package has for systemd against systemd itself: descriptors that it keeps over a restart,
// notifications, barriers, and sockets that it listens at for a service.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { runUnderSystemd, withSystemd } = require('../helpers/systemd.js');

assertNoLeaks();

const EXAMPLES = path.join(__dirname, '..', '..', 'examples');

/** A unit of a service: this Node with a file of the examples. */
const serviceOf = (command, ...lines) =>
  ['[Unit]', 'DefaultDependencies=no', '[Service]', `ExecStart=${command}`, ...lines, ''].join(
    '\n',
  );
const nodeWith = (file, ...args) =>
  [process.execPath, path.join(EXAMPLES, file), ...args].join(' ');

/** For the functions that run next to systemd: they see nothing of this file. */
const CONTROL = `
  const { execFileSync } = require('node:child_process');
  const { once } = require('node:events');
  const fs = require('node:fs');
  const { setTimeout: pause } = require('node:timers/promises');
  const systemctl = (...args) =>
    execFileSync('systemctl', ['--user', ...args], { encoding: 'utf8' }).trim();
  const show = (unit, property) => systemctl('show', '--value', '-p', property, unit);
  const until = async (condition) => { while (!condition()) await pause(10); };
  const readFile = async (file) => {
    await until(() => fs.existsSync(file));
    return fs.readFileSync(file, 'utf8');
  };
  await until(() => fs.existsSync('/run/user/0/systemd/private'));`;
/** The function with CONTROL in front of what it does. */
const controlled = (body) => `async (afunix, ...args) => {${CONTROL}
  return (${body})(afunix, { once, readFile, show, systemctl, until }, ...args);
}`;

describe('systemd', onLinux(withSystemd()), () => {
  test('keeps the connections of a service that is restarted, or killed', async (t) => {
    const units = {
      'lines.service': serviceOf(
        nodeWith('fdstore.js', '/run/lines.sock'),
        ...['Type=notify', 'NotifyAccess=main', 'FileDescriptorStoreMax=64'],
        ...['Restart=always', 'RestartSec=0'],
      ),
    };
    const seen = await runUnderSystemd(
      t,
      units,
      controlled(async ({ USocket }, { once, show, systemctl, until }) => {
        systemctl('start', 'lines.service');
        const client = new USocket('/run/lines.sock').setEncoding('utf8');
        const answers = [];
        const pids = new Set();
        const ask = async (text) => {
          client.write(text);
          const [answer] = await once(client, 'data');
          answers.push(answer.trim().replace(/ \(\d+\)$/, ''));
          pids.add(show('lines.service', 'MainPID'));
        };
        await ask('first\n');
        for (let restart = 1; restart <= 3; restart++) {
          client.write('a line that is half');
          systemctl('restart', 'lines.service');
          await ask(` and then whole: ${restart}\n`);
        }
        systemctl('kill', '--signal=KILL', 'lines.service');
        await ask('after its death\n');
        const kept = show('lines.service', 'NFileDescriptorStore');
        client.destroy();
        // The listener alone.
        await until(() => show('lines.service', 'NFileDescriptorStore') === '1');
        console.log(JSON.stringify({ answers, kept, services: pids.size }));
      }),
    );
    assert.deepEqual(seen, {
      answers: [
        '1: first',
        ...[1, 2, 3].map(
          (restart) => `${restart + 1}: a line that is half and then whole: ${restart}`,
        ),
        '1: after its death', // What it counted has died with it.
      ],
      kept: '2',
      services: 5,
    });
  });

  test('hears that a service is ready, what its state is, and that it stops', async (t) => {
    const after = [
      'systemctl --user show --value -p StatusText brief.service >/run/draft',
      'echo $$SERVICE_RESULT >>/run/draft',
      'mv /run/draft /run/brief',
    ];
    const units = {
      'brief.service': serviceOf(
        nodeWith('sd-notify.js'),
        ...['Type=notify', 'WatchdogSec=20', 'NotifyAccess=main'],
        // Once it has ended, systemd forgets it.
        `ExecStopPost=/bin/sh -c "${after.join('; ')}"`,
      ),
    };
    const seen = await runUnderSystemd(
      t,
      units,
      controlled(async (_, { readFile, systemctl }) => {
        systemctl('start', 'brief.service'); // Fails without READY=1.
        console.log(JSON.stringify(await readFile('/run/brief')));
      }),
    );
    assert.equal(seen, '250 milliseconds were enough\nsuccess\n');
  });

  test('has worked off what came before a barrier, also of a process that ends at once', async (t) => {
    const script = `const { sdNotify } = require(${JSON.stringify(LIB)});
      sdNotify('READY=1');
      sdNotify('STATUS=last words');
      if (sdNotify('BARRIER=1') !== true) process.exit(1);
      process.kill(process.pid, 'SIGKILL');`;
    const units = {
      'last.service': serviceOf(
        `${process.execPath} --eval "${script.replace(/\n\s*/g, ' ').replaceAll('"', '\\"')}"`,
        ...['Type=notify', 'NotifyAccess=main'],
      ),
    };
    const seen = await runUnderSystemd(
      t,
      units,
      controlled(async (_, { show, systemctl, until }) => {
        systemctl('start', 'last.service');
        await until(() => show('last.service', 'ActiveState') === 'failed');
        console.log(
          JSON.stringify(['StatusText', 'Result'].map((name) => show('last.service', name))),
        );
      }),
    );
    assert.deepEqual(seen, ['last words', 'signal']);
  });

  test('listens for a service of each kind, which it starts at the first message', async (t) => {
    const script = `const { DgramSocket, SeqpacketServer, UServer, listenFds, sdNotify } = require(${JSON.stringify(LIB)});
      const [stream, packets, datagrams] = ['stream', 'packets', 'datagrams'].map((name) => listenFds(name)[0]);
      const serve = (connection) => connection.on('data', (data) => connection.end('answered ' + data));
      new UServer(serve).listen(stream);
      new SeqpacketServer(serve).listen(packets);
      const socket = new DgramSocket({ fd: datagrams.fd });
      socket.on('data', (data, from) => socket.sendTo('answered ' + data, from));
      sdNotify('READY=1');`;
    const socketOf = (line) =>
      ['[Unit]', 'DefaultDependencies=no', '[Socket]', line, 'Service=all.service'].join('\n');
    const units = {
      'all.service': serviceOf(
        `${process.execPath} --eval "${script.replace(/\n\s*/g, ' ').replaceAll('"', '\\"')}"`,
        'Type=notify',
        'Sockets=stream.socket packets.socket datagrams.socket',
      ),
      'stream.socket': `${socketOf('ListenStream=/run/stream.sock')}\nFileDescriptorName=stream\n`,
      'packets.socket': `${socketOf('ListenSequentialPacket=/run/packets.sock')}\nFileDescriptorName=packets\n`,
      'datagrams.socket': `${socketOf('ListenDatagram=/run/datagrams.sock')}\nFileDescriptorName=datagrams\n`,
    };
    const seen = await runUnderSystemd(
      t,
      units,
      controlled(async ({ DgramSocket, SeqpacketSocket, USocket }, { once, show, systemctl }) => {
        systemctl('start', 'stream.socket', 'packets.socket', 'datagrams.socket');
        const before = show('all.service', 'ActiveState');
        const asked = new DgramSocket().bind();
        asked.sendTo('a datagram', '/run/datagrams.sock');
        const answers = [String((await once(asked, 'data'))[0])];
        asked.close();
        for (const client of [
          new USocket('/run/stream.sock'),
          new SeqpacketSocket().connect('/run/packets.sock'),
        ]) {
          client.write(client.constructor.name);
          answers.push(String((await once(client, 'data'))[0]));
          client.destroy();
        }
        console.log(JSON.stringify({ before, answers, after: show('all.service', 'ActiveState') }));
      }),
    );
    assert.deepEqual(seen, {
      before: 'inactive',
      answers: ['answered a datagram', 'answered USocket', 'answered SeqpacketSocket'],
      after: 'active',
    });
  });
});
