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
const { runScript } = require('../helpers/node.js');
const { temporaryPath } = require('../helpers/tmp.js');

const EXAMPLES = path.join(__dirname, '..', '..', 'examples');
const { Tap } = require(path.join(EXAMPLES, 'handoff', 'tap.js'));

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

test('a listening server moves three times while 4 clients connect: none is refused', async (t) => {
  const meetingPoint = temporaryPath(t);
  const program = path.join(EXAMPLES, 'restart', 'version.js');
  const start = async (name) => {
    const child = fork(program, [name, meetingPoint]);
    t.after(() => child.kill());
    const ended = once(child, 'exit');
    const [{ port }] = await once(child, 'message');
    return { child, ended, port };
  };
  let current = await start('1');
  const clients = runScript(
    t,
    async (_afunix, port) => {
      const net = require('node:net');
      const answers = {};
      const failures = [];
      const ask = () =>
        new Promise((resolve) => {
          let text = '';
          const socket = net.connect(port, '127.0.0.1');
          socket.on('data', (data) => (text += data));
          socket.on('error', (error) => failures.push(error.code));
          socket.on('close', () => resolve(text.trim()));
        });
      const keepAsking = async () => {
        while (!(answers[4] > 50) && failures.length === 0) {
          const name = await ask();
          answers[name] = (answers[name] ?? 0) + 1;
        }
      };
      await Promise.all(Array.from({ length: 4 }, keepAsking));
      console.log(JSON.stringify({ answers, failures }));
    },
    [current.port],
  );
  for (const name of ['2', '3', '4']) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const next = await start(name);
    await current.ended;
    current = next;
  }
  const { answers, failures } = await clients;
  assert.deepEqual(failures, []);
  assert.deepEqual(Object.keys(answers).sort(), ['1', '2', '3', '4']);
  current.child.send('stop');
  await current.ended;
});
