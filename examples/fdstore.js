'use strict';

// A service that survives `systemctl restart`, and a crash, with its connections: systemd keeps descriptors for it
// (FDSTORE=1 of sd_notify(3), FileDescriptorStoreMax= of systemd.service(5)) and hands them to its successor. What is
// not in the kernel, counts and half-read lines, travels in a memory file. Under systemd it stores there. Otherwise it
// starts itself under a small manager of its own and is restarted.
// Run: node examples/fdstore.js (after `npm start` or `npm run build` has built the addon)
//
//   [Service]
//   Type=notify
//   NotifyAccess=main
//   FileDescriptorStoreMax=1024
//   ExecStart=/usr/bin/node fdstore.js /run/example.sock

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const {
  DgramSocket,
  UServer,
  USocket,
  closeFd,
  fromFd,
  listenFds,
  memfd,
  sdNotify,
} = require('afunix');

/** Stores a descriptor under a name, by which it is removed, too. */
const store = (name, holder) => sdNotify(`FDSTORE=1\nFDNAME=${name}`, { fds: [holder] });
const remove = (name) => sdNotify(`FDSTOREREMOVE=1\nFDNAME=${name}`);

/** Answers each line with how many its connection has sent. */
class Service {
  #connections = new Map();
  #last = 0;
  #server;

  constructor(servePath) {
    const stored = new Map(listenFds({ unset: true }).map(({ name, fd }) => [name, fd]));
    const state = takeState(stored);
    this.#last = state.last ?? 0;
    this.#server = new UServer();
    if (stored.has('listener')) {
      this.#server.listen({ fd: stored.get('listener') });
    } else {
      // The file stays for the next one.
      this.#server.listen({ path: servePath, unlinkOnClose: false });
      store('listener', this.#server);
    }
    this.#server.on('connection', (socket) => {
      const name = `connection-${++this.#last}`;
      // At once: a crash does not ask.
      store(name, socket);
      this.#serve(name, socket);
    });
    for (const [name, fd] of stored) {
      if (name.startsWith('connection-')) this.#serve(name, fromFd(fd), state[name]);
    }
    process.once('SIGTERM', () => this.#stop());
    sdNotify('READY=1');
  }

  #serve(name, socket, { count = 0, rest = '' } = {}) {
    const connection = { socket, count, rest };
    this.#connections.set(name, connection);
    this.#last = Math.max(this.#last, Number(name.split('-')[1]));
    socket.on('data', (data) => {
      const lines = `${connection.rest}${data}`.split('\n');
      connection.rest = lines.pop();
      for (const line of lines) socket.write(`${++connection.count}: ${line} (${process.pid})\n`);
    });
    socket
      .on('error', () => {})
      .on('close', () => {
        // Gone, and not given up: the manager need not keep it.
        if (this.#connections.delete(name)) remove(name);
      });
  }

  /** Leaves everything to the successor. */
  async #stop() {
    sdNotify('STOPPING=1');
    this.#server.detach();
    const state = { last: this.#last };
    for (const [name, { socket, count, rest }] of this.#connections) {
      if (socket.writableLength > 0) await once(socket, 'drain');
      const { data } = socket.detach();
      state[name] = { count, rest: `${rest}${data ?? ''}` };
    }
    this.#connections.clear();
    const file = memfd(JSON.stringify(state));
    store('state', file);
    // The manager has it all before this process ends.
    sdNotify('BARRIER=1');
    process.exit();
  }
}

/** What the one before has written down. */
function takeState(stored) {
  if (!stored.has('state')) return {};
  const fd = stored.get('state');
  remove('state');
  const { size } = fs.fstatSync(fd);
  const bytes = Buffer.alloc(size);
  fs.readSync(fd, bytes, 0, size, 0);
  closeFd(fd);
  return JSON.parse(bytes);
}

/** As much of systemd as it takes: keeps descriptors, and starts the service with them. */
class Manager {
  stored = [];
  #socket;
  #waiting = null;

  constructor(folder) {
    this.address = path.join(folder, 'notify.sock');
    this.#socket = new DgramSocket({ credentials: true, receiveFds: true }).bind(this.address);
    this.#socket.on('data', (data, _from, { fds, credentials }) => {
      // Anybody may send here who can open the file: the kernel says who it was.
      if (credentials.pid === this.service?.pid) this.#take(String(data), fds);
      else fds.forEach(closeFd);
    });
  }

  #take(text, fds) {
    const fields = new Map(text.split('\n').map((line) => line.split('=')));
    const name = fields.get('FDNAME') ?? 'stored';
    if (fields.has('FDSTORE')) {
      this.stored.push(...fds.map((fd) => ({ name, fd })));
    } else {
      // Of a barrier, the descriptor's end is the answer.
      fds.forEach(closeFd);
    }
    if (fields.has('FDSTOREREMOVE')) {
      for (const { fd } of this.stored.filter((one) => one.name === name)) closeFd(fd);
      this.stored = this.stored.filter((one) => one.name !== name);
    }
    if (fields.has('READY')) this.#waiting?.();
  }

  /** Starts the service. Resolves when it is ready. */
  async start(...args) {
    const env = {
      ...process.env,
      NOTIFY_SOCKET: this.address,
      LISTEN_FDS: String(this.stored.length),
      LISTEN_FDNAMES: this.stored.map(({ name }) => name).join(':'),
    };
    if (this.stored.length === 0) delete env.LISTEN_FDNAMES;
    const isReady = new Promise((resolve) => (this.#waiting = resolve));
    // The shell becomes the service: so it knows the process id beforehand.
    const script = 'export LISTEN_PID=$$; exec "$0" "$@"';
    this.service = spawn('sh', ['-c', script, process.execPath, __filename, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', ...this.stored.map(({ fd }) => fd)],
      env,
    });
    this.ended = once(this.service, 'exit');
    await isReady;
  }

  /** Stops it: politely, or not. */
  async stop(signal = 'SIGTERM') {
    this.service.kill(signal);
    await this.ended;
    // Its last messages are in our socket: BARRIER=1 has seen to that, or it was not asked.
    await new Promise((resolve) => setImmediate(resolve));
  }

  async close() {
    for (const { fd } of this.stored.splice(0)) closeFd(fd);
    await this.#socket[Symbol.asyncDispose]();
  }
}

async function manage() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-fdstore-'));
  const servePath = path.join(folder, 'service.sock');
  const manager = new Manager(folder);
  await manager.start(servePath);
  const client = new USocket(servePath);
  client.setEncoding('utf8');
  const ask = async (text) => {
    client.write(text);
    console.log(`  ${String(await once(client, 'data')).trim()}`);
  };
  await ask('first\n');
  client.write('a line that is half');
  await manager.stop();
  console.log(`stopped; the manager keeps ${manager.stored.map(({ name }) => name).join(', ')}`);
  await manager.start(servePath);
  await ask(' and then whole\n');
  await manager.stop('SIGKILL');
  console.log('killed');
  // Sent to nobody, and kept by the kernel. What the service counted has died with it.
  const answered = ask('third\n');
  await manager.start(servePath);
  await answered;
  client.destroy();
  await manager.stop();
  await manager.close();
  fs.rmSync(folder, { recursive: true });
}

module.exports = { Manager };

if (require.main === module) {
  const [servePath] = process.argv.slice(2);
  if (servePath !== undefined) new Service(servePath);
  else if (process.platform === 'linux') manage();
  else console.log('Skipped: systemd is of Linux alone.');
}
