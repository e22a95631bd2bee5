'use strict';

// Owns USocket under npm packages that take connections from their users: undici and ws.

const assert = require('node:assert/strict');
const http = require('node:http');
const { randomBytes } = require('node:crypto');
const { Readable } = require('node:stream');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { usePackages } = require('../helpers/npm.js');
const { nextEvent } = require('../helpers/sockets.js');
const { MB, digestOf, openServer, traffic } = require('../helpers/streams.js');
const { Queue, until, within } = require('../helpers/wait.js');

assertNoLeaks();

const LARGE = 20 * MB;

const forUndici = usePackages('undici@7.30.2');
const forWs = usePackages('ws@8.23.0');

/** An HTTP server behind a UServer: `{ path, web, sockets }`. */
async function serve(t, listener) {
  const web = http.createServer(listener);
  const sockets = [];
  const { path } = await openServer(t, (socket) => {
    sockets.push(socket);
    web.emit('connection', socket);
  });
  web.emit('listening');
  t.after(() => {
    web.close();
    web.closeAllConnections();
  });
  return { path, web, sockets };
}

/** undici's `connect`: a function that makes connections, counted in `made`. */
function connectorTo(path, made = []) {
  return (_options, done) => {
    const socket = new USocket({ path });
    made.push(socket);
    socket.once('error', done);
    socket.once('connect', () => {
      socket.off('error', done);
      done(null, socket);
    });
  };
}

describe('undici', forUndici.options, () => {
  const undici = () => forUndici.require('undici');

  test('Client: requests one after the other on one connection', async (t) => {
    const made = [];
    const { path } = await serve(t, async (request, response) => {
      response.end(`${request.method} ${request.url} ${await text(request)}`);
    });
    const client = new (undici().Client)('http://localhost', { connect: connectorTo(path, made) });
    for (const body of ['one', 'two', 'three']) {
      const reply = await client.request({ method: 'POST', path: '/p', body });
      assert.equal(await reply.body.text(), `POST /p ${body}`);
    }
    assert.equal(made.length, 1);
    await within(client.close(), 'the client to close');
    await until(() => made[0].closed, 'the connection to close');
  });

  test('Client: pipelining', async (t) => {
    const { path } = await serve(t, (request, response) => response.end(request.url));
    const client = new (undici().Client)('http://localhost', {
      connect: connectorTo(path),
      pipelining: 10,
    });
    const urls = Array.from({ length: 50 }, (_, at) => `/${at}`);
    const replies = await Promise.all(
      urls.map(async (url) => (await client.request({ method: 'GET', path: url })).body.text()),
    );
    assert.deepEqual(replies, urls);
    await client.close();
  });

  test('Agent and fetch: 20 MB each way', async (t) => {
    const down = traffic(LARGE);
    let up;
    const { path } = await serve(t, async (request, response) => {
      up = await digestOf(request);
      down.stream.pipe(response);
    });
    const { Agent, fetch } = undici();
    const dispatcher = new Agent({ connect: connectorTo(path) });
    const { stream, ...ours } = traffic(LARGE);
    const response = await fetch('http://localhost/', {
      dispatcher,
      method: 'PUT',
      body: stream,
      duplex: 'half',
    });
    assert.equal(response.status, 200);
    assert.deepEqual(await digestOf(Readable.fromWeb(response.body)), {
      hash: down.hash,
      length: LARGE,
    });
    assert.deepEqual(up, ours);
    await dispatcher.close();
  });

  test('fetch of many at once, and an abort', async (t) => {
    const { path, sockets } = await serve(t, (request, response) => {
      if (request.url !== '/never') response.end(request.url);
    });
    const { Agent, fetch } = undici();
    const dispatcher = new Agent({ connect: connectorTo(path), connections: 4 });
    const urls = Array.from({ length: 40 }, (_, at) => `http://localhost/${at}`);
    const bodies = await Promise.all(
      urls.map(async (url) => (await fetch(url, { dispatcher })).text()),
    );
    assert.deepEqual(
      bodies,
      urls.map((url) => new URL(url).pathname),
    );
    assert.ok(sockets.length <= 4);
    const control = new AbortController();
    const never = fetch('http://localhost/never', { dispatcher, signal: control.signal });
    setTimeout(() => control.abort(), 20);
    await assert.rejects(never, { name: 'AbortError' });
    await within(dispatcher.destroy(), 'the agent to close');
    await until(() => sockets.every(({ closed }) => closed), 'the connections to close');
  });

  test('upgrade', async (t) => {
    const { path, web } = await serve(t);
    web.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.pipe(socket);
    });
    const client = new (undici().Client)('http://localhost', { connect: connectorTo(path) });
    const { socket } = await client.upgrade({ path: '/', protocol: 'echo' });
    assert.ok(socket instanceof USocket);
    socket.end('an echo');
    assert.equal(await within(text(socket), 'the echo'), 'an echo');
    await client.close();
  });

  test('fails where nobody is, and where the server hangs up', async (t) => {
    const { Client } = undici();
    const nowhere = new Client('http://localhost', { connect: connectorTo('/nonexistent') });
    await assert.rejects(nowhere.request({ method: 'GET', path: '/' }), { code: 'ENOENT' });
    const { path } = await serve(t, (request) => request.socket.destroy());
    const client = new Client('http://localhost', { connect: connectorTo(path) });
    await assert.rejects(client.request({ method: 'GET', path: '/' }), { code: 'UND_ERR_SOCKET' });
    await client.destroy();
  });
});

describe('ws', forWs.options, () => {
  const ws = () => forWs.require('ws');

  /** A WebSocket server behind a UServer: `{ path, wss, sockets }`. */
  async function serveWebSockets(t, options = {}) {
    const found = await serve(t);
    const wss = new (ws().WebSocketServer)({ noServer: true, ...options });
    found.web.on('upgrade', (request, socket, head) => {
      wss.handleUpgrade(request, socket, head, (one) => wss.emit('connection', one, request));
    });
    t.after(() => wss.close());
    return { ...found, wss };
  }

  function open(t, path, options = {}) {
    const client = new (ws().WebSocket)('ws://localhost/', {
      createConnection: () => new USocket({ path }),
      ...options,
    });
    t.after(() => client.terminate());
    return client;
  }

  for (const perMessageDeflate of [false, true]) {
    test(`messages of every size, perMessageDeflate ${perMessageDeflate}`, async (t) => {
      const { path, wss } = await serveWebSockets(t, { perMessageDeflate });
      wss.on('connection', (one) => {
        one.on('message', (data, binary) => one.send(data, { binary }));
      });
      const client = open(t, path, { perMessageDeflate });
      const messages = new Queue();
      client.on('message', (data) => messages.put(data));
      await nextEvent(client, 'open');
      const sent = [0, 1, 125, 126, 65535, 65536, 1_000_000, 5 * MB].map((size) =>
        randomBytes(size),
      );
      for (const data of sent) client.send(data);
      for (const data of sent) {
        const got = await messages.next('an echo');
        assert.equal(Buffer.compare(got, data), 0, `a message of ${data.length} bytes`);
      }
      const closed = nextEvent(client, 'close');
      client.close(4000, 'enough');
      const [code, reason] = await closed;
      assert.deepEqual([code, String(reason)], [4000, 'enough']);
    });
  }

  test('a broadcast to many, and pings', async (t) => {
    const { path, wss, sockets } = await serveWebSockets(t);
    const clients = Array.from({ length: 20 }, () => open(t, path));
    const inboxes = clients.map((client) => {
      const queue = new Queue();
      client.on('message', (data) => queue.put(String(data)));
      return queue;
    });
    await until(() => wss.clients.size === 20, 'all clients');
    const pongs = [...wss.clients].map((one) => nextEvent(one, 'pong'));
    for (const one of wss.clients) {
      one.ping();
      one.send('to all');
    }
    await Promise.all(pongs);
    for (const inbox of inboxes) assert.equal(await inbox.next('a broadcast'), 'to all');
    for (const one of wss.clients) one.close();
    await until(() => sockets.every(({ closed }) => closed), 'the connections to close');
  });

  test('a stream of 20 MB', async (t) => {
    const { path, wss } = await serveWebSockets(t);
    const accepted = nextEvent(wss, 'connection');
    const client = open(t, path);
    const [one] = await accepted;
    const { createWebSocketStream } = ws();
    const sent = traffic(LARGE);
    sent.stream.pipe(createWebSocketStream(client));
    const received = await digestOf(createWebSocketStream(one));
    assert.deepEqual(received, { hash: sent.hash, length: LARGE });
  });

  test('sees that the peer is gone without goodbye', async (t) => {
    const { path, wss, sockets } = await serveWebSockets(t);
    const accepted = nextEvent(wss, 'connection');
    const client = open(t, path);
    const [one] = await accepted;
    if (client.readyState !== client.OPEN) await nextEvent(client, 'open');
    const closed = nextEvent(one, 'close');
    client.terminate();
    assert.equal((await closed)[0], 1006);
    await until(() => sockets[0].closed, 'the connection to close');
  });
});
