'use strict';

// Owns running random programs with messages and comparing with a model: what each callback said against what arrived
// at a Python process, whole, once, in order, with the descriptors of the same files; and the other way round, with
// credentials right or absent.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { DgramSocket, SeqpacketServer, SeqpacketSocket } = require('../../lib');
const { FILES, generate } = require('./messages-generate.js');

/** Milliseconds for what has to happen at the end of a program. */
const PATIENCE = 60_000;

/** The same as content() in messages-peer.py. */
function contentOf(number, size) {
  const bytes = Buffer.alloc(size);
  const unit = Math.min(size, 256);
  for (let at = 0; at < size; at++) bytes[at] = number * 31 + (at % unit) * 7;
  if (size >= 4) bytes.writeUInt32LE(number);
  return bytes;
}

const inodeOf = ({ dev, ino }) => `${dev}:${ino}`;

/** The Python process and the files to pass. */
class World {
  constructor(python, folder) {
    this.folder = folder;
    this.count = 0;
    this.paths = Array.from({ length: FILES }, (_, at) => path.join(folder, `file-${at}`));
    for (const file of this.paths) fs.writeFileSync(file, file);
    this.inodes = this.paths.map((file) => inodeOf(fs.statSync(file)));
    const script = path.join(__dirname, 'messages-peer.py');
    this.process = spawn(python, ['-u', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = [];
    readline.createInterface({ input: this.process.stdout }).on('line', (line) => {
      const { result, error } = JSON.parse(line);
      const { resolve, reject } = this.waiting.shift();
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    });
  }

  call(command, more) {
    this.process.stdin.write(`${JSON.stringify({ command, ...more })}\n`);
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  close() {
    this.process.stdin.end();
  }
}

/** One run of one program. */
class MessageRun {
  constructor(world, program, identity) {
    this.world = world;
    this.program = program;
    this.identity = identity;
    this.faults = new Set();
    this.path = path.join(world.folder, `${world.count++}`);
    /** What was sent here, in order: { number, size, files, to, result, calls }. */
    this.sent = [];
    /** What Python sent, in order; what it received, by socket. */
    this.peerSent = [];
    this.peerReceived = { r0: [], stalled: [] };
    this.received = [];
    this.callbackOrder = [];
    this.isClosed = false;
    this.isEnded = false;
    this.peerLeft = false;
    this.isDestroyed = false;
    this.stops = false;
    /** Somebody takes messages. */
    this.isRead = false;
  }

  get isDgram() {
    return this.program.kind === 'dgram';
  }

  fault(text) {
    this.faults.add(`${this.isDgram ? 'dgram' : 'seqpacket'}: ${text}`);
  }

  async open() {
    const { kind, options, reader } = this.program;
    const { beforeConnect = [], ...own } = options;
    const { world } = this;
    if (kind === 'dgram') {
      await world.call('bind', { name: 'r0', path: `${this.path}-r0` });
      await world.call('bind', { name: 'stalled', path: `${this.path}-stalled` });
      this.socket = new DgramSocket(own);
      this.watch();
      if (reader.when !== 'late') this.read();
      this.socket.bind(this.path);
    } else if (kind === 'client') {
      await world.call('listen', { name: 'listener', path: this.path });
      this.socket = new SeqpacketSocket(own);
      this.watch();
      if (reader.when === 'early') this.read();
      const connected = new Promise((resolve) => this.socket.once('connect', resolve));
      this.socket.connect(this.path);
      for (const step of beforeConnect) this.perform(step);
      if (reader.when === 'at once') this.read();
      // A loop that ends before the connection, with an 'error', has closed the socket.
      await Promise.race([connected, this.closed]);
      await world.call('accept', { name: 'r0', listener: 'listener' });
    } else {
      this.server = new SeqpacketServer(own);
      this.server.listen(this.path);
      const connection = new Promise((resolve) => {
        this.server.once('connection', (socket) => {
          this.socket = socket;
          this.watch();
          if (reader.when !== 'late') this.read();
          resolve();
        });
      });
      await world.call('connect', { name: 'r0', path: this.path, kind: 'seqpacket' });
      await connection;
    }
    if (reader.when === 'late') setImmediate(() => this.read());
  }

  watch() {
    const { socket } = this;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isClosed = true;
        resolve();
      });
    });
    socket.on('error', ({ code }) => (this.errorCode ??= code));
    socket.on('end', () => (this.isEnded = true));
  }

  /** Takes messages in the way of the program. */
  read() {
    const { socket } = this;
    const { kind } = this.program.reader;
    this.isRead = kind !== 'none';
    if (kind === 'data') {
      socket.on('data', (data, from, more) => {
        if (this.isDestroyed) this.fault('data after destroy() or close()');
        this.take(data, more ?? data);
      });
    } else if (kind === 'readable') {
      socket.on('readable', () => {
        for (let data; (data = socket.read()) !== null;) this.take(data, data);
      });
    } else if (kind === 'iterate') {
      this.iteration = this.iterate().catch(() => {});
    }
  }

  async iterate() {
    for await (const item of this.socket) this.take(item.data ?? item, item);
  }

  take(data, message) {
    let fds = [];
    try {
      fds = message.fds ?? [];
    } catch (error) {
      this.fault(`descriptors of a message: ${error.code}`);
    }
    const { credentials } = message;
    const files = fds.map((fd) => {
      const inode = inodeOf(fs.fstatSync(fd));
      fs.closeSync(fd);
      return inode;
    });
    this.received.push({ data: Buffer.from(data), files, credentials });
  }

  perform(step) {
    if (this.socket === undefined) return;
    const { socket } = this;
    // A Readable that flows discards what nobody takes; a connection is read before the next setImmediate() runs.
    if (step.do === 'resume' && !this.isRead) return;
    if (step.do === 'send') this.send(step);
    else if (step.do === 'end') {
      socket.end();
      this.stops = true;
    } else if (step.do === 'destroy') {
      this.isDestroyed = true;
      this.stops = true;
      if (this.isDgram) socket.close();
      else socket.destroy();
    } else if (step.do === 'read') {
      const data = this.isDestroyed ? null : socket.read();
      if (data !== null && socket.listenerCount('data') === 0) this.take(data, data);
    } else {
      socket[step.do]();
    }
  }

  send(step) {
    const { world, socket } = this;
    const isLate = this.stops || socket.destroyed || socket.writableEnded === true;
    const record = { ...step, results: [], isLate };
    const fds = step.files.map((at) => fs.openSync(world.paths[at]));
    if (step.closedFd) {
      // The lowest number that is free, as the next duplicate would be.
      const fd = fs.openSync(world.paths[0]);
      fs.closeSync(fd);
      fds.push(fd);
    }
    let isInside = true;
    const callback = (error) => {
      if (isInside) this.fault('a callback inside the call');
      record.results.push(error ? error.code : null);
      this.callbackOrder.push(record);
      for (const next of step.then ?? []) this.perform(next);
    };
    this.sent.push(record);
    try {
      const data = contentOf(step.number, step.size);
      const message = fds.length > 0 ? { data, fds } : data;
      const own = step.callback ? [callback] : [];
      if (this.isDgram) {
        const more = fds.length > 0 ? [{ fds }] : [];
        socket.sendTo(data, `${this.path}-${step.to}`, ...more, ...own);
      } else {
        socket.write(message, ...own);
      }
    } catch (error) {
      record.thrown = error.code;
    } finally {
      isInside = false;
      step.files.forEach((_, at) => fs.closeSync(fds[at]));
    }
  }

  async peerStep(step) {
    const { world } = this;
    if (step.do === 'peerSend' && !this.peerLeft) {
      const messages = step.messages.map((message) => ({
        ...message,
        files: message.files.map((at) => world.paths[at]),
      }));
      const where = this.isDgram ? { path: this.path } : {};
      const results = await world.call('send', { name: 'r0', messages, ...where }).catch(() => []);
      results.forEach((result, at) => {
        if (result === 'sent') this.peerSent.push(step.messages[at]);
      });
    } else if (step.do === 'peerReceive') {
      await this.collect('r0', step.limit);
    } else if (step.do === 'peerShutdown') {
      if (!this.peerLeft) await world.call('shutdown', { name: 'r0' });
    } else if (step.do === 'peerClose') {
      this.peerLeft = true;
      await world.call('close', { name: 'r0' });
    }
  }

  async collect(name, limit) {
    if (name === 'r0' && this.peerLeft) {
      // Who waits for a callback meanwhile needs the event loop to turn.
      await new Promise(setImmediate);
      return 0;
    }
    const messages = await this.world.call('receive', { name, limit });
    const real = messages.filter(({ end }) => end === undefined);
    this.peerReceived[name].push(...real);
    return real.length;
  }

  async run() {
    await this.open();
    for (const step of this.program.steps) {
      if (step.do.startsWith('peer')) await this.peerStep(step);
      else if (step.do === 'wait') await this.world.call('identity');
      else if (step.do === 'tick') await new Promise((resolve) => process.nextTick(resolve));
      else this.perform(step);
    }
    await this.finish();
    this.check();
    return [...this.faults];
  }

  /** Lets all that waits go, reads it, and closes. */
  async finish() {
    const { socket } = this;
    const deadline = performance.now() + PATIENCE;
    const late = () => performance.now() > deadline;
    if (!this.isDestroyed && !this.isDgram) {
      while (socket.writableCorked > 0) socket.uncork();
      if (this.program.reader.kind === 'data') socket.resume();
    }
    const pending = () =>
      this.sent.some(({ callback, thrown, results, to }) => {
        return callback && thrown === undefined && results.length === 0 && to !== 'stalled';
      });
    let quiet = 0;
    while ((pending() || quiet < 2) && !late()) {
      const before = this.received.length;
      const came = await this.collect('r0', 1000);
      quiet = came === 0 && before === this.received.length ? quiet + 1 : 0;
      if (this.isClosed && quiet >= 2) break;
      if (this.peerLeft && !this.isDgram && quiet >= 2) break;
    }
    await this.collect('r0', 1000);
    this.isDestroyed = true;
    const wasStopped = this.stops || this.peerLeft;
    this.mayMiss = wasStopped;
    if (this.isDgram) {
      if (!this.isClosed) socket.close();
    } else {
      socket.destroy();
    }
    const timeout = new Promise((resolve) => setTimeout(resolve, PATIENCE, 'late').unref());
    if ((await Promise.race([this.closed, timeout])) === 'late') this.fault("'close' never comes");
    await new Promise(setImmediate);
    if (this.iteration && (await Promise.race([this.iteration, timeout])) === 'late') {
      this.fault('an iteration never ends');
    }
    await this.collect('r0', 1000);
    if (this.isDgram) await this.collect('stalled', 1000);
    this.server?.close();
    await this.world.call('reset');
  }

  check() {
    const { isDgram } = this;
    for (const { callback, thrown, results, closedFd } of this.sent) {
      if (closedFd && callback && thrown === undefined && results[0] === null) {
        this.fault('no error for a closed descriptor');
      }
      if (results.length > 1) this.fault('a callback twice');
      if (thrown !== undefined && results.length > 0) this.fault('thrown, and a callback');
      if (callback && thrown === undefined && results.length === 0) this.fault('a callback never');
    }
    const streams = isDgram ? ['r0', 'stalled'] : ['r0'];
    for (const name of streams) {
      const sent = this.sent.filter(({ to }) => !isDgram || to === name);
      // What was written after the end is refused at once.
      const order = this.callbackOrder.filter(({ to, isLate }) => {
        return !isLate && (!isDgram || to === name);
      });
      const positions = order.map((record) => sent.indexOf(record));
      if (positions.some((position, at) => at > 0 && position < positions[at - 1])) {
        this.fault('callbacks out of order');
      }
      this.checkArrived(sent, this.peerReceived[name], name);
    }
    this.checkReceived();
  }

  inodesOf({ files }) {
    return files.map((file) => this.world.inodes[file]).join();
  }

  /** What arrived at Python against what callbacks said. */
  checkArrived(sent, arrived, name) {
    let next = 0;
    for (const { size, number, whole, files } of arrived) {
      if (!whole) this.fault('a damaged message arrived');
      // Empty ones have no number: no two of a program have the same files.
      const at = sent.findIndex((record, index) => {
        if (index < next || record.size !== size) return false;
        return size > 0 ? record.number === number : this.inodesOf(record) === files.join();
      });
      if (at < 0) {
        const isOld = sent.some((each) => each.number === number && size > 0);
        this.fault(isOld ? 'a message twice or out of order' : 'a message that nobody sent');
        continue;
      }
      for (const skipped of sent.slice(next, at)) this.checkMissing(skipped, name);
      next = at + 1;
      const record = sent[at];
      if (record.results[0]) this.fault(`arrived, and its callback said ${record.results[0]}`);
      if (record.thrown) this.fault(`arrived, and the call threw ${record.thrown}`);
      if (this.inodesOf(record) !== files.join()) this.fault('other descriptors arrived');
    }
    for (const skipped of sent.slice(next)) this.checkMissing(skipped, name);
  }

  checkMissing(record, name) {
    if (record.thrown !== undefined || record.isLate || (name === 'r0' && this.peerLeft)) return;
    const [result] = record.results;
    if (result === null) this.fault('a callback said sent, and it did not arrive');
    // A loop destroys the socket when it has read to the end, whatever is still to be sent.
    const isCut = this.program.reader.kind === 'iterate' && this.isEnded;
    // Without a callback, 'error' would have said it.
    const isLost = !record.callback && !this.mayMiss && !isCut && this.errorCode === undefined;
    if (isLost && name === 'r0') this.fault('lost without a word');
  }

  /** What was received here against what Python sent. */
  checkReceived() {
    const { reader, options } = this.program;
    for (const [at, { data, files, credentials }] of this.received.entries()) {
      const message = this.peerSent[at];
      if (message === undefined) {
        this.fault('received more than was sent');
        break;
      }
      const expected = contentOf(message.number, message.size);
      if (!data.equals(expected)) this.fault('received something else, or in another order');
      if (this.inodesOf(message) !== files.join()) this.fault('received other descriptors');
      const { pid, uid, gid } = this.identity;
      if (options.credentials && credentials === undefined) this.fault('credentials are missing');
      const isOurs = credentials?.pid === pid && credentials.uid === uid && credentials.gid === gid;
      if (credentials && !isOurs) this.fault('credentials of somebody else');
    }
    const isWhole = !this.mayMiss && this.errorCode === undefined && reader.kind !== 'none';
    const wasPaused = this.program.steps.some((step) => step.do === 'pause' || step.do === 'read');
    if (isWhole && !wasPaused && this.received.length < this.peerSent.length) {
      this.fault('received less than was sent');
    }
  }
}

/**
 * Runs the programs of `count` seeds, one after the other, with a Python process.
 * @returns {Promise<Map<string, { count: number, seed: number }>>} by class of fault
 */
async function runMessages(python, seed, count) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-messages-'));
  const world = new World(python, folder);
  const faults = new Map();
  try {
    const identity = await world.call('identity');
    for (let number = seed; number < seed + count; number++) {
      for (const text of await new MessageRun(world, generate(number), identity).run()) {
        const known = faults.get(text) ?? { count: 0, seed: number };
        known.count++;
        faults.set(text, known);
      }
    }
  } finally {
    world.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return faults;
}

module.exports = { runMessages };
