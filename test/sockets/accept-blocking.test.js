'use strict';

// Owns listeners whose O_NONBLOCK somebody else clears: the flag belongs to the open file, which a
// child has as its stdio, or a stranger who passed the listener. No accept may wait for all that.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux } = require('../helpers/programs.js');
const { abstractName } = require('../helpers/tmp.js');

assertNoLeaks();

const O_NONBLOCK = 0o4000;

/** Serves two clients, one before and one after a child has cleared the flag of the listener. */
async function serve(afunix, kind, name) {
  const { spawn } = require('node:child_process');
  const { once } = require('node:events');
  const Server = afunix[`${kind}Server`];
  const Socket = afunix[`${kind}Socket`];
  const server = new Server();
  server.on('connection', (socket) => socket.end('served'));
  server.listen(name);
  if (!server.listening) await once(server, 'listening');
  const flags = [];
  for (const clears of [true, false]) {
    if (clears) {
      // Node makes the stdio of its children blocking.
      await once(spawn('true', { stdio: [server.fd, 'ignore', 'ignore'] }), 'exit');
    }
    flags.push(require('node:fs').readFileSync(`/proc/self/fdinfo/${server.fd}`, 'utf8'));
    const client = new Socket().connect(name).resume();
    const [data] = await once(client, 'data');
    if (String(data) !== 'served') throw new Error(`got ${data}`);
    client.destroy();
  }
  // The loop still turns after the accept that found nothing.
  await new Promise((resolve) => setTimeout(resolve, 1));
  server.close();
  console.log(JSON.stringify(flags));
}

describe('a listener that is made blocking', onLinux({}), () => {
  for (const kind of ['U', 'Seqpacket']) {
    test(`accepts on, and stops no loop: ${kind}Server`, async (t) => {
      const flags = await runScript(t, serve, [kind, abstractName()]);
      // Somebody relies on the flag as it is: it was cleared, and stays so.
      for (const text of flags) {
        const [, octal] = /^flags:\s*(\d+)$/m.exec(text);
        assert.equal(parseInt(octal, 8) & O_NONBLOCK, 0);
      }
    });
  }
});
