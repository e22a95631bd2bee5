// Owns: the listening sockets that the primary of a cluster keeps for its workers.
'use strict';

const { Buffer } = require('buffer');
const { isMainThread } = require('worker_threads');
const { SOCK_SEQPACKET } = require('../native/binding');
const { listen } = require('../sockets/listen');
const { SeqpacketServer } = require('../sockets/seqpacket');
const { UServer } = require('../sockets/userver');
const { lineOf, nameOf, onLine } = require('./protocol');

/** Kind and name → { server, users }. The server accepts nothing: its workers do. */
const shared = new Map();

/** What workers connect to, from the first fork on. */
let door = null;

/** Marks a cluster that has a copy of the package: module registries that are reset bring many into one process. */
const kServed = Symbol.for('afunix.cluster.served');

/** Serves the workers of this process, should it be, or become, the primary of a cluster. */
function serveWorkers() {
  if (process.platform !== 'linux' || !isMainThread) return;
  const cluster = require('cluster');
  if (!cluster.isPrimary || cluster[kServed]) return;
  Object.defineProperty(cluster, kServed, { value: true });
  cluster.on('fork', () => open(cluster));
  if (Object.keys(cluster.workers).length > 0) open(cluster);
}

function open(cluster) {
  if (door !== null) return;
  const allow = ({ pid, uid }) =>
    uid === process.geteuid() &&
    Object.values(cluster.workers).some((worker) => worker.process.pid === pid);
  door = new UServer({ allow, receiveFds: false }, answer);
  // Whoever else has taken the name is no primary to the workers: they look at its pid.
  door.on('error', () => {});
  door.listen({ path: nameOf(process.pid) }).unref();
}

/** A worker asks for a listening socket, and has it for as long as its connection stays. */
function answer(socket) {
  socket.unref();
  socket.on('error', () => {});
  onLine(socket, (asked) => {
    const key = `${asked.type} ${asked.name}`;
    let entry = shared.get(key);
    if (entry === undefined) {
      entry = { server: null, users: 0 };
      try {
        entry.server = start(asked);
      } catch (error) {
        socket.end(lineOf({ errno: error.errno ?? null, syscall: error.syscall }));
        return;
      }
      shared.set(key, entry);
    }
    entry.users++;
    socket.once('close', () => leave(key, entry));
    socket.write({ data: lineOf({ errno: 0 }), fds: [entry.server.fd] });
  });
}

/** Begins to listen for workers, or throws. */
function start({ type, name, backlog, mode, uid, gid, unlinkOnClose }) {
  const server = type === SOCK_SEQPACKET ? new SeqpacketServer() : new UServer();
  const path = Buffer.from(name, 'hex');
  listen(server, { path, backlog, mode, uid, gid, unlinkOnClose });
  return server.unref();
}

/** The last of those that listened is done: the file goes. */
function leave(key, entry) {
  entry.users--;
  if (entry.users > 0) return;
  shared.delete(key);
  entry.server.close();
}

module.exports = { serveWorkers };
