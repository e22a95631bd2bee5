'use strict';

// Owns connections to a web server of serve() that have sent nothing yet when it closes: their request may be on its
// way. Node 26.12 takes them for idle, and destroys them; here one class of server does, whatever Node it is.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const { serve } = require('../../lib');
const unix = require('../../lib/net');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { delay } = require('../helpers/wait.js');

assertNoLeaks();

/** Milliseconds that a newcomer has. */
const MOMENT = 1000;

class Hasty extends http.Server {
  #connections = new Set();

  constructor(listener) {
    super(listener);
    this.on('connection', (socket) => this.#connections.add(socket));
  }

  close(callback) {
    for (const socket of this.#connections) socket.destroy();
    return super.close(callback);
  }
}

/** A server that has been asked to close just after a client came: `{ client, closed, connection }`. */
async function closeWithNewcomer(t, Server = http.Server) {
  const path = temporaryPath(t);
  const web = serve(new Server((request, response) => response.end('answer')), path);
  t.after(() => web.closeAllConnections());
  await once(web, 'listening');
  const client = cleanUp(t, unix.connect(path));
  const [connection] = await once(web, 'connection');
  const closed = once(web, 'close');
  web.close();
  // It is its own again.
  assert.equal(Object.hasOwn(connection, 'destroy'), false);
  return { client, closed, connection };
}

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

describe('close() spares a connection that has sent nothing yet', onLinux(), () => {
  for (const Server of [http.Server, Hasty]) {
    test(`${Server.name}: its request is answered`, async (t) => {
      const { client, closed } = await closeWithNewcomer(t, Server);
      await delay(0);
      client.end(REQUEST);
      assert.match(await text(client), /^HTTP\/1\.1 200 OK.*answer/s);
      await closed;
    });
  }

  test('Hasty: also one whose request takes longer than the moment', async (t) => {
    const { client, closed, connection } = await closeWithNewcomer(t, Hasty);
    client.write(REQUEST.slice(0, 9));
    await delay(MOMENT + 200);
    assert.equal(connection.destroyed, false);
    client.end(REQUEST.slice(9));
    assert.match(await text(client), /^HTTP\/1\.1 200 OK.*answer/s);
    await closed;
  });

  test('Hasty: one that stays silent has a moment, and no more', async (t) => {
    const { closed, connection } = await closeWithNewcomer(t, Hasty);
    await delay(MOMENT / 2);
    assert.equal(connection.destroyed, false);
    await closed;
    assert.ok(connection.destroyed);
  });
});
