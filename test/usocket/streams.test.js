'use strict';

// Owns USocket where Node takes any stream: pipeline, web streams, readline, repl, compression, and
// standard input and output of other programs.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const repl = require('node:repl');
const { Duplex, Readable, Transform, Writable, addAbortSignal, compose } = require('node:stream');
const streams = require('node:stream/promises');
const { describe, test } = require('node:test');
const zlib = require('node:zlib');
const { USocket } = require('../../lib');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { closing } = require('../helpers/seqpacket.js');
const { MB, digest, digestOf, openPair, textOf, traffic } = require('../helpers/streams.js');
const { temporaryFolder } = require('../helpers/tmp.js');
const { Queue, within } = require('../helpers/wait.js');

assertNoLeaks();

const LARGE = 20 * MB;

describe('stream.pipeline', () => {
  test('from a file through a pair to a file', async (t) => {
    const folder = temporaryFolder(t);
    const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
    await streams.pipeline(traffic(LARGE).stream, fs.createWriteStream(from));
    const [ours, theirs] = openPair(t);
    await Promise.all([
      streams.pipeline(fs.createReadStream(from), ours, { end: true }),
      streams.pipeline(theirs, fs.createWriteStream(to)),
    ]);
    assert.equal(digest(fs.readFileSync(to)), digest(fs.readFileSync(from)));
    assert.equal(fs.statSync(to).size, LARGE);
  });

  test('through gzip and back', async (t) => {
    const [ours, theirs] = openPair(t);
    const sent = traffic(5 * MB);
    const sending = streams.pipeline(sent.stream, zlib.createGzip({ level: 1 }), ours);
    const received = await digestOf(compose(theirs, zlib.createGunzip()));
    theirs.end();
    await sending;
    assert.deepEqual(received, { hash: sent.hash, length: sent.length });
  });

  test('destroys the socket when another part fails', async (t) => {
    const [ours, theirs] = openPair(t);
    const broken = new Transform({
      transform: (_chunk, _encoding, done) => done(new Error('broken')),
    });
    const failing = streams.pipeline(theirs, broken, new Writable({ write: () => {} }));
    ours.write('anything');
    await assert.rejects(failing, /broken/);
    assert.equal(theirs.destroyed, true);
    await closing(ours);
  });

  test('fails, and destroys the source, when the peer goes away', async (t) => {
    const [ours, theirs] = openPair(t);
    const { stream } = traffic(LARGE);
    theirs.once('data', () => theirs.destroy());
    const failing = within(streams.pipeline(stream, ours), 'the pipeline to fail');
    await assert.rejects(failing, ({ code }) =>
      ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code),
    );
    assert.equal(stream.destroyed, true);
    assert.equal(ours.destroyed, true);
  });

  test('ends when the signal says so', async (t) => {
    const [ours, theirs] = openPair(t);
    const control = new AbortController();
    const copying = streams.pipeline(theirs, new Writable({ write: (_c, _e, done) => done() }), {
      signal: control.signal,
    });
    // What was not read makes it a reset.
    ours.on('error', ({ code }) => assert.equal(code, 'ECONNRESET'));
    ours.write('something');
    control.abort();
    await assert.rejects(copying, { name: 'AbortError' });
    await closing(ours);
    addAbortSignal(AbortSignal.abort(), theirs);
    assert.equal(theirs.destroyed, true);
  });

  test('finished() knows the end', async (t) => {
    const [ours, theirs] = openPair(t);
    const both = Promise.all([streams.finished(ours), streams.finished(theirs)]);
    ours.resume();
    theirs.resume();
    ours.end('bye');
    await within(both, 'finished()');
    const [dying, peer] = openPair(t);
    const premature = streams.finished(dying);
    dying.destroy();
    await assert.rejects(premature, { code: 'ERR_STREAM_PREMATURE_CLOSE' });
    await closing(peer.resume());
  });
});

describe('web streams', () => {
  test('Duplex.toWeb: 20 MB each way', async (t) => {
    const sides = openPair(t).map((socket) => {
      const { readable, writable } = Duplex.toWeb(socket);
      const sent = traffic(LARGE);
      const sending = Readable.toWeb(sent.stream).pipeTo(writable);
      return { sent, sending, received: digestOf(Readable.fromWeb(readable)) };
    });
    for (const [at, { sent, sending }] of sides.entries()) {
      const { hash, length } = await sides[1 - at].received;
      await sending;
      assert.deepEqual({ hash, length }, { hash: sent.hash, length: LARGE });
    }
  });

  test('Readable.toWeb: a reader that cancels closes the socket', async (t) => {
    const [ours, theirs] = openPair(t);
    const reader = Readable.toWeb(theirs).getReader();
    ours.write('first');
    const { value } = await within(reader.read(), 'a chunk');
    assert.equal(Buffer.from(value).toString(), 'first');
    await reader.cancel();
    await closing(theirs);
    await closing(ours.resume());
  });

  test('Writable.toWeb waits for the reader', async (t) => {
    const [ours, theirs] = openPair(t);
    const writer = Writable.toWeb(ours).getWriter();
    let written = 0;
    const writing = (async () => {
      for (let round = 0; round < 40; round++) {
        await writer.ready;
        await writer.write(Buffer.alloc(65536));
        written++;
      }
      await writer.close();
    })();
    await new Promise((done) => setTimeout(done, 50));
    assert.ok(written < 20, `${written} writes without a reader`);
    assert.equal((await digestOf(theirs)).length, 40 * 65536);
    await writing;
  });
});

describe('lines', () => {
  test('readline over a socket', async (t) => {
    const [ours, theirs] = openPair(t);
    const lines = Array.from({ length: 5000 }, (_, at) => `line ${at} 世`);
    ours.end(`${lines.join('\n')}\n`);
    const found = [];
    for await (const line of readline.createInterface({ input: theirs })) found.push(line);
    assert.deepEqual(found, lines);
  });

  test('readline asks, the other side answers', async (t) => {
    const [ours, theirs] = openPair(t);
    const face = readline.promises.createInterface({ input: ours, output: ours });
    theirs.on('data', (question) => theirs.write(`answer to ${question}\n`));
    assert.equal(await within(face.question('how?'), 'the answer'), 'answer to how?');
    face.close();
  });

  test('a repl over a socket', async (t) => {
    const [ours, theirs] = openPair(t);
    const session = repl.start({ prompt: '> ', input: theirs, output: theirs, terminal: false });
    session.on('exit', () => theirs.end());
    session.context.answer = 42;
    let text = '';
    ours.on('data', (data) => (text += data));
    ours.write('answer + 1\n');
    ours.write('.exit\n');
    await closing(ours);
    assert.equal(text, '> 43\n> ');
  });
});

describe('other programs', () => {
  test('have a socket as standard input and output', async (t) => {
    const [ours, theirs] = openPair(t, { pauseOnConnect: true });
    const body = 'process.stdin.pipe(process.stdout)';
    // The child has its own copy; ours closes, or there would be no end.
    const child = spawn(process.execPath, ['-e', body], {
      stdio: [theirs.fd, theirs.fd, 'inherit'],
    });
    theirs.destroy();
    const sent = traffic(5 * MB);
    const sending = streams.pipeline(sent.stream, ours);
    const received = await digestOf(ours.resume());
    await sending;
    assert.deepEqual(received, { hash: sent.hash, length: sent.length });
    const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
    assert.equal(code, 0);
  });

  test('inherit a socket by number and adopt it', async (t) => {
    const [ours, theirs] = openPair(t, { pauseOnConnect: true });
    const lib = JSON.stringify(require.resolve('../../lib'));
    const body = `const { USocket } = require(${lib});
      const socket = new USocket(3);
      socket.on('data', (data) => socket.write(String(data).toUpperCase()));`;
    const child = spawn(process.execPath, ['-e', body], {
      stdio: ['ignore', 'inherit', 'inherit', theirs.fd],
    });
    theirs.destroy();
    const replies = new Queue();
    ours.setEncoding('utf8').on('data', (data) => replies.put(data));
    ours.resume();
    ours.write('hello');
    assert.equal(await replies.next('an answer from the child'), 'HELLO');
    ours.end();
    const [code] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
    assert.equal(code, 0);
  });

  test("a child's pipes, joined to a socket", async (t) => {
    const [ours, theirs] = openPair(t, { allowHalfOpen: true });
    const child = spawn('sort', [], { stdio: 'pipe', env: { ...process.env, LC_ALL: 'C' } });
    theirs.pipe(child.stdin);
    child.stdout.pipe(theirs);
    ours.end('c\nb\na\n');
    assert.equal(await textOf(ours), 'a\nb\nc\n');
  });
});

test('Duplex.from and compose take it', async (t) => {
  const [ours, theirs] = openPair(t);
  theirs.pipe(theirs);
  const upper = new Transform({
    transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()),
  });
  const both = compose(upper, ours);
  both.end('quiet');
  assert.equal(await textOf(both), 'QUIET');
  assert.ok(ours instanceof USocket && ours instanceof Duplex);
});
