// Owns: how a server in a worker of a cluster comes by the listening socket that all workers share.
'use strict';

const { Buffer } = require('buffer');
const { isMainThread } = require('worker_threads');
const { closeFd } = require('../native/fds');
const { descriptorError, flag } = require('../native/sockets');
const { kMakeError } = require('../sockets/life');
const { kState } = require('../sockets/members');
const { USocket } = require('../sockets/usocket');
const check = require('../util/validate');
const { lineOf, nameOf, onLine } = require('./protocol');

const REMEDY =
  'the primary of this cluster cannot share it, because it has not loaded afunix: ' +
  'load afunix there, before it forks';

/** The cluster module, in a worker that has a primary. */
function clusterOfWorker() {
  if (process.platform !== 'linux' || !isMainThread || !process.connected) return undefined;
  const cluster = require('cluster');
  return cluster.isWorker ? cluster : undefined;
}

/** Name → the lease of a socket that has been given up. */
const kept = new Map();

/** Without a lease the primary might have nobody left who listens, and would remove the file. One for a name is enough. */
function keepLease(name, socket) {
  kept.get(name)?.destroy();
  kept.set(name, socket);
}

/** What closes each server of this worker. Of one listener for each, an emitter warns from the eleventh on. */
const closers = new Set();
let hearsLeave = false;

/** As net's servers these close when their worker leaves the cluster. Returns what stops listening for that. */
function onLeave(worker, close) {
  if (!hearsLeave) worker.once('disconnect', closeAll);
  hearsLeave = true;
  closers.add(close);
  return () => closers.delete(close);
}

function closeAll() {
  for (const close of [...closers]) close();
}

/** As in sockets/sharing.js. The outcome is an event in a later turn: 'listening' or 'error'. */
function share(server, plan, steps) {
  // Without a name: a descriptor, too.
  if (plan.exclusive || plan.name.length === 0) return false;
  const cluster = clusterOfWorker();
  if (cluster === undefined) return false;
  new Request(server, plan, steps, cluster.worker).send();
  return true;
}

/** One server's request, and later its lease: the primary keeps the socket while the connection is open. */
class Request {
  constructor(server, plan, steps, worker) {
    this.server = server;
    // Used in later turns: a relative name, and the caller's Buffer, mean what they mean now.
    this.plan = { ...plan, name: Buffer.from(plan.name) };
    this.place = Buffer.from(check.addressBytes(plan.path));
    this.steps = steps;
    this.worker = worker;
    this.socket = new USocket();
    this.fds = [];
    /** What stops listening for all that closes the server while it waits. */
    this.stops = null;
  }

  send() {
    const { plan, server, socket } = this;
    const state = server[kState];
    state.request = this;
    const close = () => server.close();
    this.stops = [
      onLeave(this.worker, close),
      ...plan.signals.map((signal) => check.onAbort(signal, close)),
    ];
    if (!state.referenced) socket.unref();
    socket.on('error', () => {});
    // Without an answer there is no primary that knows of this.
    socket.once('close', () => this.settle(() => this.listenAlone()));
    socket.on('fds', (fds) => this.fds.push(...fds));
    onLine(socket, (answer) => this.settle(() => this.take(answer)));
    socket.connect({ path: nameOf(process.ppid) }, () => {
      // Another worker may have been faster to take that name.
      if (socket.peerCredentials?.pid !== process.ppid) socket.destroy();
      else socket.write(lineOf(this.question()));
    });
  }

  question() {
    const { backlog, mode, uid, gid, unlink } = this.plan;
    const given = (number) => (number < 0 ? undefined : number);
    return {
      type: this.server[kState].plan.type,
      name: this.place.toString('hex'),
      backlog,
      mode: given(mode),
      uid: given(uid),
      gid: given(gid),
      unlinkOnClose: unlink === 1,
    };
  }

  stopWaiting() {
    for (const stop of this.stops) stop?.();
  }

  /** Goes on, unless the server was closed meanwhile; what fails is its 'error'. */
  settle(goOn) {
    const { server } = this;
    const state = server[kState];
    if (state.request !== this) return;
    state.request = null;
    this.stopWaiting();
    try {
      goOn();
    } catch (error) {
      server.emit('error', error);
    }
  }

  /** The primary's answer: a listening socket, or why there is none. */
  take({ errno, syscall }) {
    const { fds, plan, server, socket } = this;
    if (errno !== 0) throw server[kMakeError](errno, syscall, plan.path);
    const [fd] = fds;
    // It could not be received: why is the next event of this connection, which nobody hears of.
    if (fd === undefined) throw descriptorError(flag.FDS_LOST);
    const shared = { ...plan, fd };
    const letGo = (isGivenUp) => {
      if (isGivenUp) keepLease(this.place.toString('hex'), socket);
      else socket.destroy();
    };
    try {
      this.begin(shared, shared, letGo);
    } catch (error) {
      closeFd(fd);
      socket.destroy();
      throw error;
    }
    socket.unref();
  }

  /** As without a cluster. */
  listenAlone() {
    const { place, plan } = this;
    try {
      this.begin(plan, { ...plan, name: place }, () => {});
    } catch (error) {
      if (error.code === 'EADDRINUSE') error.message += `; ${REMEDY}`;
      throw error;
    }
  }

  /** Listens; what is opened is `opened`. `letGo(isGivenUp)` is called at the end of that. */
  begin(plan, opened, letGo) {
    const { server, steps } = this;
    steps.begin(server, plan, steps.open(server, opened));
    const state = server[kState];
    const { stopListening } = state;
    const stop = onLeave(this.worker, () => server.close());
    state.stopListening = (isGivenUp) => {
      stop();
      letGo(isGivenUp);
      stopListening?.();
    };
  }

  /** The server was closed while it waited. */
  cancel() {
    this.stopWaiting();
    for (const fd of this.fds) closeFd(fd);
    this.socket.destroy();
  }
}

module.exports = { share };
