'use strict';

// Owns the time that drainServer() gives to handshakes which have begun: it counts where the queue is empty
// from the start, too. TCP_DEFER_ACCEPT makes such a handshake: the client is connected, and the server's
// kernel takes the connection only once the client has sent something.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');
const { createReuseportFd, drainServer } = require('../../lib');
const posix = require('../../lib/posix/index.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { quiet } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');

assertNoLeaks();

const IPPROTO_TCP = 6;
const TCP_DEFER_ACCEPT = 9;
/** Seconds. */
const DEFERRED = 10;
/** Milliseconds. */
const GRACE = 400;

/** Whether this system's kernel hands over connections itself: then there is no need to wait. */
const migrates = () => {
  const setting = '/proc/sys/net/ipv4/tcp_migrate_req';
  return fs.existsSync(setting) && fs.readFileSync(setting, 'latin1').trim() === '1';
};

/** A server that answers each connection's first bytes. */
async function startServer(t) {
  const fd = createReuseportFd(0, '127.0.0.1');
  posix.setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, DEFERRED);
  const server = net.createServer((socket) => {
    socket.on('error', () => {}).once('data', (data) => socket.end(`answer to ${data}`));
  });
  server.listen({ fd });
  t.after(() => server.close());
  await nextEvent(server, 'listening');
  return server;
}

/** A client that has connected, and sent nothing yet. */
async function startClient(t, port) {
  const client = net.connect(port, '127.0.0.1');
  t.after(() => client.destroy());
  await nextEvent(client, 'connect');
  return client;
}

const skip = migrates() && 'net.ipv4.tcp_migrate_req is set: nobody waits';

describe('drainServer() of a server whose queue is empty', onLinux({ skip }), () => {
  test('serves a connection whose handshake ends within the grace', async (t) => {
    const server = await startServer(t);
    const client = await startClient(t, server.address().port);
    await quiet();
    let isOver = false;
    // No end of this time but the test's own doing: it is as long as may be.
    const drained = drainServer(server, { grace: 2000 }).then(() => (isOver = true));
    await quiet(20);
    assert.equal(isOver, false);
    assert.equal(server.listening, true);
    client.write('x');
    const [data] = await nextEvent(client, 'data');
    assert.equal(String(data), 'answer to x');
    await drained;
    assert.equal(server.listening, false);
  });

  test('waits for all of the grace, and not at all where that is 0', async (t) => {
    const server = await startServer(t);
    const start = performance.now();
    await drainServer(server, { grace: GRACE });
    assert.ok(performance.now() - start >= GRACE);
    assert.equal(server.listening, false);
    const other = await startServer(t);
    await drainServer(other, { grace: 0 });
    assert.equal(other.listening, false);
  });
});
