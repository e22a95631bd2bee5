'use strict';

// Owns SIGPIPE: no send of this package raises it, however the process treats it. Node ignores it, but a
// listener that has come and gone leaves the default behind, which ends the process.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, test } = require('node:test');
const { LIB, startScript } = require('../helpers/node.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { onLinux } = require('../helpers/programs.js');

assertNoLeaks();

/**
 * Name → a send to a peer that is gone. It returns what ended it: the code of the error. These run in
 * another process and see nothing of this file.
 */
const SENDS = {
  'USocket: bytes': ({ USocket }, _posix, outcome) => {
    const [one, two] = USocket.pair();
    two.destroy();
    return outcome(one, (done) => one.write(Buffer.from('x'), done));
  },
  'USocket: a string': ({ USocket }, _posix, outcome) => {
    const [one, two] = USocket.pair();
    two.destroy();
    return outcome(one, (done) => one.write('x', done));
  },
  'USocket: descriptors': ({ USocket }, _posix, outcome) => {
    const [one, two] = USocket.pair();
    two.destroy();
    return outcome(one, (done) => one.write({ data: 'x', fds: [0] }, done));
  },
  'USocket: several chunks': ({ USocket }, _posix, outcome) => {
    const [one, two] = USocket.pair();
    two.destroy();
    one.cork();
    one.write('x', () => {});
    one.write(Buffer.from('y'), () => {});
    return outcome(one, (done) => {
      one.write('z', done);
      one.uncork();
    });
  },
  'USocket: what waits': ({ USocket }, _posix, outcome) => {
    const [one, two] = USocket.pair({ pauseOnConnect: true });
    one.resume();
    const waits = outcome(one, (done) => one.write(Buffer.alloc(3_000_000), done));
    two.destroy();
    return waits;
  },
  'USocket: after shutdown(2) of its own side': ({ USocket, socketpair }, posix, outcome) => {
    const [fd, other] = socketpair();
    const one = new USocket({ fd });
    posix.shutdown(other, posix.SHUT_RDWR);
    one.on('close', () => posix.close(other));
    return outcome(one, (done) => one.write('x', done));
  },
  'SeqpacketSocket: a message': ({ SeqpacketSocket }, _posix, outcome) => {
    const [one, two] = SeqpacketSocket.pair();
    two.destroy();
    return outcome(one, (done) => one.write('x', done));
  },
  'SeqpacketSocket: descriptors': ({ SeqpacketSocket }, _posix, outcome) => {
    const [one, two] = SeqpacketSocket.pair();
    two.destroy();
    return outcome(one, (done) => one.write({ data: 'x', fds: [0] }, done));
  },
  'SeqpacketSocket: what waits': ({ SeqpacketSocket }, _posix, outcome) => {
    const [one, two] = SeqpacketSocket.pair({ pauseOnConnect: true });
    one.resume();
    while (one.writableLength < 1000) one.write(Buffer.alloc(1000), () => {});
    const waits = outcome(one, (done) => one.write('x', done));
    two.destroy();
    return waits;
  },
  'DgramSocket: a message': ({ DgramSocket }, _posix, outcome) => {
    const [one, two] = DgramSocket.pair();
    two.close();
    return outcome(one, (done) => one.send('x', done)).finally(() => one.close());
  },
  'posix: send()': (_lib, posix) => {
    const [one, two] = posix.socketpair(posix.AF_UNIX, posix.SOCK_STREAM);
    posix.close(two);
    try {
      posix.send(one, Buffer.from('x'));
    } catch ({ code }) {
      return code;
    } finally {
      posix.close(one);
    }
    return 'sent';
  },
  'posix: sendmsg()': (_lib, posix) => {
    const [one, two] = posix.socketpair(posix.AF_UNIX, posix.SOCK_STREAM);
    posix.close(two);
    try {
      posix.sendmsg(one, { iov: Buffer.from('x'), fds: [0] });
    } catch ({ code }) {
      return code;
    } finally {
      posix.close(one);
    }
    return 'sent';
  },
};

/** Makes these sends with SIGPIPE treated so; prints each name before, and then how it ended. */
async function sendInProcess(lib, posixPath, sources, treatment) {
  const posix = require(posixPath);
  let signals = 0;
  const count = () => signals++;
  process.on('SIGPIPE', count);
  // The last listener that goes leaves SIG_DFL.
  if (treatment === 'default') process.off('SIGPIPE', count);
  const outcome = (socket, send) => {
    socket.on('error', () => {});
    return new Promise((resolve) => send((error) => resolve(error ? error.code : 'sent')));
  };
  // A listener for a signal keeps no process.
  const alive = setInterval(() => {}, 1000);
  for (const [name, source] of sources) {
    console.log(JSON.stringify({ name }));
    const code = await (0, eval)(`(${source})`)(lib, posix, outcome);
    // Signals come in order: one of the kernel's is counted when this one is.
    await new Promise((resolve) => {
      process.once('SIGUSR2', resolve);
      process.kill(process.pid, 'SIGUSR2');
    });
    console.log(JSON.stringify({ code, signals }));
  }
  process.off('SIGPIPE', count);
  clearInterval(alive);
}

describe('SIGPIPE is not raised', onLinux(), () => {
  for (const treatment of ['default', 'a listener']) {
    test(`where it has ${treatment}`, async (t) => {
      const posixPath = path.join(LIB, 'posix');
      const sources = Object.entries(SENDS).map(([name, body]) => [name, `${body}`]);
      const program = startScript(t, sendInProcess, [posixPath, sources, treatment]);
      const { signal, code, stdout, stderr } = await program.ended();
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.equal(signal, null, `ended by ${signal} in ${lines.at(-1).name}`);
      assert.equal(code, 0, stderr);
      assert.equal(lines.length, 2 * sources.length);
      for (let at = 0; at < lines.length; at += 2) {
        const [{ name }, { code: error, signals }] = lines.slice(at, at + 2);
        assert.equal(signals, 0, name);
        assert.match(error, /^(EPIPE|ECONNRESET|ECONNREFUSED)$/, name);
      }
    });
  }
});
