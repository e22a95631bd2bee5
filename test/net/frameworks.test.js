'use strict';

// Owns web frameworks on a path by serve(): Express, Koa and Fastify, from their start to their graceful end.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const { text } = require('node:stream/consumers');
const { test } = require('node:test');
const { serve } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { usePackages } = require('../helpers/npm.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

const frameworks = usePackages('express@5.1.0', 'fastify@5.6.2', 'koa@3.1.1');

/** The answer to a request that has a body. */
async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const request = http.request({ socketPath: path, method: 'POST', headers, path: '/echo' });
  request.end(JSON.stringify(body));
  const [response] = await once(request, 'response');
  return JSON.parse(await text(response));
}

/** Name → what serves with it: takes the path, returns `{ web, close }`. */
const APPS = {
  express(path) {
    const express = frameworks.require('express');
    const app = express();
    app.use(express.json());
    app.post('/echo', (request, response) => response.json(request.body));
    const web = serve(app, path);
    return { web, close: () => web.close() };
  },

  koa(path) {
    const Koa = frameworks.require('koa');
    const app = new Koa();
    app.use(async (context) => {
      context.body = JSON.parse(await text(context.req));
    });
    const web = serve(app.callback(), path);
    return { web, close: () => web.close() };
  },

  async fastify(path) {
    const app = frameworks.require('fastify')();
    app.post('/echo', async (request) => request.body);
    await app.ready();
    const web = serve(app.server, path);
    return {
      web,
      close() {
        web.close();
        return app.close();
      },
    };
  },
};

for (const [name, start] of Object.entries(APPS)) {
  test(name, frameworks.options, async (t) => {
    const path = temporaryPath(t);
    const { web, close } = await start(path);
    if (!web.listening) await once(web, 'listening');
    const bodies = Array.from({ length: 20 }, (_value, at) => ({ at }));
    assert.deepEqual(await Promise.all(bodies.map((body) => post(path, body))), bodies);
    const closed = once(web, 'close');
    await close();
    await within(closed, "'close'");
    assert.equal(fs.existsSync(path), false);
  });
}
