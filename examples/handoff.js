'use strict';

// A live HTTP connection moves to another process, and its client does not notice: one keep-alive
// TCP connection, whose first requests this process answers and whose others a second process,
// handoff/successor.js, that gets the connection's descriptor over a Unix socket.
// Run: node examples/handoff.js (after `npm start` or `npm run build` has built the addon)

const { fork } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { UServer } = require('afunix');
const { Tap } = require('./handoff/tap.js');

/** A server on a free TCP port that gives each connection away after `limit` requests. */
function serve(limit, giveAway) {
  const server = http.createServer((request, response) => {
    const tap = request.socket;
    if (++tap.requests === limit) {
      // The next request is the successor's: leave it unread.
      tap.shut();
      response.on('finish', () => giveAway(tap.takeOff()));
    }
    response.end(`${request.url} was answered by process ${process.pid}`);
  });
  return net.createServer({ pauseOnConnect: true }, (socket) => {
    const tap = new Tap(socket);
    tap.requests = 0;
    server.emit('connection', tap);
  });
}

/** Sends a connection to the successor; here it is closed, there it lives on. */
function send(successor, connection) {
  const rest = connection.read() ?? Buffer.alloc(0);
  const header = Buffer.alloc(4);
  header.writeUInt32LE(rest.length);
  successor.write({ data: Buffer.concat([header, rest]), fds: [connection] });
  // The descriptor has been sent or duplicated: this closes ours only.
  connection.destroy();
}

async function get(port, url, agent) {
  const request = http.get({ port, path: url, agent });
  const [response] = await once(request, 'response');
  const chunks = await response.toArray();
  return { text: Buffer.concat(chunks).toString(), port: request.socket.localPort };
}

async function run({ folder, say }) {
  const server = new UServer();
  server.listen(path.join(folder, 'handoff.sock'));
  const child = fork(path.join(__dirname, 'handoff', 'successor.js'), [server.address()]);
  const [successor] = await once(server, 'connection');
  say(`This is process ${process.pid}; process ${child.pid} is to succeed it.`);

  const front = serve(2, (connection) => send(successor, connection)).listen(0, '127.0.0.1');
  await once(front, 'listening');
  const { port } = front.address();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set();
  for (const url of ['/one', '/two', '/three', '/four']) {
    const answer = await get(port, url, agent);
    ports.add(answer.port);
    say(`  ${answer.text}`);
  }
  if (ports.size !== 1) throw new Error('the client had to connect again');
  say('The client used one connection all the time.');

  agent.destroy();
  front.close();
  successor.end();
  server.close();
  await Promise.all([once(child, 'exit'), once(server, 'close')]);
}

module.exports = { title: 'A live HTTP connection moves to another process', run };

if (require.main === module) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-handoff-'));
  run({ folder, say: console.log }).finally(() => fs.rmSync(folder, { recursive: true }));
}
