'use strict';

// Owns the two sides of a conversation for cases/death.js, in one process or two: numbered records go
// from the caller to the answerer and back, some with descriptors, then both end. Every event and
// callback is a moment, passed to a hook that may do there what it likes. Imports lib/ of the project.

const afunix = require('../../../lib');

const { DgramSocket, SeqpacketServer, SeqpacketSocket, UServer, USocket, closeFd } = afunix;

const EVENTS = ['connect', 'ready', 'data', 'end', 'drain', 'finish', 'timeout', 'error', 'close'];
const CLASSES = { stream: [UServer, USocket], seqpacket: [SeqpacketServer, SeqpacketSocket] };

/** What one side saw and did. */
class Side {
  /**
   * @param {string} name 'caller' or 'answerer'
   * @param {{ kind: string, path: string, count: number, size: number }} scene and
   *   `rude`: the name of a side that destroys its connection in the middle
   *   `slow`: the caller keeps silent for a while before its end
   * @param {(moment: string, side: Side) => void} hook
   */
  constructor(name, scene, hook) {
    Object.assign(this, { name, ...scene, hook });
    this.number = 0;
    this.rest = Buffer.alloc(0);
    this.received = 0;
    this.written = 0;
    this.called = 0;
    /** Callbacks without an error: these records are with the kernel. */
    this.confirmed = 0;
    this.problems = [];
    this.closes = new Map();
    this.socket = null;
    this.server = null;
  }

  problem(text) {
    this.problems.push(`${this.name}: ${text}`);
  }

  report(moment) {
    this.hook(`${this.name}:${moment}`, this);
  }

  /** All listeners that a socket can have. */
  watch(socket, name, events) {
    this.closes.set(name, 0);
    for (const event of events) {
      socket.on(event, (argument) => {
        // As of net.Server, each close() of a server emits it.
        const isAgain = event === 'close' && name === 'server';
        if (this.closes.get(name) > 0 && !isAgain) {
          this.problem(`'${event}' of ${name} after 'close'`);
        }
        if (event === 'close') this.closes.set(name, this.closes.get(name) + 1);
        if (event === 'data') this.take(socket, argument);
        if (event === 'error' && argument.message === 'on purpose') this.isFailed = true;
        this.report(name === 'server' ? `server-${event}` : event);
      });
    }
    if (socket instanceof USocket) {
      socket.on('fds', (fds) => {
        if (this.closes.get(name) > 0) this.problem(`'fds' after 'close'`);
        fds.forEach(closeFd);
        this.report('fds');
      });
    }
  }

  record() {
    const record = Buffer.alloc(this.size, '.');
    record.write(`${this.number++} `);
    return record;
  }

  check(record) {
    const text = record.toString('latin1', 0, 12).split(' ')[0];
    if (record.length !== this.size) this.problem(`a record of ${record.length} bytes`);
    if (text !== `${this.received}`) this.problem(`record ${text} instead of ${this.received}`);
    this.received = Number(text) + 1;
  }

  take(socket, data) {
    if (socket.destroyed) this.problem(`'data' after destroy()`);
    const records = this.received;
    if (this.kind === 'stream') {
      this.rest = this.rest.length === 0 ? data : Buffer.concat([this.rest, data]);
      while (this.rest.length >= this.size) {
        this.check(this.rest.subarray(0, this.size));
        this.rest = this.rest.subarray(this.size);
      }
    } else {
      if (data.fds) data.fds.forEach(closeFd);
      this.check(data);
    }
    if (this.rude === this.name && this.received >= this.count / 2) this.close();
    else if (this.name === 'answerer') for (let at = records; at < this.received; at++) this.send();
  }

  callback() {
    this.written++;
    let isCalled = false;
    return (error) => {
      if (isCalled) this.problem('a callback ran twice');
      isCalled = true;
      this.called++;
      if (!error && this.called === this.confirmed + 1) this.confirmed++;
      this.report('callback');
    };
  }

  /** One record, every third with a descriptor. */
  send() {
    const { socket } = this;
    if (socket === null || this.isOver) return;
    const data = this.record();
    const fds = this.number % 3 === 0 ? [0] : [];
    if (CLASSES[this.kind]) {
      if (socket.destroyed || socket.writableEnded) return;
      socket.write({ data, fds }, this.callback());
    } else if (this.kind === 'dgram') {
      if (socket.fd < 0) return;
      socket.sendTo(data, this.peer, { fds }, this.callback());
    } else if (socket.fd >= 0) {
      socket.send(data, 0, data.length, this.peer, this.callback());
    }
  }

  sendAll() {
    for (let index = 0; index < this.count; index++) this.send();
    const end = () => CLASSES[this.kind] && !this.socket.destroyed && this.socket.end();
    if (this.slow) setTimeout(end, 50);
    else end();
  }

  /** Ends everything of this side at once. */
  close() {
    this.isOver = true;
    this.server?.close();
    this.socket?.close();
  }

  /** Whether everything that was open has said so. */
  get isClosed() {
    return [...this.closes.values()].every((count) => count > 0);
  }

  settle() {
    if (this.called !== this.written) {
      this.problem(`${this.called} callbacks of ${this.written} writes`);
    }
    for (const [name, count] of this.closes) {
      const isRight = name === 'server' ? count > 0 : count === 1;
      if (!isRight) this.problem(`${count} 'close' of ${name}`);
    }
    return this.problems;
  }

  // The answerer listens.
  listen() {
    if (CLASSES[this.kind]) {
      const [Server] = CLASSES[this.kind];
      this.server = new Server({ receiveFds: true }, (socket) => {
        this.socket = socket;
        this.watch(socket, 'socket', EVENTS);
        socket.setTimeout(20);
        this.report('connection');
      });
      this.watch(this.server, 'server', ['listening', 'error', 'close']);
      this.server.listen({ path: this.path, mode: 0o600 }, () => this.report('listen-callback'));
    } else {
      this.openDatagram(this.path, `${this.path}-caller`);
    }
    return this;
  }

  // The caller connects.
  call() {
    if (CLASSES[this.kind]) {
      const [, Socket] = CLASSES[this.kind];
      const socket = (this.socket = new Socket({ receiveFds: true }));
      this.watch(socket, 'socket', EVENTS);
      socket.setTimeout(20);
      socket.connect(this.path, () => this.report('connect-callback'));
      this.sendAll();
      this.report('call');
    } else {
      this.openDatagram(`${this.path}-caller`, this.path);
      this.sendAll();
    }
    return this;
  }

  openDatagram(own, peer) {
    this.peer = peer;
    if (this.kind === 'dgram') {
      const socket = (this.socket = new DgramSocket({ receiveFds: true }));
      this.watch(socket, 'socket', ['listening', 'drain', 'error', 'close']);
      socket.on('data', (data, _path, { fds }) => {
        if (this.closes.get('socket') > 0) this.problem(`'data' after 'close'`);
        fds.forEach(closeFd);
        this.take(socket, data);
        this.report('data');
      });
      socket.bind(own);
    } else {
      const socket = (this.socket = afunix.createSocket('unix_dgram'));
      this.closes.set('socket', 1);
      for (const event of ['listening', 'connect', 'writable', 'congestion', 'error']) {
        socket.on(event, () => this.report(event));
      }
      socket.on('message', (data) => {
        if (socket.fd < 0) this.problem(`'message' after close()`);
        this.take(socket, data);
        this.report('data');
      });
      socket.bind(own);
    }
  }
}

module.exports = { CLASSES, Side };
