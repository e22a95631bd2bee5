'use strict';

// Owns the members that serve() lends a web server: what others make of them meanwhile, and what they do when it does not
// listen.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { serve } = require('../../lib');
const unix = require('../../lib/net');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp } = require('../helpers/seqpacket.js');
const { temporaryPath } = require('../helpers/tmp.js');
const { within } = require('../helpers/wait.js');

assertNoLeaks();

describe('a web server of serve()', onLinux(), () => {
  test("emits 'close' through an emit() that others have wrapped while it was served", async (t) => {
    const web = serve(http.createServer(), temporaryPath(t));
    await once(web, 'listening');
    const names = [];
    const { emit } = web;
    web.emit = function (name, ...values) {
      names.push(name);
      return emit.call(this, name, ...values);
    };
    const closed = once(web, 'close');
    web.close();
    await within(closed, "'close'");
    assert.ok(names.includes('close'), names.join());
  });

  test("closes a connection of which no net.Socket can be made, which is its 'error'", async (t) => {
    const path = temporaryPath(t);
    const web = serve(http.createServer(), path);
    await once(web, 'listening');
    const { Socket } = net;
    t.after(() => (net.Socket = Socket));
    const failure = new Error('none can be made');
    net.Socket = class {
      constructor() {
        throw failure;
      }
    };
    const failed = once(web, 'error');
    const client = cleanUp(t, unix.connect(path));
    client.on('error', () => {});
    const closed = once(client.resume(), 'close');
    const [error] = await within(failed, "'error'");
    assert.equal(error, failure);
    await within(closed, 'the end of the connection');
    await web[Symbol.asyncDispose]();
  });

  test('counts each connection once for maxConnections', async (t) => {
    const web = net.createServer((socket) => cleanUp(t, socket).end('served'));
    t.after(() => web.close());
    web.maxConnections = 3;
    serve(web, temporaryPath(t));
    await once(web, 'listening');
    const dropped = [];
    web.on('drop', () => dropped.push('drop'));
    const clients = Array.from({ length: 3 }, () => cleanUp(t, net.connect(web.address())));
    await Promise.all(clients.map((client) => once(client, 'data')));
    assert.deepEqual(dropped, []);
  });

  test('has no limit where maxConnections is null, as in net', async (t) => {
    const servers = [
      (listener) => net.createServer(listener).listen(temporaryPath(t)),
      (listener) => serve(net.createServer(listener), temporaryPath(t)),
    ];
    for (const start of servers) {
      const web = start((socket) => cleanUp(t, socket).end('served'));
      t.after(() => web.close());
      web.maxConnections = null;
      await once(web, 'listening');
      const client = cleanUp(t, net.connect(web.address()));
      await within(once(client, 'data'), 'what is served');
    }
  });

  test('counts connections of before it was closed for maxConnections', async (t) => {
    const [first, second] = [temporaryPath(t), temporaryPath(t)];
    const web = http.createServer();
    const requested = once(serve(web, first), 'request');
    await once(web, 'listening');
    http.get({ socketPath: first }).on('error', () => {});
    const [, response] = await within(requested, 'the request');
    web.close();
    serve(web, second);
    await once(web, 'listening');
    web.maxConnections = 1;
    const dropped = once(web, 'drop');
    const client = cleanUp(t, net.connect(second)).on('error', () => {});
    await within(dropped, "'drop'");
    await within(once(client.resume(), 'close'), 'its end');
    web.maxConnections = 2;
    const answered = once(web, 'request');
    http.get({ socketPath: second }).on('error', () => {});
    const [, other] = await within(answered, 'another request');
    for (const each of [response, other]) each.socket.destroy();
    const closed = once(web, 'close');
    web.close();
    await within(closed, "'close'");
  });

  test('has the address at which it listened last, as in net', async (t) => {
    const path = temporaryPath(t);
    for (const given of [path, Buffer.from(path), pathToFileURL(path), { path }]) {
      const web = serve(http.createServer(), given);
      await once(web, 'listening');
      const closed = once(web, 'close');
      web.close();
      assert.equal(web.address(), path);
      await within(closed, "'close'");
      assert.equal(web.address(), path);
    }
  });

  test('has a name that the kernel chooses where it is given none', async () => {
    for (const given of [null, { path: null }, {}]) {
      const web = serve(http.createServer(), given);
      await once(web, 'listening');
      assert.match(web.address(), /^\0[0-9a-f]{5}$/);
      const closed = once(web, 'close');
      web.close();
      await within(closed, "'close'");
    }
  });

  test('is disposed of once, and where it has closed already', async (t) => {
    const web = serve(http.createServer(), temporaryPath(t));
    await once(web, 'listening');
    const dispose = web[Symbol.asyncDispose];
    await dispose.call(web);
    assert.equal(web.listening, false);
    // As in net, where that is no error.
    await dispose.call(web);
  });
});
