'use strict';

// Owns what the torture case `faults` has shown: sockets whose system calls fail. Each is made to happen
// by the library that the case preloads, in a process of its own.

const assert = require('node:assert/strict');
const { constants } = require('node:os');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { runScript } = require('../helpers/node.js');
const { onLinux, skipUnless } = require('../helpers/programs.js');
const { abstractName, temporaryFolder } = require('../helpers/tmp.js');
const { compileLibrary, environment } = require('../torture/lib/faults-library.js');

assertNoLeaks();

describe('a system call that fails', onLinux(skipUnless('cc')), () => {
  let env;

  before(() => {
    const folder = temporaryFolder({ after: (clean) => process.on('exit', clean) });
    env = environment(compileLibrary(folder), path.join(folder, 'log'));
  });

  /** Runs `body(afunix, strike, name)`; `strike` is the path that commands the first `call` to fail. */
  const run = (t, body, call, errno) => {
    const strike = `/afunix-faults/on/${call}/${constants.errno[errno]}/first/1`;
    return runScript(t, body, [strike, abstractName()], { env });
  };

  for (const kind of ['Seqpacket', 'U']) {
    for (const call of ['setsockopt', 'epoll_ctl']) {
      test(`${kind}Server: ${call} for a descriptor to listen on leaves it the caller's`, async (t) => {
        const source = `async (afunix, strike, name) => {
          const { ${kind}Server: Server, ${kind}Socket: Socket } = afunix;
          const { once } = require('node:events');
          const { accessSync, fstatSync } = require('node:fs');
          // Under a number of which the event loop knows nothing.
          const first = new Server().listen(name);
          const fd = afunix.dup(first);
          first.detach();
          const { ino } = fstatSync(fd);
          const codes = [];
          const server = new Server({ credentials: true }, (socket) => socket.end());
          server.on('error', ({ code }) => codes.push(code));
          accessSync(strike);
          try {
            server.listen({ fd });
          } catch ({ code }) {
            codes.push(code);
          }
          await new Promise(setImmediate);
          codes.push(server.listening, fstatSync(fd).ino === ino);
          server.listen({ fd });
          await once(new Socket().connect(name).resume(), 'close');
          server.close();
          await once(server, 'close');
          console.log(JSON.stringify(codes));
        }`;
        assert.deepEqual(await run(t, source, call, 'ENOMEM'), ['ENOMEM', false, true]);
      });
    }

    test(`${kind}Server: epoll_ctl for a connection is its 'error', and the next is served`, async (t) => {
      const source = `async ({ ${kind}Server: Server, ${kind}Socket: Socket }, strike, name) => {
        const { once } = require('node:events');
        const server = new Server();
        const errors = [];
        server.on('connection', (socket) => {
          socket.on('error', ({ code }) => errors.push(code)).end();
        });
        server.listen(name);
        const first = new Socket({ allowHalfOpen: true });
        first.on('error', () => {});
        const closed = once(first, 'close');
        first.connect(name);
        require('node:fs').accessSync(strike);
        first.resume();
        await once(first, 'end');
        first.end();
        await closed;
        const second = new Socket().connect(name);
        await once(second.resume(), 'close');
        server.close();
        await once(server, 'close');
        console.log(JSON.stringify(errors));
      }`;
      const result = await run(t, source, 'epoll_ctl', 'ENOMEM');
      assert.deepEqual(result, ['ENOMEM']);
    });

    test(`${kind}Server: setsockopt for a connection is the server's 'error', and the next is served`, async (t) => {
      const source = `async ({ ${kind}Server: Server, ${kind}Socket: Socket }, strike, name) => {
        const { once } = require('node:events');
        const server = new Server({ sendBufferSize: 10_000 });
        const errors = [];
        server.on('error', ({ code, syscall, path }) => errors.push([code, syscall, path === name]));
        server.on('connection', (socket) => socket.end());
        server.listen(name);
        const first = new Socket().on('error', () => {});
        first.connect(name);
        require('node:fs').accessSync(strike);
        await once(first.resume(), 'close');
        await once(new Socket().connect(name).resume(), 'close');
        server.close();
        await once(server, 'close');
        console.log(JSON.stringify(errors));
      }`;
      const result = await run(t, source, 'setsockopt', 'ENOMEM');
      assert.deepEqual(result, [['ENOMEM', 'accept', true]]);
    });

    test(`${kind}Socket: shutdown after the last write is an 'error', and the end of the socket`, async (t) => {
      const body = async (afunix, strike, _name, Socket) => {
        const { once } = require('node:events');
        const [one, two] = afunix[Socket].pair();
        const seen = [];
        two.on('data', (data) => seen.push(String(data)));
        const over = once(two, 'close');
        require('node:fs').accessSync(strike);
        one.resume().end('last');
        const [error] = await once(one, 'error');
        await over;
        console.log(JSON.stringify([error.code, error.syscall, one.destroyed, ...seen]));
      };
      const result = await run(
        t,
        `(...args) => (${body})(...args, '${kind}Socket')`,
        'shutdown',
        'EACCES',
      );
      assert.deepEqual(result, ['EACCES', 'shutdown', true, 'last']);
    });

    test(`${kind}Server: listen() leaves nothing open then, and it can be tried again`, async (t) => {
      const body = async (afunix, strike, name, Server) => {
        const { accessSync, readdirSync } = require('node:fs');
        const { once } = require('node:events');
        const count = () => readdirSync('/proc/self/fd').length;
        const found = [];
        // Without a listener for connections nothing is polled.
        const server = new afunix[Server](() => {});
        server.on('error', (error) => found.push(error.code));
        const open = count();
        accessSync(strike);
        try {
          server.listen(name);
        } catch (error) {
          found.push(error.code);
        }
        found.push(server.listening, count() - open);
        await new Promise(setImmediate);
        server.listen(name);
        await once(server, 'listening');
        server.close();
        console.log(JSON.stringify(found.sort()));
      };
      const source = `(...args) => (${body})(...args, '${kind}Server')`;
      // One throws, and the other reports it in the next tick.
      assert.deepEqual(await run(t, source, 'epoll_ctl', 'ENOMEM'), [0, 'ENOMEM', false]);
    });
  }

  test('DgramSocket: an adopted descriptor that cannot be asked for its peer stays the caller’s', async (t) => {
    const body = async (afunix, strike) => {
      const { once } = require('node:events');
      const fds = afunix.socketpair('dgram');
      const seen = [];
      require('node:fs').accessSync(strike);
      try {
        new afunix.DgramSocket({ fd: fds[0] });
      } catch ({ code, syscall }) {
        seen.push(code, syscall);
      }
      const [one, two] = fds.map((fd) => new afunix.DgramSocket({ fd }));
      two.send('it is read from');
      const [data] = await once(one, 'data');
      for (const socket of [one, two]) socket.close();
      console.log(JSON.stringify([...seen, String(data)]));
    };
    const result = await run(t, body, 'getpeername', 'EACCES');
    assert.deepEqual(result, ['EACCES', 'getpeername', 'it is read from']);
  });

  test('a server whose name cannot be asked for does not listen', async (t) => {
    const body = async ({ SeqpacketServer, UServer }, strike) => {
      const { accessSync, readdirSync } = require('node:fs');
      const { once } = require('node:events');
      const count = () => readdirSync('/proc/self/fd').length;
      const found = [];
      for (const Server of [SeqpacketServer, UServer]) {
        const server = new Server();
        server.on('error', ({ code, syscall }) => found.push(code, syscall));
        const open = count();
        accessSync(strike);
        try {
          server.listen();
        } catch ({ code, syscall }) {
          found.push(code, syscall);
        }
        await new Promise(setImmediate);
        found.push(server.listening, count() - open);
        server.listen();
        await once(server, 'listening');
        found.push(server.address().length > 1 || server.address().address);
        server.close();
      }
      console.log(JSON.stringify(found));
    };
    const one = ['EACCES', 'getsockname', false, 0, true];
    assert.deepEqual(await run(t, body, 'getsockname', 'EACCES'), [...one, ...one]);
  });

  test('pair: neither end is left', async (t) => {
    const body = ({ DgramSocket, SeqpacketSocket, USocket }, strike) => {
      const { accessSync, readdirSync } = require('node:fs');
      const count = () => readdirSync('/proc/self/fd').length;
      const open = count();
      const codes = [];
      for (const Socket of [DgramSocket, SeqpacketSocket, USocket]) {
        accessSync(strike);
        try {
          Socket.pair();
        } catch (error) {
          codes.push(error.code);
        }
      }
      console.log(JSON.stringify([codes, count() - open]));
    };
    const result = await run(t, body, 'epoll_ctl', 'ENOMEM');
    assert.deepEqual(result, [Array(3).fill('ENOMEM'), 0]);
  });

  test('the callback of DgramSocket.connect gets what would be thrown', async (t) => {
    const body = ({ DgramSocket }, strike, name) => {
      const receiver = new DgramSocket().bind(name);
      const sender = new DgramSocket();
      require('node:fs').accessSync(strike);
      sender.connect(name, (error) => {
        console.log(JSON.stringify([error.code, error.syscall]));
        receiver.close();
        sender.close();
      });
    };
    const result = await run(t, body, 'epoll_ctl', 'ENOMEM');
    assert.deepEqual(result, ['ENOMEM', 'epoll_ctl']);
  });

  test('a paused socket that cannot take up reading is destroyed', async (t) => {
    const body = ({ USocket }, strike) => {
      const [one, two] = USocket.pair({ pauseOnConnect: true });
      require('node:fs').accessSync(strike);
      one.on('error', (error) => {
        console.log(JSON.stringify([error.code, error.syscall]));
        two.destroy();
      });
      one.resume();
    };
    const result = await run(t, body, 'epoll_ctl', 'ENOMEM');
    assert.deepEqual(result, ['ENOMEM', 'epoll_ctl']);
  });

  for (const [call, fds] of [
    ['sendto', false],
    ['dup', true],
  ]) {
    test(`a stream has no gap: what is written behind a failed write (${call}) is not sent`, async (t) => {
      const body = ({ USocket }, strike, name, withFds) => {
        const [one, two] = USocket.pair();
        const [reported, chunks] = [[], []];
        const note = (error) => reported.push(error ? error.code : 'sent');
        one.on('error', ({ code }) => reported.push(`'error' ${code}`));
        two.on('data', (data) => chunks.push(String(data)));
        one.write('first,', note);
        require('node:fs').accessSync(strike);
        if (withFds) {
          one.cork();
          one.write({ data: 'second,', fds: [0] }, note);
          process.nextTick(() => one.uncork());
        } else one.write('second,', note);
        one.write('third', note);
        two.on('close', () => console.log(JSON.stringify([reported, chunks.join('')])));
      };
      const source = `(...args) => (${body})(...args, ${fds})`;
      const [reported, arrived] = await run(t, source, call, 'EPERM');
      assert.equal(arrived, 'first,');
      assert.deepEqual(reported.slice(0, 2), ['sent', 'EPERM']);
      assert.deepEqual(
        reported.filter((code) => code.startsWith("'error'")),
        ["'error' EPERM"],
      );
      assert.equal(reported.length, 4);
    });
  }
});
