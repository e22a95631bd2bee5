'use strict';

// Owns serve(): web servers of Node on a Unix path do what they do when they listen themselves. Many programs run with
// server.listen() and with serve(), and see the same.

const assert = require('node:assert/strict');
const { EventEmitter, getEventListeners, once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const { serve, USocket } = require('../../lib');
const unix = require('../../lib/net');
const { makeCertificate } = require('../helpers/certificate.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, quiet } = require('../helpers/seqpacket.js');
const { turn } = require('../helpers/sockets.js');
const { abstractName, temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

/** How a web server comes to a path. */
const WAYS = {
  listen: (web, path, callback) => web.listen(path, callback),
  serve: (web, path, callback) => serve(web, path, callback),
};

/** A web server that is closed with its connections when the test ends. */
function closing(t, web) {
  t.after(() => {
    web.close();
    web.closeAllConnections?.();
  });
  return web;
}

/** How many connections a web server counts. */
const count = (web) => new Promise((done) => web.getConnections((_error, all) => done(all)));

/** An answer over a new connection: `{ status, body }`. */
async function get(path, options) {
  const request = http.get({ agent: false, socketPath: path, path: '/', ...options });
  const [response] = await once(request, 'response');
  return { status: response.statusCode, body: await text(response) };
}

const echo = (request, response) => response.end(`${request.method} ${request.url}`);

/** Name → a program that gets a way to listen, and returns what it saw. */
const PROGRAMS = {
  async 'listening, address() and close()'(t, start) {
    const path = temporaryPath(t);
    const web = http.createServer(echo);
    const seen = [];
    for (const event of ['listening', 'close', 'error']) web.on(event, () => seen.push(event));
    seen.push(web.listening, web.address());
    const returned = start(web, path, () => seen.push('callback'));
    seen.push(returned === web);
    await once(web, 'listening');
    seen.push(web.listening, web.address() === path, await get(path));
    const closed = new Promise((done) => web.close((error) => done(seen.push(`closed ${error}`))));
    seen.push(web.listening);
    await closed;
    await turn();
    seen.push(fs.existsSync(path));
    web.close((error) => seen.push(error.code));
    await once(web, 'close');
    start(web, path);
    await once(web, 'listening');
    seen.push(await get(path, { path: '/again' }));
    await web[Symbol.asyncDispose]();
    return [...seen, web.listening];
  },

  async 'close() ends idle connections and waits for the others'(t, start) {
    const path = temporaryPath(t);
    const answers = [];
    const web = closing(
      t,
      http.createServer((request, response) => {
        if (request.url === '/wait') answers.push(response);
        else response.end();
      }),
    );
    start(web, path);
    await once(web, 'listening');
    const idle = cleanUp(t, unix.connect(path));
    idle.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(idle, 'data');
    const waiting = get(path, { path: '/wait' });
    await until(() => answers.length === 1, 'the request');
    const seen = [await count(web)];
    web.close(() => seen.push('closed'));
    web.close((error) => seen.push(error?.code));
    await once(idle.resume(), 'close');
    // The other end closes in the same turn.
    await turn();
    seen.push(await count(web), web.listening);
    answers[0].end('late');
    const last = await waiting;
    await until(() => seen.includes('closed'), 'the end of the server');
    return [...seen, last];
  },

  async 'closeIdleConnections, closeAllConnections and ref'(t, start) {
    const path = temporaryPath(t);
    const web = closing(
      t,
      http.createServer(() => {}),
    );
    start(web, path);
    await once(web, 'listening');
    const seen = [web.unref() === web, web.ref() === web];
    const busy = cleanUp(t, unix.connect(path));
    busy.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(web, 'request');
    web.closeIdleConnections();
    await turn();
    seen.push(busy.destroyed);
    web.closeAllConnections();
    busy.on('error', () => {}).resume();
    await once(busy, 'close');
    return seen;
  },

  async maxConnections(t, start) {
    const path = temporaryPath(t);
    const web = closing(t, http.createServer(echo));
    web.maxConnections = 1;
    start(web, path);
    await once(web, 'listening');
    const first = cleanUp(t, unix.connect(path));
    await once(web, 'connection');
    const dropped = once(web, 'drop');
    const second = cleanUp(t, unix.connect(path)).on('error', () => {});
    await Promise.all([dropped, once(second.resume(), 'close')]);
    const seen = [first.destroyed];
    first.destroy();
    while ((await count(web)) > 0) await turn();
    return [...seen, await get(path)];
  },

  async errors(t, start) {
    const path = temporaryPath(t);
    const web = closing(t, http.createServer(echo));
    start(web, path);
    await once(web, 'listening');
    const other = closing(t, http.createServer(echo));
    start(other, path);
    const [error] = await once(other, 'error');
    const { code, errno, syscall, port, message } = error;
    const seen = [code, errno, syscall, port, message.replace(path, 'PATH'), other.listening];
    const next = temporaryPath(t);
    start(other, next);
    await once(other, 'listening');
    for (const again of [() => start(web, next), () => web.listen(next)]) {
      try {
        again();
      } catch ({ code: thrown }) {
        seen.push(thrown);
      }
    }
    return [...seen, await get(next)];
  },

  async 'listening again while a connection of before is open'(t, start) {
    const [path, next] = [temporaryPath(t), temporaryPath(t)];
    const web = closing(t, http.createServer(echo));
    start(web, path);
    await once(web, 'listening');
    const connected = once(web, 'connection');
    const client = cleanUp(t, unix.connect(path)).resume();
    client.write('GET / HTTP/1.1\r\nHos');
    const [connection] = await connected;
    await until(() => connection.bytesRead > 0, 'half of a request');
    const seen = [];
    web.on('close', () => seen.push('close'));
    web.close();
    start(web, '/dev/null/none');
    seen.push((await once(web, 'error'))[0].code);
    start(web, next);
    await once(web, 'listening');
    client.write('t: a\r\nConnection: close\r\n\r\n');
    await once(connection, 'close');
    seen.push(await get(next));
    web.close();
    await until(() => seen.includes('close'), "'close'");
    return seen;
  },

  async 'time-outs of headers and of idle connections'(t, start) {
    const path = temporaryPath(t);
    const options = { connectionsCheckingInterval: 10, headersTimeout: 20, requestTimeout: 20 };
    const web = closing(t, http.createServer({ ...options, keepAliveTimeout: 20 }, echo));
    start(web, path);
    await once(web, 'listening');
    const slow = cleanUp(t, unix.connect(path));
    slow.write('GET / HTTP/1.1\r\nHos');
    const late = String((await once(slow, 'data'))[0]).split('\r\n')[0];
    const kept = cleanUp(t, unix.connect(path)).resume();
    kept.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(kept, 'close');
    return [late, kept.bytesRead > 50];
  },

  async 'a tunnel whose client half-closes'(t, start) {
    const origin = unix.createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume().on('end', () => setImmediate(() => socket.end(Buffer.alloc(500_000))));
    });
    const name = abstractName();
    t.after(() => origin.close());
    origin.listen(name);
    const path = temporaryPath(t);
    const web = closing(t, http.createServer());
    web.on('connect', (_request, socket, head) => {
      const onward = unix.connect({ path: name, allowHalfOpen: true });
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    start(web, path);
    await once(web, 'listening');
    const connect = () => unix.connect({ path, allowHalfOpen: true });
    const request = http.request({ method: 'CONNECT', path: 'a:1', createConnection: connect });
    request.end();
    const [, socket] = await once(request, 'connect');
    socket.end(Buffer.alloc(100_000));
    let length = 0;
    socket.on('data', (data) => (length += data.length));
    await once(socket, 'end');
    return length;
  },

  async 'an upgrade whose client half-closes'(t, start) {
    const path = temporaryPath(t);
    const web = closing(t, http.createServer());
    web.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Over\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      const chunks = [];
      socket.on('data', (data) => chunks.push(data));
      socket.on('end', () => setImmediate(() => socket.end(Buffer.concat(chunks))));
    });
    start(web, path);
    await once(web, 'listening');
    const headers = { Connection: 'Upgrade', Upgrade: 'echo' };
    const connect = () => unix.connect({ path, allowHalfOpen: true });
    const request = http.get({ headers, createConnection: connect });
    const [, socket] = await once(request, 'upgrade');
    socket.end('to the end');
    return text(socket);
  },

  async 'vanishing clients leave nothing'(t, start) {
    const path = temporaryPath(t);
    const web = closing(
      t,
      http.createServer((request, response) => {
        if (request.url !== '/hang') response.end('ok');
      }),
    );
    start(web, path);
    await once(web, 'listening');
    const head = ' HTTP/1.1\r\nHost: a\r\n';
    for (const sent of ['', 'GET / HT', `GET /${head}\r\n`, `GET /hang${head}\r\n`]) {
      for (const how of ['end', 'destroy']) {
        const client = cleanUp(t, unix.connect(path));
        await Promise.all([once(client, 'connect'), once(web, 'connection')]);
        client.write(sent);
        await turn();
        client.on('error', () => {}).resume();
        if (how === 'end') client.end();
        else client.destroy();
        if (how === 'end' && sent.includes('hang')) client.destroySoon();
        else await once(client, 'close');
      }
    }
    await within(
      (async () => {
        while ((await count(web)) > 0) await turn();
      })(),
      'all connections to end',
    );
    return count(web);
  },

  async 'a signal'(t, start) {
    if (start === WAYS.listen) start = (web, options) => web.listen(options);
    const path = temporaryPath(t);
    const controller = new AbortController();
    const web = closing(t, http.createServer(echo));
    let listened = 0;
    web.on('listening', () => listened++);
    start(web, { path, signal: controller.signal });
    await once(web, 'listening');
    web.close();
    await once(web, 'close');
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    start(web, { path, signal: controller.signal });
    await once(web, 'listening');
    controller.abort();
    await once(web, 'close');
    const seen = [web.listening, fs.existsSync(path)];
    start(web, { path, signal: controller.signal });
    await once(web, 'close');
    await quiet();
    return [...seen, web.listening, listened];
  },
};

describe('the same as listen()', onLinux(), () => {
  for (const [name, program] of Object.entries(PROGRAMS)) {
    test(name, async (t) => {
      const expected = await within(program(t, WAYS.listen), 'the program with listen()');
      assert.deepEqual(await within(program(t, WAYS.serve), 'the program with serve()'), expected);
    });
  }
});

describe('serve()', onLinux(), () => {
  test('takes what an http.Server is made with, and returns that', async (t) => {
    const path = temporaryPath(t);
    const web = closing(t, serve(echo, path));
    assert.ok(web instanceof http.Server);
    await once(web, 'listening');
    assert.deepEqual(await get(path, { path: '/app' }), { status: 200, body: 'GET /app' });
  });

  test('refuses what is no server', () => {
    const emitter = new EventEmitter();
    for (const server of [undefined, null, {}, 'server', new EventTarget(), emitter]) {
      assert.throws(() => serve(server, '/path'), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    const web = http.createServer();
    assert.throws(() => serve(web, 5), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => serve(web, { path: '/path', allow: 5 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => serve(web, '/path', 5), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.deepEqual(
      Object.keys(web).filter((name) => name === 'close'),
      [],
    );
    assert.equal(Object.hasOwn(web, 'listening'), false);
  });

  test('lets in whom `allow` lets in, sets the mode, shows credentials', async (t) => {
    const path = temporaryPath(t);
    const asked = [];
    const allow = (peer) => asked.push(peer) !== 2;
    const who = (request, response) => response.end(`${request.socket.peerCredentials.pid}`);
    const web = closing(t, serve(who, { path, mode: 0o600, allow }));
    await once(web, 'listening');
    assert.equal(fs.statSync(path).mode & 0o777, 0o600);
    assert.equal((await get(path)).body, `${process.pid}`);
    const dropped = once(web, 'drop');
    await assert.rejects(get(path), { code: /ECONNRESET|EPIPE/ });
    assert.equal((await dropped)[0].reason, 'allow');
    assert.deepEqual(asked[0], { pid: process.pid, uid: process.getuid(), gid: process.getgid() });
  });

  for (const isReferenced of [true, false]) {
    const what = isReferenced ? 'keeps the process' : 'does not keep the process after unref()';
    test(`what listens ${what}`, async (t) => {
      const body = async ({ serve: begin }, at, keeps) => {
        const web = begin(() => {}, at);
        await require('node:events').once(web, 'listening');
        if (!keeps) web.unref();
        let turns = 0;
        const timer = setInterval(() => {
          if (++turns < 5) return;
          console.log(JSON.stringify('alive'));
          process.exit();
        }, 10);
        timer.unref();
        process.once('beforeExit', () => console.log(JSON.stringify('beforeExit')));
      };
      const seen = await runScript(t, body, [temporaryPath(t), isReferenced]);
      assert.equal(seen, isReferenced ? 'alive' : 'beforeExit');
    });
  }

  test('receives no descriptors', async (t) => {
    const path = temporaryPath(t);
    const web = closing(
      t,
      serve((request, response) => response.end(), path),
    );
    const client = cleanUp(t, new USocket(path));
    const [socket] = await once(web, 'connection');
    socket.on('fds', () => assert.fail('descriptors'));
    client.write({ data: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', fds: [0, 1, 2] });
    await once(client, 'data');
  });

  test('a server that listens at a port too keeps that', async (t) => {
    const path = temporaryPath(t);
    const web = closing(t, serve(echo, path));
    await once(web, 'listening');
    web.close();
    assert.equal(web.address(), path);
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    assert.equal(typeof web.address().port, 'number');
    const reply = await get(undefined, { socketPath: undefined, port: web.address().port });
    assert.equal(reply.status, 200);
  });

  test('a connection that is left of a port counts', async (t) => {
    const path = temporaryPath(t);
    const web = closing(t, http.createServer());
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const request = http.get({ agent: false, port: web.address().port }).on('error', () => {});
    await once(web, 'request');
    web.close();
    serve(web, path);
    const client = cleanUp(t, unix.connect(path));
    await Promise.all([once(web, 'connection'), once(client, 'connect')]);
    assert.equal(await count(web), 2);
    request.destroy();
  });

  for (const [name, make, get_] of [
    ['https', (key, listener) => https.createServer(key, listener), overHttps],
    ['http2', (_key, listener) => http2.createServer(listener), overHttp2],
    ['http2 over TLS', (key, listener) => http2.createSecureServer(key, listener), overHttp2Tls],
  ]) {
    test(`serves ${name}`, async (t) => {
      const { key, cert } = makeCertificate(t);
      const path = temporaryPath(t);
      const web = closing(t, make({ key, cert }, echo));
      serve(web, path);
      await once(web, 'listening');
      assert.equal(await get_(t, path, cert), 'GET /secret');
      const closed = once(web, 'close');
      web.close();
      await within(closed, "'close'");
      assert.equal(fs.existsSync(path), false);
    });
  }
});

async function overHttps(t, path, ca) {
  const request = https.get({
    agent: false,
    socketPath: path,
    path: '/secret',
    servername: 'localhost',
    ca,
  });
  const [response] = await once(request, 'response');
  return text(response);
}

async function overHttp2(t, path, ca, scheme = 'http') {
  const createConnection = () => unix.connect(path);
  const session =
    scheme === 'http'
      ? http2.connect('http://localhost', { createConnection })
      : http2.connect('https://localhost', { path, ca, socket: unix.connect(path) });
  t.after(() => session.destroy());
  const stream = session.request({ ':path': '/secret' });
  const body = await text(stream);
  session.close();
  return body;
}

function overHttp2Tls(t, path, ca) {
  return overHttp2(t, path, ca, 'https');
}

test('an unref() that came first counts', onLinux(), async (t) => {
  await runScript(
    t,
    (afunix, path) => {
      const web = require('node:http').createServer().unref();
      afunix.serve(web, path, () => console.log('true'));
    },
    [temporaryPath(t)],
  );
});

test(
  'what others have put in the place of a member stays when the server closes',
  onLinux(),
  async (t) => {
    const web = http.createServer();
    serve(web, temporaryPath(t));
    const address = () => 'theirs';
    web.address = address;
    Object.defineProperty(web, 'listening', { get: () => 'theirs', configurable: true });
    await new Promise((done) => web.close(done));
    assert.deepEqual([web.listening, web.address], ['theirs', address]);
    // The rest is its own again.
    assert.deepEqual(Object.keys(Object.getOwnPropertyDescriptors(web)).includes('close'), false);
  },
);
