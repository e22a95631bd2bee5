'use strict';

// Owns HTTP/2 in every combination of ends, as web.test.js owns HTTP, and clients that are not Node's own: undici, web
// streams.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const http = require('node:http');
const http2 = require('node:http2');
const net = require('node:net');
const { Duplex } = require('node:stream');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const tls = require('node:tls');
const { serve, USocket } = require('../../lib');
const unix = require('../../lib/net');
const { makeCertificate } = require('../helpers/certificate.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { usePackages } = require('../helpers/npm.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { MB, traffic } = require('../helpers/streams.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

const CLIENTS = {
  net: (options) => net.connect(options),
  'afunix/net': (options) => unix.connect(options),
  USocket: ({ path, ...options }) => new USocket(options).connect(path),
};
const SERVERS = {
  net: (web, path) => web.listen(path),
  serve: (web, path) => serve(web, path),
};
const COMBINATIONS = Object.keys(SERVERS).flatMap((server) =>
  Object.keys(CLIENTS).map((client) => ({ server, client })),
);

/** The digest of a stream. */
async function digestOf(stream) {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

/** HTTP/2 programs: get a session's server and the session. */
const SESSIONS = {
  async 'many streams, trailers and a large body'({ web, session }) {
    web.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': headers[':path'] }));
      stream.pipe(stream);
    });
    const one = async (at) => {
      const { stream, hash } = traffic(MB);
      const request = session.request({ ':method': 'POST', ':path': `/${at}` });
      const trailers = once(request, 'trailers');
      stream.pipe(request);
      const same = (await digestOf(request)) === hash;
      return [same, (await trailers)[0]['x-end']];
    };
    return Promise.all([1, 2, 3, 4].map(one));
  },

  async 'streams that are closed, pings, goaway'({ web, session }) {
    web.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      if (headers[':path'] === '/close') stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
      else stream.respond();
    });
    const closed = session.request({ ':path': '/close' });
    const [{ code }] = await once(closed, 'error');
    const ping = new Promise((done) => session.ping((error) => done(error)));
    const seen = [code, await ping];
    const [server] = [...web.sessions];
    session.on('goaway', (reason) => seen.push(reason));
    session.on('error', ({ code: why }) => seen.push(why));
    server.goaway(2);
    await new Promise((done) => session.once('close', done));
    return seen;
  },

  async 'the socket vanishes'({ web, session, sockets }) {
    web.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.respond();
      stream.write('begin');
    });
    const request = session.request({ ':path': '/' });
    await once(
      request.on('error', () => {}),
      'data',
    );
    sockets[0].destroy();
    await Promise.all([once(session, 'close'), once(request, 'close')]);
    return [request.destroyed, session.destroyed];
  },

  async 'close() of the server with an idle session'({ web, session }) {
    web.on('stream', (stream) => {
      stream.respond();
      stream.end('x');
    });
    const body = await text(session.request({ ':path': '/' }));
    const closed = once(web, 'close');
    web.close();
    session.close();
    await closed;
    return [body, web.listening];
  },
};

for (const isSecure of [false, true]) {
  describe(isSecure ? 'http2 over TLS' : 'http2', onLinux(), () => {
    for (const [name, program] of Object.entries(SESSIONS)) {
      test(name, async (t) => {
        const keys = makeCertificate(t);
        let expected;
        for (const { server, client } of COMBINATIONS) {
          const path = temporaryPath(t);
          const web = isSecure ? http2.createSecureServer(keys) : http2.createServer();
          web.on('sessionError', () => {});
          web.sessions = new Set();
          web.on('session', (one) => web.sessions.add(one));
          // Node 24 leaves the socket below a session over TLS open, over net too.
          const accepted = new Set();
          web.on('connection', (one) => accepted.add(one));
          t.after(() => {
            web.close();
            for (const one of [...web.sessions, ...accepted]) one.destroy();
          });
          SERVERS[server](web, path);
          await once(web, 'listening');
          const socket = cleanUp(t, CLIENTS[client]({ path }));
          const { cert: ca } = keys;
          const createConnection = () =>
            isSecure
              ? tls.connect({ socket, ca, servername: 'localhost', ALPNProtocols: ['h2'] })
              : socket;
          const origin = `${isSecure ? 'https' : 'http'}://localhost`;
          const session = http2.connect(origin, { createConnection });
          session.on('error', () => {});
          t.after(() => session.destroy());
          const given = { web, session, sockets: [socket] };
          const seen = await within(program(given), `${client} to ${server}`);
          expected ??= seen;
          assert.deepEqual(seen, expected, `${client} to ${server}`);
        }
      });
    }
  });
}

describe('other clients', onLinux(), () => {
  const { options, require: load } = usePackages('undici@7.30.2');

  test('undici, by socketPath and by a connection of afunix', options, async (t) => {
    const { Agent, Pool, request } = load('undici');
    const path = temporaryPath(t);
    const web = http.createServer(async (asked, response) => response.end(await text(asked)));
    t.after(() => {
      web.close();
      web.closeAllConnections();
    });
    serve(web, path);
    await once(web, 'listening');
    const connect = (_options, done) => {
      const socket = unix.connect(path);
      socket.once('error', done);
      socket.once('connect', () => {
        socket.off('error', done);
        done(null, socket);
      });
    };
    const ways = [
      new Agent({ connect: { socketPath: path } }),
      new Agent({ connect }),
      new Pool('http://localhost', { connect, connections: 2, pipelining: 4 }),
    ];
    for (const dispatcher of ways) {
      t.after(() => dispatcher.destroy());
      const one = async (at) => {
        const given = { dispatcher, method: 'POST', body: `${at}` };
        const { body } = await request('http://localhost/', given);
        return body.text();
      };
      const numbers = Array.from({ length: 20 }, (_value, at) => at);
      assert.deepEqual(await Promise.all(numbers.map(one)), numbers.map(String));
    }
  });

  test('fetch of web streams over Duplex.toWeb', async (t) => {
    const path = temporaryPath(t);
    const server = unix.createServer((socket) => socket.pipe(socket)).listen(path);
    t.after(() => server.close());
    await once(server, 'listening');
    const { readable, writable } = Duplex.toWeb(cleanUp(t, unix.connect(path)));
    const writer = writable.getWriter();
    await writer.write(Buffer.from('through'));
    await writer.close();
    const chunks = [];
    for await (const chunk of readable) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), 'through');
  });
});
