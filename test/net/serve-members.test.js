'use strict';

// Owns the members that serve() lends a web server: what others make of them meanwhile, and what they do when it does not
// listen.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { describe, test } = require('node:test');
const { serve } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');
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
