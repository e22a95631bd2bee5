'use strict';

// Owns the members that serve() lends a web server: what others make of them meanwhile, and what they do when it does not
// listen.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { describe, test } = require('node:test');
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
