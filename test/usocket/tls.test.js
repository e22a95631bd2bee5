'use strict';

// Owns Node's TLS, HTTPS and HTTP/2 over UServer and USocket. For HTTP/1 see usocket-http.test.js.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const tls = require('node:tls');
const { UServer, USocket } = require('../../lib');
const { makeCertificate } = require('../helpers/certificate.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { skipUnless } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const {
  KB,
  MB,
  connect,
  digest,
  digestOf,
  openPair,
  openServer,
  textOf,
  traffic,
} = require('../helpers/streams.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

assertNoLeaks();

const LARGE = 20 * MB;
const VERSIONS = ['TLSv1.2', 'TLSv1.3'];

/** A UServer whose connections speak TLS: `{ path, keys, secured }`. */
async function serve(t, listener, options = {}) {
  const keys = makeCertificate(t);
  const secured = [];
  const { path, server } = await openServer(t, (socket) => {
    const secure = new tls.TLSSocket(socket, { isServer: true, ...keys, ...options });
    secured.push(secure);
    secure.on('error', () => {});
    listener(secure, socket);
  });
  return { path, keys, secured, server };
}

/** A TLS client over a USocket. */
function secureTo(t, path, { cert }, options = {}) {
  const socket = connect(t, path);
  const secure = tls.connect({ socket, ca: cert, servername: 'localhost', ...options });
  t.after(() => secure.destroy());
  return { socket, secure };
}

describe('TLS', skipUnless('openssl'), () => {
  for (const [what, listen] of Object.entries({
    net: (path, listener) => net.createServer(listener).listen(path),
    USocket: (path, listener) => new UServer(listener).listen(path),
  })) {
    test(`over ${what}: who has ended gets an answer to what is not read yet`, async (t) => {
      const keys = makeCertificate(t);
      const path = temporaryPath(t);
      let hasSent;
      const sent = new Promise((resolve) => (hasSent = resolve));
      const server = listen(path, async (socket) => {
        const secure = cleanUp(t, new tls.TLSSocket(socket, { isServer: true, ...keys }));
        await sent;
        // The question and the end are there.
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
        secure.write('answer');
        assert.equal(await textOf(secure), 'question');
        secure.end();
      });
      t.after(() => server.close());
      await nextEvent(server, 'listening');
      const client = tls.connect({ path, ca: keys.cert, servername: 'localhost' });
      cleanUp(t, client);
      await nextEvent(client, 'secureConnect');
      client.end('question', hasSent);
      assert.equal(await textOf(client), 'answer');
    });
  }

  for (const version of VERSIONS) {
    const versions = { minVersion: version, maxVersion: version };

    test(`${version}: shakes hands, echoes, and ends`, async (t) => {
      const { path, keys, secured } = await serve(t, (secure) => secure.pipe(secure), versions);
      const { secure, socket } = secureTo(t, path, keys);
      await nextEvent(secure, 'secureConnect');
      assert.equal(secure.authorized, true);
      assert.equal(secure.getProtocol(), version);
      secure.end('hello, quietly');
      assert.equal(await textOf(secure), 'hello, quietly');
      await until(() => secure.closed && socket.closed && secured[0].closed, 'everything to close');
    });

    test(`${version}: 20 MB each way`, async (t) => {
      const down = traffic(LARGE);
      let up;
      const { path, keys } = await serve(
        t,
        (secure) => {
          down.stream.pipe(secure);
          up = digestOf(secure);
        },
        versions,
      );
      const { secure } = secureTo(t, path, keys);
      const ours = traffic(LARGE);
      ours.stream.pipe(secure);
      const got = await digestOf(secure);
      assert.deepEqual(got, { hash: down.hash, length: LARGE });
      assert.deepEqual(await up, { hash: ours.hash, length: LARGE });
    });
  }

  test('on a socket that is connected already, and on the ends of a pair', async (t) => {
    const keys = makeCertificate(t);
    const [ours, theirs] = openPair(t);
    const server = new tls.TLSSocket(theirs, { isServer: true, ...keys });
    server.end('from the server');
    const client = tls.connect({ socket: ours, ca: keys.cert, servername: 'localhost' });
    client.end('from the client');
    const both = await Promise.all([textOf(server), textOf(client)]);
    assert.deepEqual(both, ['from the client', 'from the server']);
  });

  test('starts in the middle of a conversation', async (t) => {
    const keys = makeCertificate(t);
    const [ours, theirs] = openPair(t);
    theirs.once('data', (line) => {
      assert.equal(String(line), 'STARTTLS\n');
      theirs.write('GO AHEAD\n');
      const server = new tls.TLSSocket(theirs, { isServer: true, ...keys });
      server.pipe(server);
    });
    ours.write('STARTTLS\n');
    const [line] = await nextEvent(ours, 'data');
    assert.equal(String(line), 'GO AHEAD\n');
    const client = tls.connect({ socket: ours, ca: keys.cert, servername: 'localhost' });
    client.end('a secret');
    assert.equal(await textOf(client), 'a secret');
  });

  test('refuses a stranger, and says so to the client', async (t) => {
    const { path, secured } = await serve(t, () => {});
    const { secure, socket } = secureTo(t, path, {});
    const [error] = await nextEvent(secure, 'error');
    assert.equal(error.code, 'DEPTH_ZERO_SELF_SIGNED_CERT');
    await until(() => socket.closed && secured[0].closed, 'both to close');
  });

  test('fails where the other side does not speak it', async (t) => {
    const { path } = await openServer(t, (socket) => socket.end('plain text\r\n'));
    const { secure } = secureTo(t, path, {});
    const [error] = await nextEvent(secure, 'error');
    assert.equal(error.code, 'ERR_SSL_WRONG_VERSION_NUMBER');
  });

  test('fails where the other side goes away during the handshake', async (t) => {
    const { path } = await openServer(t, (socket) => socket.once('data', () => socket.destroy()));
    const { secure } = secureTo(t, path, {});
    const [error] = await nextEvent(secure, 'error');
    assert.equal(error.code, 'ECONNRESET');
  });

  test('closes the socket below when it is destroyed', async (t) => {
    const sockets = [];
    const { path, keys, secured } = await serve(t, (_secure, socket) => sockets.push(socket));
    const { secure, socket } = secureTo(t, path, keys);
    await nextEvent(secure, 'secureConnect');
    secure.destroy();
    await until(() => socket.closed && sockets[0].closed && secured[0].closed, 'all to close');
  });
});

describe('HTTPS', skipUnless('openssl'), () => {
  test('server and client, with keep-alive', async (t) => {
    const keys = makeCertificate(t);
    const web = https.createServer(keys, async (request, response) => {
      response.end(`${request.socket.encrypted} ${await text(request)}`);
    });
    // The server is one of TLS: its connections are those without.
    const { path } = await openServer(t, (socket) => web.emit('connection', socket));
    const made = [];
    class Agent extends https.Agent {
      createConnection(options, done) {
        made.push(new USocket({ path }));
        return super.createConnection({ ...options, socket: made.at(-1) }, done);
      }
    }
    const agent = new Agent({ keepAlive: true, ca: keys.cert });
    for (const body of ['one', 'two', 'three']) {
      const sent = https.request({ agent, host: 'localhost', method: 'POST' });
      sent.end(body);
      const [response] = await nextEvent(sent, 'response');
      assert.equal(await within(text(response), 'the body'), `true ${body}`);
    }
    assert.equal(made.length, 1);
    agent.destroy();
    await until(() => made[0].closed, 'the connection to close');
  });
});

/** A session over a USocket with a server behind a UServer: `{ client, sockets }`. */
async function openSession(t, web, authority, options = {}) {
  const sockets = [];
  const { path } = await openServer(t, (socket) => {
    sockets.push(socket);
    web.emit('connection', socket);
  });
  const client = http2.connect(authority, {
    ...options,
    createConnection: options.createConnection ?? (() => connect(t, path)),
  });
  t.after(() => client.destroy());
  return { client, path, sockets };
}

/** A request's answer: `{ status, body }`. */
async function ask(client, headers, body) {
  const stream = client.request(headers);
  stream.end(body);
  // Reads from the start. From Node 24 on, a stream over any socket but net's own is closed for one
  // who begins to read after 'response', if the whole answer came in one piece.
  const reading = within(text(stream), 'the body');
  const [[answer], got] = await Promise.all([nextEvent(stream, 'response'), reading]);
  return { status: answer[':status'], body: got };
}

/** Clients; a net.Socket is one whose failed writes tls and http2 look at themselves. */
const CLIENTS = {
  net: (t, path) => cleanUp(t, net.connect(path)),
  USocket: (t, path) => connect(t, path),
};

describe('HTTP/2', () => {
  test('many requests at once on one connection', async (t) => {
    const web = http2.createServer();
    web.on('stream', async (stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(`${headers[':path']} ${await text(stream)}`);
    });
    const { client, sockets } = await openSession(t, web, 'http://localhost');
    const numbers = Array.from({ length: 80 }, (_, number) => number);
    const bodyOf = (number) => `${number}`.repeat(number * 100 + 1);
    const answers = await Promise.all(
      numbers.map((number) =>
        ask(client, { ':path': `/${number}`, ':method': 'POST' }, bodyOf(number)),
      ),
    );
    assert.deepEqual(
      answers.map(({ body }) => body),
      numbers.map((number) => `/${number} ${bodyOf(number)}`),
    );
    assert.equal(sockets.length, 1);
    client.close();
    await nextEvent(client, 'close');
    await until(() => sockets[0].closed, "the server's connection to close");
  });

  test('20 MB each way in one stream', async (t) => {
    const down = traffic(LARGE);
    let up;
    const web = http2.createServer((request, response) => {
      up = digestOf(request);
      down.stream.pipe(response);
    });
    const { client } = await openSession(t, web, 'http://localhost');
    const ours = traffic(LARGE);
    const stream = client.request({ ':path': '/', ':method': 'PUT' });
    // No pipeline(): Node destroys a stream whose answer is read when its end is on its way, before
    // the connection has taken it. See the next test.
    ours.stream.pipe(stream);
    const got = await digestOf(stream);
    assert.deepEqual(got, { hash: down.hash, length: LARGE });
    assert.deepEqual(await up, { hash: ours.hash, length: LARGE });
  });

  for (const [name, open] of Object.entries(CLIENTS)) {
    test(`what is written last arrives, however the stream and the session close: ${name}`, async (t) => {
      const web = http2.createServer({ settings: { initialWindowSize: 2 * LARGE } });
      web.on('session', (session) => session.setLocalWindowSize(2 * LARGE));
      let up;
      web.on('stream', (stream) => {
        up = digestOf(stream);
        stream.respond();
        stream.end('answer');
      });
      const { path } = await openServer(t, (socket) => web.emit('connection', socket));
      // Stands between them, and reads nothing while the client says its last.
      const middle = temporaryPath(t);
      let front;
      const between = net.createServer((socket) => {
        front = cleanUp(t, socket);
        const back = cleanUp(t, net.connect(path));
        front.pipe(back).pipe(front);
      });
      t.after(() => between.close());
      await nextEvent(between.listen(middle), 'listening');
      const client = http2.connect('http://localhost', { createConnection: () => open(t, middle) });
      t.after(() => client.destroy());
      const stream = client.request({ ':path': '/', ':method': 'PUT' });
      // An iterator would destroy the stream.
      await digestOf(stream);
      front.pause();
      const last = randomBytes(5 * MB);
      stream.end(last);
      client.close();
      // Now the stream is destroyed, and nobody has read what it wrote.
      await new Promise((resolve) => setImmediate(resolve));
      front.resume();
      assert.deepEqual(await up, { hash: digest(last), length: 5 * MB });
      await until(() => client.destroyed, 'the session to end');
    });
  }

  test('over TLS', skipUnless('openssl'), async (t) => {
    const keys = makeCertificate(t);
    const web = http2.createSecureServer(keys, (request, response) => {
      response.end(`${request.socket.encrypted} ${request.url}`);
    });
    const { path } = await openServer(t, (socket) => web.emit('connection', socket));
    const client = http2.connect('https://localhost', {
      createConnection: () => secureTo(t, path, keys, { ALPNProtocols: ['h2'] }).secure,
    });
    t.after(() => client.destroy());
    const answer = await ask(client, { ':path': '/secret' });
    assert.deepEqual(answer, { status: 200, body: 'true /secret' });
    assert.equal(client.encrypted, true);
  });

  test('pings, and a stream that is reset', async (t) => {
    const web = http2.createServer();
    const codes = [];
    web.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.on('close', () => codes.push(stream.rstCode));
      stream.respond();
      stream.write(Buffer.alloc(100 * KB));
    });
    const { client } = await openSession(t, web, 'http://localhost');
    await within(
      new Promise((resolve, reject) => {
        client.ping((error) => (error ? reject(error) : resolve()));
      }),
      'the answer to a ping',
    );
    const stream = client.request({ ':path': '/' });
    await nextEvent(stream, 'response');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await until(() => codes.length === 1, 'the server to hear of it');
    assert.deepEqual(codes, [http2.constants.NGHTTP2_CANCEL]);
    assert.equal(client.destroyed, false);
  });

  test('a server that goes away ends the session', async (t) => {
    const web = http2.createServer(() => {});
    const { client, sockets } = await openSession(t, web, 'http://localhost');
    client.on('error', () => {});
    const stream = client.request({ ':path': '/' });
    stream.on('error', () => {});
    await until(() => sockets.length === 1 && sockets[0].bytesRead > 0, 'the request');
    sockets[0].destroy();
    await nextEvent(stream, 'close');
    await until(() => client.destroyed, 'the session to end');
  });
});

describe('farewells that find nobody are no errors', () => {
  for (const [name, open] of Object.entries(CLIENTS)) {
    test(`of TLS, by ${name}`, skipUnless('openssl'), async (t) => {
      const keys = makeCertificate(t);
      const server = tls.createServer(keys, (secure) => {
        secure.on('error', () => {});
        secure.end('answer', () => secure.destroy());
      });
      const path = temporaryPath(t);
      server.listen(path);
      t.after(() => server.close());
      await nextEvent(server, 'listening');
      const accepting = nextEvent(server, 'secureConnection');
      const options = { socket: open(t, path), ca: keys.cert, servername: 'localhost' };
      const secure = cleanUp(t, tls.connect(options));
      secure.on('error', (error) => assert.fail(error));
      const [accepted] = await accepting;
      await until(() => accepted.closed, 'the server to go');
      assert.equal(await textOf(secure), 'answer');
      await until(() => secure.closed, 'the client to close');
    });

    test(`of HTTP/2, by ${name}`, async (t) => {
      const sockets = [];
      const web = http2.createServer((_request, response) => response.end('answer'));
      web.on('session', (session) => session.on('error', () => {}));
      web.on('connection', (socket) => sockets.push(socket.on('error', () => {})));
      const path = temporaryPath(t);
      web.listen(path);
      t.after(() => web.close());
      await nextEvent(web, 'listening');
      const client = http2.connect('http://localhost', { createConnection: () => open(t, path) });
      t.after(() => client.destroy());
      client.on('error', (error) => assert.fail(error));
      assert.equal((await ask(client, { ':path': '/' })).body, 'answer');
      sockets[0].destroy();
      client.close();
      await until(() => client.destroyed, 'the session to end');
    });
  }

  test(
    'what the user of TLS writes is one, as with a net.Socket',
    skipUnless('openssl'),
    async (t) => {
      const keys = makeCertificate(t);
      const server = tls.createServer(keys, (secure) => secure.on('error', () => {}));
      const path = temporaryPath(t);
      server.listen(path);
      t.after(() => server.close());
      await nextEvent(server, 'listening');
      const seen = {};
      for (const [name, open] of Object.entries(CLIENTS)) {
        const accepting = nextEvent(server, 'secureConnection');
        const options = { socket: open(t, path), ca: keys.cert, servername: 'localhost' };
        const secure = cleanUp(t, tls.connect(options));
        const codes = (seen[name] = []);
        secure.on('error', ({ code }) => codes.push(`error ${code}`));
        const [[accepted]] = await Promise.all([accepting, nextEvent(secure, 'secureConnect')]);
        accepted.destroy();
        await until(() => accepted.closed, 'the server to go');
        secure.write('nobody reads this', (error) => codes.push(`callback ${error?.code}`));
        await until(() => secure.closed, 'the client to close');
      }
      assert.deepEqual(seen.USocket, seen.net);
    },
  );
});
