'use strict';

// Owns peers that leave, or stop reading, while we have more for them: the connection ends, whoever reads or does not,
// its place is free again, and nothing is kept without bound.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { describe, test } = require('node:test');
const {
  SeqpacketServer,
  SeqpacketSocket,
  UServer,
  USocket,
  serve,
  socketpair,
} = require('../../lib');
const net = require('../../lib/net');
const posix = require('../../lib/posix');
const { countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { assertIdle } = require('../helpers/idle-cpu.js');
const { onLinux } = require('../helpers/programs.js');
const { cleanUp, untilConnections } = require('../helpers/seqpacket.js');
const { closed, nextEvent, openSocket } = require('../helpers/sockets.js');
const { abstractName } = require('../helpers/tmp.js');
const { until } = require('../helpers/wait.js');

assertNoLeaks();

const {
  AF_UNIX,
  MSG_DONTWAIT,
  SOL_SOCKET,
  SO_SNDBUF,
  SHUT_RD,
  SHUT_RDWR,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} = posix;

const SERVERS = {
  UServer: [UServer, SOCK_STREAM],
  SeqpacketServer: [SeqpacketServer, SOCK_SEQPACKET],
};

/** A client without a library: a descriptor that is connected. */
function rawClient(name, type) {
  const fd = posix.socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
  posix.connect(fd, name);
  return fd;
}

async function listening(t, Server, onConnection, options = {}) {
  const server = new Server(options, (socket) => onConnection(cleanUp(t, socket)));
  t.after(() => server.close());
  server.listen(abstractName());
  if (!server.listening) await nextEvent(server, 'listening');
  return server;
}

/** Sends until there is no more room: how many bytes. */
function fill(fd) {
  let sent = 0;
  try {
    for (;;) sent += posix.send(fd, Buffer.alloc(1000), 1000, MSG_DONTWAIT);
  } catch (error) {
    assert.equal(error.code, 'EAGAIN');
  }
  return sent;
}

describe('a peer that dies while it is answered message by message', onLinux({}), () => {
  const DEATHS = { 'before the first answer': 0, 'between answers': 1 };
  const KINDS = {
    USocket: [USocket, SOCK_STREAM],
    SeqpacketSocket: [SeqpacketSocket, SOCK_SEQPACKET],
  };
  for (const [name, [Socket, type]] of Object.entries(KINDS)) {
    for (const [when, answers] of Object.entries(DEATHS)) {
      test(`all that it sent arrives: ${name}, dead ${when}`, async (t) => {
        const [fd, peer] = socketpair(type);
        // More than native code reads at once.
        posix.setsockopt(peer, SOL_SOCKET, SO_SNDBUF, 1_000_000);
        const sent = fill(peer);
        const socket = cleanUp(t, new Socket({ fd }));
        let received = 0;
        let answered = 0;
        if (answers === 0) posix.close(peer);
        socket.on('data', (data) => {
          received += data.length;
          if (++answered === answers) posix.close(peer);
          // Fails inside of the handler, while native code has more to hand over.
          socket.write('answer', () => {});
        });
        const [error] = await once(socket, 'error');
        if (!socket.closed) await once(socket, 'close');
        assert.match(error.code, /^(EPIPE|ECONNRESET)$/);
        assert.equal(received, sent);
      });
    }
  }
});

describe('a client that asks, leaves and reads nothing', onLinux({}), () => {
  for (const [name, [Server, type]] of Object.entries(SERVERS)) {
    test(`leaves its place in maxConnections: ${name}`, async (t) => {
      const server = await listening(t, Server, (socket) => {
        // Paused for good: nobody will read what it sent.
        socket.pause();
        socket.on('error', () => {});
        const answer = setInterval(() => socket.write(Buffer.alloc(1000)), 5);
        socket.on('close', () => clearInterval(answer));
      });
      server.maxConnections = 3;
      for (let round = 0; round < 3; round++) {
        const clients = [1, 2, 3].map(() => rawClient(server.address(), type));
        await untilConnections(server, 3);
        for (const fd of clients) posix.send(fd, Buffer.from('question'));
        for (const fd of clients) posix.close(fd);
        await untilConnections(server, 0);
      }
      await closed(server);
    });

    test(`that only stops reading: an echo keeps no more than its marks: ${name}`, async (t) => {
      let peer;
      const server = await listening(t, Server, (socket) => {
        peer = socket.on('error', () => {});
        socket.pipe(socket);
      });
      const fd = rawClient(server.address(), type);
      await until(() => peer !== undefined, 'the connection');
      posix.shutdown(fd, SHUT_RD);
      let sent = 0;
      // It goes on sending; the first answer fails, and that is the end.
      await until(() => {
        try {
          sent += posix.send(fd, Buffer.alloc(16_000));
        } catch (error) {
          assert.match(error.code, /^(EAGAIN|EPIPE|ECONNRESET)$/);
        }
        return peer.closed;
      }, 'the end of the connection');
      assert.equal(peer.errored.code, 'EPIPE');
      assert.ok(sent < 4_000_000, `${sent}`);
      posix.close(fd);
      await closed(server);
    });
  }

  test('an HTTP request whose body nobody reads', async (t) => {
    const responses = [];
    const web = http.createServer((_request, response) => {
      response.on('error', () => {});
      responses.push(response);
    });
    const name = abstractName();
    serve(web, name);
    await nextEvent(web, 'listening');
    t.after(() => web.close());
    const clients = Array.from({ length: 5 }, () => rawClient(name, SOCK_STREAM));
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n';
    for (const fd of clients) posix.send(fd, Buffer.from(head));
    await until(() => responses.length === 5, 'requests');
    for (const fd of clients) posix.close(fd);
    for (const response of responses) response.end(Buffer.alloc(1000));
    const count = () => new Promise((done) => web.getConnections((_error, found) => done(found)));
    let open = await count();
    await until(() => {
      count().then((found) => (open = found));
      return open === 0;
    }, 'connections to end');
  });
});

describe('a socket that others shut down', onLinux({}), () => {
  test('a DgramSocket says so at most once, and keeps the loop idle', async (t) => {
    const socket = openSocket(t).bind();
    const errors = [];
    socket.on('error', ({ code }) => errors.push(code));
    posix.shutdown(socket.fd, SHUT_RD);
    await assertIdle('a datagram socket after SHUT_RD');
    assert.ok(errors.length <= 1, errors.join());
    await closed(socket);
  });

  for (const [name, [Server]] of Object.entries(SERVERS)) {
    test(`a ${name} says so once, and keeps the loop idle`, async (t) => {
      const server = await listening(t, Server, () => {});
      const errors = [];
      server.on('error', ({ code }) => errors.push(code));
      posix.shutdown(server.fd, SHUT_RDWR);
      await until(() => errors.length > 0, "'error'");
      await assertIdle('a listener after shutdown()');
      assert.equal(errors.length, 1);
      await closed(server);
    });

    test(`a ${name} that is paused keeps the loop idle, and says so when it accepts again`, async (t) => {
      const server = (await listening(t, Server, () => {})).pause();
      const errors = [];
      server.on('error', ({ code }) => errors.push(code));
      posix.shutdown(server.fd, SHUT_RDWR);
      await assertIdle('a paused listener after shutdown()');
      assert.deepEqual(errors, []);
      server.resume();
      await until(() => errors.length > 0, "'error'");
      await assertIdle('a listener that accepts again');
      assert.deepEqual(errors, ['EINVAL']);
      await closed(server);
    });
  }
});

describe('a stranger who sends descriptors that nobody asked for', onLinux({}), () => {
  test('to a server of afunix/net: none is held', async (t) => {
    const sockets = [];
    const server = await listening(t, net.Server, (socket) => {
      sockets.push(socket.on('error', () => {}).pause());
    });
    const clients = Array.from({ length: 5 }, () => rawClient(server.address(), SOCK_STREAM));
    await untilConnections(server, 5);
    const before = countFds();
    for (const fd of clients) {
      for (let count = 0; count < 4; count++) {
        posix.sendmsg(fd, { iov: [Buffer.from('x')], fds: Array(200).fill(0) });
      }
    }
    for (const fd of clients) posix.close(fd);
    await assertIdle('a server with strangers');
    assert.ok(countFds() <= before, `${countFds()} of ${before}`);
    for (const socket of sockets) socket.destroy();
    await closed(server);
  });
});
