'use strict';

// Owns UServer and USocket against installed programs: curl, socat and systemd-socket-activate. For
// Python see peers-stream-python.test.js.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { pipeline } = require('node:stream/promises');
const { describe, test } = require('node:test');
const { USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { LIB } = require('../helpers/node.js');
const { onLinux, skipUnless, startProgram } = require('../helpers/programs.js');
const { closing } = require('../helpers/seqpacket.js');
const { nextEvent } = require('../helpers/sockets.js');
const {
  MB,
  connect,
  digest,
  digestOf,
  openServer,
  textOf,
  traffic,
} = require('../helpers/streams.js');
const { abstractName, temporaryFolder, temporaryPath } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const LARGE = 20 * MB;
const KINDS = [
  ['a path', 'UNIX', (t) => temporaryPath(t)],
  ['an abstract name', 'ABSTRACT', () => abstractName()],
];
/** A name as other programs take it. */
const shown = (name) => name.replace(/^\0/, '');

/** Waits for another program to listen at a path or an abstract name. */
function untilListening(name) {
  const ending = ` ${name.replace(/^\0/, '@')}`;
  // The flags in the fourth column say whether it listens.
  const listens = (line) => line.endsWith(ending) && line.split(/\s+/)[3] === '00010000';
  const table = () => fs.readFileSync('/proc/net/unix', 'utf8').split('\n');
  return until(() => table().some(listens), `somebody to listen at ${ending}`);
}

/** A UServer at a name of its own. */
async function serveAt(t, name, listener) {
  const found = await openServer(t, listener);
  found.server.close();
  await nextEvent(found.server, 'close');
  found.server.listen(name);
  await nextEvent(found.server, 'listening');
  return found.server;
}

describe('curl', onLinux(skipUnless('curl')), () => {
  /** An HTTP server behind a UServer, and curl's outcome: `{ code, stdout, stderr }`. */
  async function ask(t, listener, name, ...args) {
    const web = http.createServer(listener);
    web.emit('listening');
    const sockets = [];
    await serveAt(t, name, (socket) => {
      sockets.push(socket);
      web.emit('connection', socket);
    });
    t.after(() => {
      web.close();
      web.closeAllConnections();
    });
    const option = name.startsWith('\0') ? '--abstract-unix-socket' : '--unix-socket';
    const common = ['--silent', '--show-error', '--max-time', '20', option, shown(name)];
    const program = startProgram(t, 'curl', [...common, ...args]);
    return { ...(await program.ended()), sockets };
  }

  for (const [kind, , makeName] of KINDS) {
    test(`downloads and uploads 20 MB at ${kind}`, async (t) => {
      const folder = temporaryFolder(t);
      const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
      await pipeline(traffic(LARGE).stream, fs.createWriteStream(from));
      const down = traffic(LARGE);
      let up;
      const { code, stderr } = await ask(
        t,
        async (request, response) => {
          up = await digestOf(request);
          down.stream.pipe(response);
        },
        makeName(t),
        ...['--upload-file', from, '--output', to, 'http://localhost/file'],
      );
      assert.equal(code, 0, stderr);
      assert.equal(up.hash, digest(fs.readFileSync(from)));
      assert.equal(digest(fs.readFileSync(to)), down.hash);
    });
  }

  test('asks often on one connection', async (t) => {
    const urls = Array.from({ length: 50 }, (_, at) => `http://localhost/${at}`);
    const { code, stdout, stderr, sockets } = await ask(
      t,
      (request, response) => response.end(`${request.url}\n`),
      temporaryPath(t),
      ...urls,
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, urls.map((url) => `${new URL(url).pathname}\n`).join(''));
    assert.equal(sockets.length, 1);
    await until(() => sockets[0].closed, 'the connection to close');
  });

  test('waits for 100-continue', async (t) => {
    const { code, stdout, stderr } = await ask(
      t,
      async (request, response) => response.end(`${(await digestOf(request)).length}`),
      temporaryPath(t),
      ...['--header', 'Expect: 100-continue', '--data', 'x'.repeat(5000), 'http://localhost/'],
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '5000');
  });

  test('gives up: the server hears of it', async (t) => {
    let closed = 0;
    const { code, sockets } = await ask(
      t,
      (_request, response) => {
        response.write('not all of it');
        response.on('close', () => closed++);
      },
      temporaryPath(t),
      ...['--max-time', '0.3', 'http://localhost/'],
    );
    // CURLE_OPERATION_TIMEDOUT.
    assert.equal(code, 28);
    await until(() => closed === 1 && sockets[0].closed, 'the connection to close');
  });
});

describe('socat', onLinux(skipUnless('socat')), () => {
  for (const [kind, family, makeName] of KINDS) {
    test(`${family}-CONNECT: 20 MB to ${kind} and back`, async (t) => {
      const name = makeName(t);
      const file = path.join(temporaryFolder(t), 'from');
      const sent = traffic(LARGE);
      await pipeline(sent.stream, fs.createWriteStream(file));
      await serveAt(t, name, (socket) => socket.pipe(socket));
      const copy = `${file}.copy`;
      const program = startProgram(t, 'socat', [
        ...['-t', '20', `OPEN:${file},rdonly!!CREATE:${copy}`],
        `${family}-CONNECT:${shown(name)}`,
      ]);
      const { code, stderr } = await program.ended();
      assert.equal(code, 0, stderr);
      assert.equal(digest(fs.readFileSync(copy)), sent.hash);
    });

    test(`${family}-LISTEN at ${kind}: an echo, and the end`, async (t) => {
      const name = makeName(t);
      startProgram(t, 'socat', [`${family}-LISTEN:${shown(name)},fork`, 'PIPE']);
      await untilListening(name);
      for (let round = 0; round < 3; round++) {
        const socket = connect(t, name);
        socket.write('one, ');
        socket.end(`two, ${round}`);
        assert.equal(await textOf(socket), `one, two, ${round}`);
        await closing(socket);
      }
    });
  }

  test('joins two of ours: a relay that keeps bytes', async (t) => {
    const [left, right] = [temporaryPath(t), temporaryPath(t)];
    const server = await serveAt(t, right, (socket) => socket.pipe(socket));
    startProgram(t, 'socat', [`UNIX-LISTEN:${left}`, `UNIX-CONNECT:${right}`]);
    await untilListening(left);
    const socket = connect(t, left);
    const sent = traffic(5 * MB);
    const sending = pipeline(sent.stream, socket);
    assert.deepEqual(await digestOf(socket), { hash: sent.hash, length: sent.length });
    await sending;
    assert.equal(server.listening, true);
  });

  test('is a program at the other end of its standard input', async (t) => {
    const name = temporaryPath(t);
    const server = await serveAt(t, name, () => {});
    const accepting = nextEvent(server, 'connection');
    const program = startProgram(t, 'socat', ['-', `UNIX-CONNECT:${name}`]);
    const [socket] = await accepting;
    assert.equal(socket.peerCredentials.pid, program.pid);
    program.write('typed\n');
    assert.equal(String((await nextEvent(socket, 'data'))[0]), 'typed\n');
    socket.write('answered\n');
    assert.equal(await program.lines.next("socat's output"), 'answered');
    socket.end();
    await closing(socket);
    assert.equal((await program.ended()).code, 0);
  });
});

describe('systemd-socket-activate', onLinux(skipUnless('systemd-socket-activate')), () => {
  test('starts us with a listening socket: listen({ fd: 3 })', async (t) => {
    const name = temporaryPath(t);
    const body = `const { UServer } = require(${JSON.stringify(LIB)});
      const server = new UServer((socket) => {
        socket.on('data', (data) => socket.write(String(data).toUpperCase()));
        socket.on('close', () => server.close());
      });
      server.listen({ fd: 3 });`;
    const args = [`--listen=${name}`, process.execPath, '-e', body];
    const program = startProgram(t, 'systemd-socket-activate', args);
    await untilListening(name);
    const socket = new USocket(name);
    t.after(() => socket.destroy());
    socket.write('hello');
    assert.equal(String((await nextEvent(socket, 'data'))[0]), 'HELLO');
    assert.equal(socket.remoteAddress, name);
    socket.end();
    await closing(socket);
    const { code, stderr } = await program.ended();
    assert.equal(code, 0, stderr);
    // Not ours to remove: systemd listens there again.
    assert.equal(fs.existsSync(name), true);
  });

  test('starts us for each connection: its descriptor is a USocket', async (t) => {
    const name = temporaryPath(t);
    const body = `const { USocket } = require(${JSON.stringify(LIB)});
      const socket = new USocket({ fd: 3 });
      socket.pipe(socket);`;
    const args = [`--listen=${name}`, '--accept', process.execPath, '-e', body];
    startProgram(t, 'systemd-socket-activate', args);
    await untilListening(name);
    for (const word of ['one', 'two']) {
      const socket = new USocket(name);
      t.after(() => socket.destroy());
      socket.end(word);
      assert.equal(await textOf(socket), word);
    }
  });
});
