'use strict';

// Owns HTTP and HTTPS in every combination of ends: servers that listen themselves or by serve(), clients of net
// or of afunix. Each program runs with all of them, and sees what it sees with net at both ends.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { pipeline } = require('node:stream');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const tls = require('node:tls');
const { serve, USocket } = require('../../lib');
const unix = require('../../lib/net');
const { makeCertificate } = require('../helpers/certificate.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { turn } = require('../helpers/sockets.js');
const { MB, traffic } = require('../helpers/streams.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { until, within } = require('../helpers/wait.js');

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

/** One combination of ends, with `http` or `https`. */
class Ends {
  constructor(t, { server, client }, protocol, keys) {
    this.t = t;
    this.start = SERVERS[server];
    this.makeConnection = CLIENTS[client];
    this.protocol = protocol;
    this.keys = keys;
    this.path = temporaryPath(t);
    this.connections = 0;
  }

  /** Starts a server. */
  async serve(listener, options = {}) {
    const { protocol, keys, t } = this;
    const library = protocol === 'https' ? https : http;
    const web = library.createServer({ ...keys, ...options }, listener);
    web.on('connection', () => this.connections++);
    // What a client did that left is seen by what the program returns.
    web.on('clientError', (_error, socket) => socket.destroy());
    t.after(() => {
      web.close();
      web.closeAllConnections();
    });
    this.start(web, this.path);
    await once(web, 'listening');
    this.web = web;
    return web;
  }

  /** A connection to the server, for what is no request. */
  connect(options) {
    const socket = this.makeConnection({ path: this.path, ...options });
    if (this.protocol !== 'https') return cleanUp(this.t, socket);
    const { cert: ca } = this.keys;
    return cleanUp(this.t, tls.connect({ socket, ca, servername: 'localhost', ...options }));
  }

  /** An agent whose connections are of this kind. */
  agent(options) {
    const connect = (given) => this.connect(given.timeout ? { timeout: given.timeout } : {});
    const Agent = this.protocol === 'https' ? https.Agent : http.Agent;
    const agent = new Agent(options);
    agent.createConnection = connect;
    this.t.after(() => agent.destroy());
    return agent;
  }

  /** A request with its 'response', not ended. */
  request(options) {
    const library = this.protocol === 'https' ? https : http;
    const createConnection = ({ timeout }) => this.connect(timeout ? { timeout } : {});
    // An agent, also that of `agent: false`, makes its connections itself.
    const how = options?.agent ? {} : { createConnection };
    const request = library.request({ path: '/', ...how, ...options });
    // TLS over what is no net.Socket reports that the peer did not wait for the last of its own words.
    if (this.protocol === 'https') request.once('response', () => request.on('error', () => {}));
    return request;
  }

  /** A whole request: `{ status, body }`. */
  async fetch(options, body) {
    const request = this.request(options);
    request.end(body);
    const [response] = await once(request, 'response');
    return { status: response.statusCode, body: await text(response) };
  }
}

/** The digest of a stream. */
async function digestOf(stream) {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

/** Name → a program that gets ends, and returns what it saw. */
const PROGRAMS = {
  async 'methods, headers and trailers'(ends) {
    await ends.serve(async (request, response) => {
      const body = await text(request);
      response.writeHead(201, 'Made', { 'X-A': ['1', '2'], Trailer: 'X-End' });
      response.write(`${request.method} ${request.url} ${body} ${request.trailers['x-sum']}`);
      response.addTrailers({ 'X-End': 'yes' });
      response.end();
    });
    const request = ends.request({ method: 'POST', path: '/p', headers: { Trailer: 'X-Sum' } });
    request.write('some');
    request.addTrailers({ 'X-Sum': '4' });
    request.end();
    const [response] = await once(request, 'response');
    const body = await text(response);
    return [response.statusCode, response.statusMessage, body, response.trailers['x-end']];
  },

  async 'continue and information'(ends) {
    const web = await ends.serve();
    web.on('checkContinue', async (request, response) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      response.writeContinue();
      response.end(await text(request));
    });
    const seen = [];
    const request = ends.request({ method: 'PUT', headers: { Expect: '100-continue' } });
    request.on('information', ({ statusCode }) => seen.push(statusCode));
    request.flushHeaders();
    await once(request, 'continue');
    request.end('body');
    const [response] = await once(request, 'response');
    return [...seen, await text(response)];
  },

  async 'a large body up and down'(ends) {
    await ends.serve((request, response) => pipeline(request, response, () => {}));
    const { stream, hash } = traffic(8 * MB);
    const request = ends.request({ method: 'POST' });
    stream.pipe(request);
    const [response] = await once(request, 'response');
    return (await digestOf(response)) === hash;
  },

  async 'an answer before the body: 413'(ends) {
    await ends.serve((request, response) => {
      response.writeHead(413, { Connection: 'close' });
      response.end('too much');
    });
    const request = ends.request({ method: 'POST', headers: { 'Content-Length': 50 * MB } });
    request.on('error', () => {});
    const closed = new Promise((done) => request.once('close', done));
    request.write(Buffer.alloc(100_000));
    const [response] = await once(request, 'response');
    const seen = [response.statusCode, await text(response)];
    request.destroy();
    await closed;
    await until(() => ends.connections === 1, 'the connection');
    return seen;
  },

  async 'the client aborts a request, and an answer'(ends) {
    const seen = [];
    await ends.serve((request, response) => {
      if (request.url === '/answer') response.write('begin');
      request.on('aborted', () => {});
      response.on('close', () => seen.push([request.url, response.writableFinished]));
      request.on('error', ({ code }) => seen.push(code)).resume();
    });
    const upload = ends.request({ method: 'POST', path: '/upload' });
    upload.on('error', ({ code }) => seen.push(code));
    upload.write('part');
    await once(ends.web, 'request');
    upload.destroy();
    await until(() => seen.length >= 2, 'the end of the upload');
    await turn();
    const answer = ends.request({ path: '/answer' });
    answer.end();
    const [response] = await once(answer, 'response');
    response.on('error', ({ code }) => seen.push(code));
    await once(response, 'data');
    response.destroy();
    await until(() => seen.some(([url]) => url === '/answer'), 'the end of the answer');
    await turn();
    return seen.map(String).sort();
  },

  async 'the server destroys a request'(ends) {
    await ends.serve((request, response) => {
      if (request.url === '/late') response.write('begin', () => request.socket.destroy());
      else request.socket.destroy();
    });
    const codes = [];
    const early = ends.request();
    early.end();
    codes.push((await once(early, 'error'))[0]?.code ?? 'none');
    const late = ends.request({ path: '/late' });
    late.end();
    // Its error may come in the turn of its head.
    await new Promise((done, fail) => {
      late.on('error', fail).on('response', (response) => done(text(response)));
    }).catch(({ code }) => codes.push(code));
    return codes;
  },

  async 'time-outs of requests and of the server'(ends) {
    const web = await ends.serve((request, response) => {
      if (request.url === '/server') request.socket.setTimeout(10);
      else if (request.url === '/answer') response.setTimeout(10, () => response.end('in time'));
    });
    const seen = [];
    for (const options of [{}, { agent: ends.agent() }]) {
      const request = ends.request({ ...options, path: '/client' });
      request.setTimeout(10, () => request.destroy(new Error('timed out')));
      request.end();
      request.on('error', ({ message }) => seen.push(message));
      await new Promise((done) => request.once('close', done));
    }
    seen.push((await ends.fetch({ path: '/answer' })).body);
    web.on('timeout', (socket) => socket.end());
    const request = ends.request({ path: '/server' });
    request.end();
    seen.push(await once(request, 'response').catch(({ code }) => code));
    return seen;
  },

  async 'keep-alive: one connection, and its limits'(ends) {
    const web = await ends.serve((_request, response) => response.end('x'));
    web.maxRequestsPerSocket = 3;
    const agent = ends.agent({ keepAlive: true, maxSockets: 1 });
    const seen = [];
    for (let number = 0; number < 7; number++) {
      const request = ends.request({ agent });
      request.end();
      const [response] = await once(request, 'response');
      seen.push(response.headers.connection, request.reusedSocket);
      await text(response);
      await turn();
    }
    return [...seen, ends.connections];
  },

  async 'an agent with more requests than connections'(ends) {
    await ends.serve((request, response) => response.end(request.url));
    const agent = ends.agent({ keepAlive: true, maxSockets: 3, maxFreeSockets: 1 });
    const all = Array.from({ length: 20 }, (_value, at) => ends.fetch({ agent, path: `/${at}` }));
    const bodies = (await Promise.all(all)).map(({ body }) => body);
    await turn();
    return [bodies, ends.connections];
  },

  async 'an agent whose server is absent'(ends) {
    const agent = ends.agent({ keepAlive: true, maxSockets: 2 });
    const failed = Array.from({ length: 6 }, async () => {
      const request = ends.request({ agent });
      request.end();
      await once(request, 'response');
    });
    const results = await Promise.allSettled(failed);
    const codes = results.map(({ reason }) => reason.code);
    await ends.serve((request, response) => response.end('back'));
    return [codes, await ends.fetch({ agent })];
  },

  async 'an upgrade, to its half-closed end'(ends) {
    const web = await ends.serve();
    web.on('upgrade', (_request, socket, head) => {
      socket.write('HTTP/1.1 101 Over\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      if (head.length > 0) socket.unshift(head);
      const chunks = [];
      socket.on('data', (data) => chunks.push(data));
      socket.on('end', () => socket.end(Buffer.concat(chunks)));
    });
    const connect = () => ends.connect({ allowHalfOpen: true });
    const headers = { Connection: 'Upgrade', Upgrade: 'echo' };
    const request = ends.request({ headers, createConnection: connect });
    request.end();
    const [response, socket] = await once(request, 'upgrade');
    socket.write('one');
    await turn();
    socket.end('two');
    return [response.statusCode, await text(socket)];
  },

  async 'a tunnel by CONNECT'(ends) {
    const web = await ends.serve();
    web.on('connect', (_request, socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(socket);
    });
    const request = ends.request({ method: 'CONNECT', path: 'a:1' });
    request.end();
    const [, socket, head] = await once(request, 'connect');
    if (head.length > 0) socket.unshift(head);
    const { stream, hash } = traffic(2 * MB);
    stream.pipe(socket);
    return (await digestOf(socket)) === hash;
  },

  async 'pipelined requests in one piece'(ends) {
    await ends.serve((request, response) => setImmediate(() => response.end(request.url)));
    const socket = ends.connect();
    const one = (at, more = '') => `GET /${at} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
    socket.write([1, 2, 3].map((at) => one(at)).join('') + one(4, 'Connection: close\r\n'));
    return (await text(socket)).match(/\/\d/g);
  },

  async garbage(ends) {
    await ends.serve();
    ends.web.removeAllListeners('clientError');
    const socket = ends.connect();
    socket.write('no HTTP at all\r\n\r\n');
    return (await text(socket)).split('\r\n')[0];
  },
};

for (const protocol of ['http', 'https']) {
  describe(protocol, onLinux(), () => {
    for (const [name, program] of Object.entries(PROGRAMS)) {
      test(name, async (t) => {
        const keys = protocol === 'https' ? makeCertificate(t) : {};
        let expected;
        for (const combination of COMBINATIONS) {
          const ends = new Ends(t, combination, protocol, keys);
          const { server, client } = combination;
          const seen = await within(program(ends), `${client} to ${server}`);
          expected ??= seen;
          assert.deepEqual(seen, expected, `${client} to ${server}`);
        }
      });
    }
  });
}
