'use strict';

// The smoke script of the `hosts` case: `HOST hosts-smoke.js`. Uses a little of
// everything, then prints one line of JSON: the host's version, its libuv and the one that the addon
// found, and whether libuv uses io_uring. Where the package cannot be loaded it prints the Error.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker, isMainThread } = require('node:worker_threads');

const LIB = path.join(__dirname, '..', '..', '..', 'lib');

function load() {
  try {
    return require(LIB);
  } catch ({ code, message }) {
    console.log(JSON.stringify({ error: { code, message } }));
    return process.exit(0);
  }
}

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket, closeFd } = load();

/** A message with a descriptor. */
async function tryDgram() {
  const [one, two] = DgramSocket.pair({ receiveFds: true });
  const fd = fs.openSync(__filename);
  one.send({ data: 'hello', fds: [fd] });
  fs.closeSync(fd);
  const [data, , { fds }] = await once(two, 'data');
  assert.equal(String(data), 'hello');
  assert.ok(fs.readFileSync(fds[0], 'utf8').startsWith("'use strict'"));
  closeFd(fds[0]);
  one.close();
  two.close();
}

/** A server, a client, an answer, for both kinds of connections. */
async function tryServer(Server, Client, name) {
  const server = new Server((socket) => {
    socket.on('data', (data) => socket.end(`${data}!`));
  });
  server.listen(name);
  await once(server, 'listening');
  const client = new Client().connect(name);
  client.write('hello');
  const [data] = await once(client, 'data');
  assert.equal(String(data), 'hello!');
  client.destroy();
  server.close();
  await once(server, 'close');
}

function tryPosix() {
  const posix = require(path.join(LIB, 'posix'));
  const [one, two] = posix.socketpair(posix.AF_UNIX, posix.SOCK_SEQPACKET, 0);
  posix.send(one, Buffer.from('hello'));
  const room = Buffer.alloc(10);
  assert.equal(posix.recv(two, room), 5);
  posix.close(one);
  posix.close(two);
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-smoke-'));
  try {
    await tryDgram();
    await tryServer(SeqpacketServer, SeqpacketSocket, `${folder}/seqpacket`);
    await tryServer(UServer, USocket, `${folder}/stream`);
    tryPosix();
    const { default: module } = await import(path.join(LIB, 'index.mjs'));
    assert.equal(module.DgramSocket, DgramSocket);
    if (!isMainThread) return;
    const [code] = await once(new Worker(__filename), 'exit');
    assert.equal(code, 0);
    const links = fs.readdirSync('/proc/self/fd').map((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ''; // The one that listed them.
      }
    });
    const { node, uv } = process.versions;
    const found = require(path.join(LIB, 'native', 'binding.js')).uvVersion();
    const ring = links.includes('anon_inode:[io_uring]');
    console.log(JSON.stringify({ node, uv, found, ring }));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

main();
