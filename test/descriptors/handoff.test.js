'use strict';

// Owns handing connections and servers over between unrelated Node processes, as examples/handoff.js
// and examples/restart.js show it: what the client sees, under load.

const assert = require('node:assert/strict');
const { fork } = require('node:child_process');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { UServer, USocket } = require('../../lib');
const { assertNoLeak, countFds } = require('../helpers/descriptors.js');
const { assertNoLeaks } = require('../helpers/leaks.js');
const { temporaryPath } = require('../helpers/tmp.js');

assertNoLeaks();

const EXAMPLES = path.join(__dirname, '..', '..', 'examples');
const { Tap } = require(path.join(EXAMPLES, 'handoff', 'tap.js'));
const { CLIENTS, run: restart } = require(path.join(EXAMPLES, 'restart.js'));

async function get(port, url, agent, headers) {
  const [response] = await once(http.get({ port, path: url, agent, headers }), 'response');
  return Buffer.concat(await response.toArray()).toString();
}

test('20 keep-alive connections move while their clients go on asking', async (t) => {
  const before = countFds();
  const handover = new UServer();
  handover.listen(temporaryPath(t));
  await once(handover, 'listening');
  const child = fork(path.join(EXAMPLES, 'handoff', 'successor.js'), [handover.address()]);
  t.after(() => child.kill());
  const [successor] = await once(handover, 'connection');

  const server = http.createServer((request, response) => {
    const tap = request.socket;
    tap.requests = (tap.requests ?? 0) + 1;
    // Each connection moves after another number of requests.
    if (tap.requests === Number(request.headers['x-move-after'])) {
      tap.shut();
      response.on('finish', () => {
        const connection = tap.takeOff();
        const rest = connection.read() ?? Buffer.alloc(0);
        const header = Buffer.alloc(4);
        header.writeUInt32LE(rest.length);
        successor.write({ data: Buffer.concat([header, rest]), fds: [connection] });
        connection.destroy();
      });
    }
    response.end(`${request.url} was answered by process ${process.pid}`);
  });
  const front = net.createServer({ pauseOnConnect: true }, (socket) => {
    server.emit('connection', new Tap(socket));
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  let connections = 0;
  front.on('connection', () => connections++);
  const { port } = front.address();

  await Promise.all(
    Array.from({ length: 20 }, async (_, client) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      const moveAfter = 1 + (client % 7);
      for (let turn = 1; turn <= 15; turn++) {
        const text = await get(port, `/${client}/${turn}`, agent, { 'x-move-after': moveAfter });
        const pid = turn <= moveAfter ? process.pid : child.pid;
        assert.equal(text, `/${client}/${turn} was answered by process ${pid}`);
      }
      agent.destroy();
    }),
  );
  assert.equal(connections, 20, 'a client had to connect again');
  front.close();
  successor.end();
  handover.close();
  await Promise.all([once(child, 'exit'), once(handover, 'close')]);
  await assertNoLeak(before);
});

test('bytes that were read before the connection moved are not lost', async (t) => {
  const [here, there] = USocket.pair();
  const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect(server.address().port, '127.0.0.1');
  t.after(() => client.destroy());
  client.write('first');
  const [connection] = await once(server, 'connection');
  connection.resume();
  const [first] = await once(connection, 'data');
  connection.pause();
  const arrived = once(there, 'fds');
  here.write({ data: first, fds: [connection] });
  const [[fd]] = await arrived;
  const { fromFd } = require('../../lib');
  const moved = fromFd(fd);
  moved.unshift(there.read());
  connection.destroy();
  client.end(' and second');
  assert.equal(Buffer.concat(await moved.toArray()).toString(), 'first and second');
  moved.destroy();
  server.close();
  here.destroy();
  there.destroy();
});

test('a web server restarts 10 times under load: no request fails, no kept connection ends', async () => {
  const { answers, failures, kept } = await restart(10);
  assert.deepEqual(failures, []);
  assert.deepEqual(
    [...answers.keys()].sort(),
    Array.from({ length: 11 }, (_, index) => `version ${index + 1}`).sort(),
  );
  assert.equal(kept, CLIENTS);
});
