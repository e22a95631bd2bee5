'use strict';

// Owns examples/fdstore.js: a service whose manager keeps its connections while it is restarted or killed, with a
// stand-in for systemd.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, closing } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

const { Manager } = require(path.join(__dirname, '..', '..', 'examples', 'fdstore.js'));

assertNoLeaks();

/** A client of the service: what it was answered, by number, and by whom. */
class Client {
  answers = [];

  constructor(t, servePath) {
    this.socket = cleanUp(t, new USocket(servePath));
    let rest = '';
    this.socket.on('data', (data) => {
      const lines = `${rest}${data}`.split('\n');
      rest = lines.pop();
      this.answers.push(...lines);
    });
  }

  /** The answers without who gave them. */
  get texts() {
    return this.answers.map((line) => line.replace(/ \(\d+\)$/, ''));
  }
}

function startManager(t) {
  const folder = temporaryFolder(t);
  const manager = new Manager(folder);
  t.after(() => manager.service?.kill('SIGKILL'));
  return { manager, servePath: path.join(folder, 'service.sock') };
}

describe('a service whose descriptors are stored', onLinux(), () => {
  test('is restarted 5 times while 10 clients write: each line is answered once, in order', async (t) => {
    const before = countFds();
    const { manager, servePath } = startManager(t);
    await manager.start(servePath);
    const clients = Array.from({ length: 10 }, () => new Client(t, servePath));
    await Promise.all(clients.map(({ socket }) => nextEvent(socket, 'connect')));
    const sent = [];
    let isOn = true;
    const writing = (async () => {
      for (let line = 0; isOn; line++) {
        // A line in two pieces, between which the service may be another.
        for (const piece of ['line ', `${line}\n`]) {
          for (const { socket } of clients) socket.write(piece);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        sent.push(`${line + 1}: line ${line}`);
      }
    })();
    const services = new Set();
    for (let restart = 0; restart < 5; restart++) {
      services.add(manager.service.pid);
      const answered = clients[0].answers.length;
      await until(() => clients[0].answers.length > answered, 'an answer');
      await manager.stop();
      await manager.start(servePath);
    }
    isOn = false;
    await writing;
    await until(() => clients.every(({ answers }) => answers.length >= sent.length), 'answers');
    for (const client of clients) assert.deepEqual(client.texts, sent);
    assert.equal(services.size, 5);
    // Whoever comes now finds the same listener.
    const late = new Client(t, servePath);
    late.socket.write('late\n');
    await until(() => late.answers.length === 1, 'an answer');
    assert.deepEqual(late.texts, ['1: late']);
    // Connections that end are kept no longer.
    for (const { socket } of [...clients, late]) socket.destroy();
    await until(() => manager.stored.length === 1, 'the store to have the listener alone');
    assert.equal(manager.stored[0].name, 'listener');
    await Promise.all([...clients, late].map(({ socket }) => closing(socket)));
    await manager.stop();
    await manager.close();
    await assertNoLeak(before);
  });

  test('that is killed has its connections back', async (t) => {
    const { manager, servePath } = startManager(t);
    await manager.start(servePath);
    const client = new Client(t, servePath);
    client.socket.write('one\n');
    await until(() => client.answers.length === 1, 'an answer');
    await manager.stop('SIGKILL');
    client.socket.write('two\n');
    await manager.start(servePath);
    await until(() => client.answers.length === 2, 'an answer');
    assert.equal(client.texts[1], '1: two');
    assert.notEqual(client.answers[0].match(/\d+\)/)[0], client.answers[1].match(/\d+\)/)[0]);
    client.socket.destroy();
    await manager.stop();
    await manager.close();
  });
});
