'use strict';

// Owns what a server of datagrams keeps of clients that were full once and have gone: no descriptor.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { countFds } = require('../helpers/descriptors.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { openSocket } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');
const posix = require('../../lib/posix/index.js');

assertNoLeaks();

const CLIENTS = 100;
const { AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK } = posix;

/** A bound socket that reads nothing: `{ fd, path }`. */
function client() {
  const path = abstractName();
  const fd = posix.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  posix.bind(fd, { sun_family: AF_UNIX, sun_path: path });
  return { fd, path };
}

/** Sends until something waits for that client. */
function fill(server, { path }, outcomes) {
  for (let more = true; more;) {
    const before = server.writableLength;
    outcomes.due++;
    server.sendTo('answer', path, (error) => {
      outcomes.due--;
      outcomes[error?.code ?? 'sent'] = (outcomes[error?.code ?? 'sent'] ?? 0) + 1;
    });
    more = server.writableLength === before;
  }
}

test('clients that go one after the other', onLinux(), async (t) => {
  const server = openSocket(t).bind();
  const outcomes = { due: 0 };
  const before = countFds();
  for (let count = 0; count < CLIENTS; count++) {
    const one = client();
    fill(server, one, outcomes);
    posix.close(one.fd);
    await until(() => outcomes.due === 0, 'the outcomes');
    // A few are kept for destinations that read again.
    assert.ok(countFds() <= before + 4, `${countFds() - before} after ${count + 1}`);
  }
  // What waited for one that is gone was refused.
  assert.equal(outcomes.ECONNREFUSED, CLIENTS);
  await assertIdle('a server whose clients have gone');
});

test('clients that all stall, and go together', onLinux(), async (t) => {
  const server = openSocket(t, { sendBufferSize: 2_000_000 }).bind();
  const outcomes = { due: 0 };
  const before = countFds();
  const clients = [];
  for (let count = 0; count < CLIENTS; count++) {
    const one = client();
    clients.push(one);
    fill(server, one, outcomes);
  }
  assert.ok(countFds() - CLIENTS <= before + CLIENTS, 'no more than one for each');
  for (const { fd } of clients) posix.close(fd);
  await until(() => outcomes.due === 0, 'the outcomes');
  assert.ok(countFds() <= before + 4, `${countFds() - before} are kept`);
  assert.equal(outcomes.ECONNREFUSED, CLIENTS);
});
