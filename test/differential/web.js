'use strict';

// Owns steps with HTTP: requests over sockets under test, or a web server on a server under test. What node:http makes
// of a socket's events is what most users see of them.

const http = require('node:http');
const { codeOf } = require('./trace.js');
const { bytesFor } = require('./payload.js');

/** What the web server does with a request, by its path. */
const ANSWERS = {
  '/small'(request, response) {
    request.resume();
    response.end('small');
  },
  '/big'(request, response) {
    request.resume();
    response.end(bytesFor(1, 200_000));
  },
  '/echo': (request, response) => void request.pipe(response),
  /** Answers before the body has come, and closes. */
  '/early'(request, response) {
    response.setHeader('Connection', 'close');
    response.end('early');
  },
  /** As above, and reads the rest. */
  '/read'(request, response) {
    request.resume();
    response.setHeader('Connection', 'close');
    response.end('read');
  },
  '/never': (request) => void request.resume(),
  '/cut': (request) => request.socket.destroy(),
  '/half'(request, response) {
    response.writeHead(200, { 'Content-Length': 1000 });
    response.write('half', () => request.socket.destroy());
  },
};

/** Records all events of an emitter that are named. */
function record(run, who, emitter, names) {
  for (const name of names) {
    emitter.on(name, (error) => {
      run.trace.add(who, name, name === 'error' ? { code: codeOf(error) } : undefined);
    });
  }
}

/** Steps; the step's `who` names a request. */
const WEB = {
  webListen(run) {
    if (run.web !== undefined) return;
    const web = http.createServer((request, response) => {
      const who = `web ${request.headers.id}`;
      run.trace.add(who, 'request');
      record(run, who, request, ['end', 'aborted', 'error', 'close']);
      record(run, `${who} answer`, response, ['finish', 'error', 'close']);
      request.on('data', (chunk) => run.trace.addBytes(who, chunk));
      // Reading is up to the answers.
      request.pause();
      ANSWERS[request.url](request, response);
    });
    web.on('clientError', (error, socket) => {
      run.trace.add('web', 'clientError', { code: codeOf(error) });
      socket.destroy();
    });
    const server = new run.server.Server({ allowHalfOpen: true, highWaterMark: 65536 });
    server.on('connection', (socket) => web.emit('connection', socket));
    server.listen(run.pathOf('server'));
    run.web = { web, server };
  },
  request(run, step) {
    const { who, url, size, read } = step;
    const connect = (path) => {
      const socket = new run.client.Socket({ highWaterMark: 65536 });
      return socket.connect(run.pathOf(path));
    };
    if (run.agent === undefined) {
      run.agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
      run.agent.createConnection = () => connect('server');
    }
    const request = http.request({
      path: url,
      method: 'POST',
      headers: { id: who, ...(size > 0 && { 'Content-Length': size }) },
      agent: step.agent ? run.agent : undefined,
      createConnection: () => connect(step.nobody ? 'nobody' : 'server'),
    });
    run.requests.set(who, request);
    // When the last bytes of a body have gone is a matter of what the kernel holds.
    record(run, who, request, ['error', 'close']);
    request.on('response', (response) => {
      run.trace.add(who, 'response', { value: response.statusCode });
      run.responses.set(who, response);
      record(run, `${who} answer`, response, ['end', 'aborted', 'error', 'close']);
      if (read !== 'never') {
        response.on('data', (chunk) => run.trace.addBytes(`${who} answer`, chunk));
      }
      if (read === 'cut') response.once('data', () => request.destroy());
    });
    if (size > 0) request.write(bytesFor(2, size));
    if (!step.open) request.end();
  },
  requestEnd: (run, { who }) => void run.requests.get(who)?.end(),
  requestDestroy(run, { who, error }) {
    run.requests
      .get(who)
      ?.destroy(error ? Object.assign(new Error(), { code: 'EMINE' }) : undefined);
  },
  responseRead: (run, { who }) => void run.responses.get(who)?.resume(),
};

/** Ends what a run has left. */
function closeWeb(run) {
  run.agent?.destroy();
  for (const request of run.requests.values()) request.destroy();
  run.web?.web.closeAllConnections();
  run.web?.server.close();
}

module.exports = { ANSWERS, WEB, closeWeb };
