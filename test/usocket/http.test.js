'use strict';

// Owns Node's HTTP/1 over UServer and USocket: servers that get connections by emit('connection'),
// clients and agents that get them by createConnection. For TLS and HTTP/2 see usocket-tls.test.js.

const assert = require('node:assert/strict');
const http = require('node:http');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { nextEvent, turn } = require('../helpers/sockets.js');
const {
  MB,
  connect,
  digestOf,
  openNetServer,
  openPair,
  openServer,
  textOf,
  traffic,
} = require('../helpers/streams.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const LARGE = 20 * MB;

/** An HTTP server whose connections come from a UServer: `{ server, http, path, sockets }`. */
async function serve(t, listener, options = {}) {
  const web = http.createServer(options, listener);
  const sockets = [];
  const { server, path } = await openServer(t, options.sockets ?? {}, (socket) => {
    sockets.push(socket);
    web.emit('connection', socket);
  });
  // Where a server does not listen itself, this makes it watch its connections.
  web.emit('listening');
  t.after(() => {
    web.close();
    web.closeAllConnections();
  });
  return { server, http: web, path, sockets };
}

/** A response as it begins, to a request over a USocket. */
async function request(path, options = {}, body = undefined) {
  const sent = http.request({ createConnection: () => new USocket({ path }), ...options });
  if (body?.pipe) body.pipe(sent);
  else sent.end(body);
  const [response] = await nextEvent(sent, 'response');
  return response;
}

/** The same to its end: `{ status, body }`. */
async function fetchText(path, options, body) {
  const response = await request(path, options, body);
  return { status: response.statusCode, body: await within(text(response), 'the body') };
}

/** An agent whose connections are USockets, counted in `agent.made`. */
class Agent extends http.Agent {
  made = [];

  constructor(path, options) {
    super(options);
    this.path = path;
  }

  createConnection() {
    this.made.push(new USocket({ path: this.path }));
    return this.made.at(-1);
  }
}

const answer = (request_, response) => response.end(`${request_.method} ${request_.url}`);

describe('a server', () => {
  test('answers net clients, one request a connection or many', async (t) => {
    const { path, sockets } = await serve(t, answer);
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    for (const url of ['/one', '/two', '/three']) {
      const reply = await fetchText(undefined, {
        createConnection: undefined,
        socketPath: path,
        path: url,
        agent,
      });
      assert.deepEqual(reply, { status: 200, body: `GET ${url}` });
    }
    assert.equal(sockets.length, 1);
    const plain = { createConnection: undefined, socketPath: path, agent: false };
    const reply = await fetchText(undefined, { ...plain, path: '/four', method: 'POST' }, 'data');
    assert.deepEqual(reply, { status: 200, body: 'POST /four' });
    assert.equal(sockets.length, 2);
    await until(() => sockets[1].closed, 'the connection without keep-alive to close');
    assert.equal(sockets[0].closed, false);
  });

  test('answers pipelined requests in order', async (t) => {
    const { path } = await serve(t, async (request_, response) => {
      // Later ones are ready first.
      await new Promise((done) => setTimeout(done, 30 - 3 * Number(request_.url.slice(1))));
      response.end(`answer to ${request_.url}\n`);
    });
    const socket = connect(t, path);
    const last = 'GET /9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    const first = Array.from({ length: 9 }, (_, at) => `GET /${at} HTTP/1.1\r\nHost: a\r\n\r\n`);
    socket.write(first.join('') + last.slice(0, 7));
    await turn();
    socket.write(last.slice(7));
    const answers = (await textOf(socket)).match(/answer to \/\d/g);
    assert.deepEqual(
      answers,
      Array.from({ length: 10 }, (_, at) => `answer to /${at}`),
    );
  });

  test('gets a request in pieces of one byte', async (t) => {
    const { path } = await serve(t, async (request_, response) => {
      response.end(`${request_.headers['x-name']}: ${await text(request_)}`);
    });
    const socket = connect(t, path);
    await nextEvent(socket, 'connect');
    const whole =
      'POST / HTTP/1.1\r\nHost: a\r\nX-Name: value\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody';
    for (const byte of whole) {
      socket.write(byte);
      await turn();
    }
    assert.match(await textOf(socket), /^HTTP\/1\.1 200 OK\r\n[^]*value: body/);
  });

  for (const [kind, headers] of [
    ['chunked', {}],
    ['with a length', { 'Content-Length': LARGE }],
  ]) {
    test(`takes and gives 20 MB ${kind}`, async (t) => {
      const down = traffic(LARGE);
      let up;
      const { path, sockets } = await serve(t, async (request_, response) => {
        up = await digestOf(request_);
        response.writeHead(200, headers);
        down.stream.pipe(response);
      });
      const { stream, ...sent } = traffic(LARGE);
      const response = await request(path, { method: 'PUT', headers }, stream);
      const got = await digestOf(response);
      assert.deepEqual(up, { hash: sent.hash, length: LARGE });
      assert.deepEqual(got, { hash: down.hash, length: LARGE });
      assert.equal(response.headers['transfer-encoding'] === 'chunked', kind === 'chunked');
      assert.ok(sockets[0].bytesRead >= LARGE && sockets[0].bytesWritten >= LARGE);
    });
  }

  test('holds back a response that nobody reads', async (t) => {
    let written = 0;
    const { path, sockets } = await serve(t, (_request, response) => {
      const more = () => {
        while (written < LARGE && response.write(Buffer.alloc(65536))) written += 65536;
      };
      response.on('drain', more);
      more();
    });
    const response = await request(path);
    await until(() => sockets[0].writableNeedDrain, 'the server to wait');
    const soFar = written;
    await new Promise((done) => setTimeout(done, 100));
    assert.ok(written - soFar < MB && written < 4 * MB, `${written} bytes were written`);
    response.destroy();
    await until(() => sockets[0].closed, "the server's connection to close");
  });

  test('reports 100-continue before the body comes', async (t) => {
    const { http: web, path } = await serve(t);
    const order = [];
    web.on('checkContinue', async (request_, response) => {
      order.push('asked');
      response.writeContinue();
      order.push(await text(request_));
      response.end('thank you');
    });
    const sent = http.request({
      createConnection: () => new USocket({ path }),
      method: 'POST',
      headers: { Expect: '100-continue' },
    });
    sent.flushHeaders();
    await nextEvent(sent, 'continue');
    order.push('continued');
    sent.end('the body');
    const [response] = await nextEvent(sent, 'response');
    assert.equal(await text(response), 'thank you');
    assert.deepEqual(order, ['asked', 'continued', 'the body']);
  });

  test('gives up the connection for an upgrade, with what came too early', async (t) => {
    const { http: web, path } = await serve(t);
    web.on('upgrade', (_request, socket, head) => {
      assert.ok(socket instanceof USocket);
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
      );
      socket.write(`early: ${head}, `);
      socket.pipe(socket);
    });
    const raw = connect(t, path);
    raw.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst');
    raw.end('second');
    assert.match(await textOf(raw), /\r\n\r\nearly: first(second, |, second)$/);

    const sent = http.get({
      createConnection: () => new USocket({ path }),
      headers: { Connection: 'Upgrade', Upgrade: 'echo' },
    });
    const [, socket, head] = await nextEvent(sent, 'upgrade');
    assert.ok(socket instanceof USocket);
    socket.end('an echo');
    assert.equal(String(head) + (await textOf(socket)), 'early: , an echo');
  });

  test('gives up the connection for CONNECT, a tunnel', async (t) => {
    const { path: inner } = await serve(t, answer);
    const { http: web, path } = await serve(t);
    web.on('connect', (_request, socket, head) => {
      const far = new USocket({ path: inner });
      far.write(head);
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(far).pipe(socket);
    });
    const sent = http.request({
      createConnection: () => new USocket({ path }),
      method: 'CONNECT',
      path: 'inner:80',
    });
    sent.end();
    const [, socket] = await nextEvent(sent, 'connect');
    const reply = await fetchText(undefined, { createConnection: () => socket, path: '/within' });
    assert.deepEqual(reply, { status: 200, body: 'GET /within' });
  });

  test('closes idle connections after keepAliveTimeout', async (t) => {
    const { http: web, path, sockets } = await serve(t, answer);
    web.keepAliveTimeout = 60;
    // Newer versions of Node.js wait longer than they announce.
    web.keepAliveTimeoutBuffer = 0;
    const agent = new Agent(path, { keepAlive: true });
    const [first] = [await fetchText(undefined, { createConnection: undefined, agent })];
    assert.equal(first.status, 200);
    assert.equal(sockets[0].closed, false);
    await until(() => sockets[0].closed && agent.made[0].closed, 'both ends to close');
    const second = await fetchText(undefined, { createConnection: undefined, agent });
    assert.equal(second.status, 200);
    assert.equal(sockets.length, 2);
    agent.destroy();
  });

  for (const [name, begin] of [
    ['headersTimeout', 'GET / HTTP/1.1\r\nHost:'],
    ['requestTimeout', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf'],
  ]) {
    test(`answers 408 after ${name}`, async (t) => {
      const options = { headersTimeout: 5000, requestTimeout: 5000, [name]: 100 };
      if (name === 'requestTimeout') options.headersTimeout = 50;
      options.connectionsCheckingInterval = 20;
      const { path } = await serve(t, () => {}, options);
      const socket = connect(t, path);
      socket.write(begin);
      assert.match(await textOf(socket), /^HTTP\/1\.1 408 /);
    });
  }

  test('has its timeout, and a request has its own', async (t) => {
    const { http: web, path, sockets } = await serve(t, () => {});
    web.timeout = 50;
    const timedOut = nextEvent(web, 'timeout');
    const sent = http.get({ createConnection: () => new USocket({ path }) });
    const failed = nextEvent(sent, 'error');
    const [socket] = await timedOut;
    assert.equal(socket, sockets[0]);
    socket.destroy();
    assert.equal((await failed)[0].code, 'ECONNRESET');

    web.timeout = 0;
    const createConnection = ({ timeout }) => new USocket({ path, timeout });
    const slow = [
      http.get({ createConnection, timeout: 50 }),
      http.get({ createConnection }).setTimeout(50),
    ];
    for (const request_ of slow) request_.on('error', () => {});
    await Promise.all(slow.map((request_) => nextEvent(request_, 'timeout')));
    for (const request_ of slow) request_.destroy();
    await until(() => sockets.every(({ closed }) => closed), "the server's connections to close");
    assert.equal(sockets.length, 3);
  });

  test('closes: at once where connections are idle, after the answer where they are not', async (t) => {
    let finish;
    const {
      http: web,
      path,
      sockets,
      server,
    } = await serve(t, (request_, response) => {
      if (request_.url === '/slow') finish = () => response.end('at last');
      else response.end('quick');
    });
    const agent = new Agent(path, { keepAlive: true });
    t.after(() => agent.destroy());
    const slow = fetchText(undefined, { createConnection: undefined, agent, path: '/slow' });
    await until(() => finish, 'the slow request');
    await fetchText(undefined, { createConnection: undefined, agent, path: '/quick' });
    assert.equal(sockets.length, 2);
    const closed = nextEvent(server, 'close');
    server.close();
    web.closeIdleConnections();
    await until(() => sockets[1].closed, 'the idle connection to close');
    assert.equal(sockets[0].closed, false);
    finish();
    assert.equal((await slow).body, 'at last');
    web.closeIdleConnections();
    await closed;
  });

  test('sees that a client went away in the middle of its request', async (t) => {
    const { path, sockets } = await serve(t, (request_) => request_.resume());
    const socket = connect(t, path);
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf');
    await until(() => sockets.length === 1 && sockets[0].bytesRead > 50, 'the request');
    socket.destroy();
    await until(() => sockets[0].closed, "the server's connection to close");
  });

  test('sees an aborted request and an aborted download', async (t) => {
    const aborts = [];
    const { path, sockets } = await serve(t, (request_, response) => {
      request_.on('error', ({ code }) => aborts.push(code));
      response.on('close', () => aborts.push(response.writableFinished));
      response.write(Buffer.alloc(4 * MB));
    });
    const control = new AbortController();
    const response = await request(path, { signal: control.signal, method: 'POST' });
    response.on('error', () => {});
    control.abort();
    await until(() => sockets[0].closed, "the server's connection to close");
    assert.ok(aborts.includes(false), `the response heard: ${aborts}`);
  });

  test('answers 400 to nonsense', async (t) => {
    const { path } = await serve(t, answer);
    const socket = connect(t, path);
    socket.write('nonsense\r\n\r\n');
    assert.match(await textOf(socket), /^HTTP\/1\.1 400 /);
  });

  test('knows its connection as a net.Socket would be known', async (t) => {
    const { path } = await serve(t, (request_, response) => {
      const { remoteAddress, encrypted, destroyed, readyState } = request_.socket;
      response.end(JSON.stringify({ remoteAddress, encrypted, destroyed, readyState }));
    });
    const { body } = await fetchText(path);
    // A peer without a name has no address: JSON leaves that out.
    const expected = { destroyed: false, readyState: 'open' };
    assert.deepEqual(JSON.parse(body), expected);
  });

  test('serves one end of a pair', async (t) => {
    const [ours, theirs] = openPair(t);
    const web = http.createServer(answer);
    web.emit('connection', theirs);
    const reply = await fetchText(undefined, { createConnection: () => ours, path: '/pair' });
    assert.equal(reply.body, 'GET /pair');
  });
});

describe('a client', () => {
  for (const keepAlive of [true, false]) {
    test(`talks to a net server through an agent, keepAlive ${keepAlive}`, async (t) => {
      const web = http.createServer(answer);
      const { path } = await openNetServer(t, (socket) => web.emit('connection', socket));
      const agent = new Agent(path, { keepAlive, maxSockets: 2 });
      t.after(() => agent.destroy());
      for (let round = 0; round < 3; round++) {
        const urls = Array.from({ length: 8 }, (_, at) => `/${round}/${at}`);
        const replies = await Promise.all(
          urls.map((url) =>
            fetchText(undefined, { createConnection: undefined, agent, path: url }),
          ),
        );
        assert.deepEqual(
          replies.map(({ body }) => body),
          urls.map((url) => `GET ${url}`),
        );
      }
      // Without keepAlive they live as long as requests wait for them: a round.
      assert.equal(agent.made.length, keepAlive ? 2 : 6);
      if (!keepAlive) await until(() => agent.made.every((made) => made.closed), 'all to close');
    });
  }

  test('does not keep the process waiting for an idle connection', async (t) => {
    const { path } = await serve(t, answer);
    const agent = new Agent(path, { keepAlive: true });
    await fetchText(undefined, { createConnection: undefined, agent });
    await until(() => Object.keys(agent.freeSockets).length === 1, 'the connection to be free');
    assert.equal(agent.made[0].hasRef(), false);
    const reply = fetchText(undefined, { createConnection: undefined, agent, path: '/again' });
    await until(() => agent.made[0].hasRef(), 'the connection to count again');
    assert.equal((await reply).body, 'GET /again');
    assert.equal(agent.made.length, 1);
    agent.destroy();
    await until(() => agent.made[0].closed, 'the connection to close');
  });

  test('fails where nobody listens', async (t) => {
    const { path, server } = await openServer(t);
    await new Promise((done) => server.close(done));
    const sent = http.get({ createConnection: () => new USocket({ path }) });
    const [error] = await nextEvent(sent, 'error');
    assert.equal(error.code, 'ENOENT');
  });

  test("fails with 'socket hang up' where the server closes without an answer", async (t) => {
    const { path } = await openServer(t, (socket) => socket.once('data', () => socket.destroy()));
    const sent = http.get({ createConnection: () => new USocket({ path }) });
    const [error] = await nextEvent(sent, 'error');
    assert.equal(error.code, 'ECONNRESET');
  });

  test('reads an answer that came before the server refused the rest', async (t) => {
    const { path } = await openServer(t, (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!');
        socket.destroySoon();
      });
    });
    const sent = http.request({ createConnection: () => new USocket({ path }), method: 'PUT' });
    sent.on('error', () => {});
    const replied = nextEvent(sent, 'response');
    const { stream } = traffic(8 * MB);
    stream.pipe(sent);
    const [response] = await replied;
    assert.equal(response.statusCode, 413);
    assert.equal(await within(text(response), 'the body'), 'no!');
    stream.destroy();
  });
});
