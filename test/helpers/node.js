'use strict';

// Owns other Node.js processes and threads in tests: scripts written as functions, and receivers that
// can be stopped, continued and killed.

const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { startProgram } = require('./programs.js');
const { Queue, until, within } = require('./wait.js');

const LIB = path.join(__dirname, '..', '..', 'lib');

/** The arguments for Node that run a function of `(afunix, ...args)` as a program. */
function scriptArguments(body, args, flags = []) {
  const source = `(${body})(require(${JSON.stringify(LIB)}), ...JSON.parse(process.argv[1]))`;
  return [...flags, '--eval', source, JSON.stringify(args)];
}

/**
 * Runs a function in a Node process of its own. It sees nothing of this file: only what it is
 * passed and what it requires.
 * @param {import('node:test').TestContext} t
 * @param {(afunix: object, ...args: any[]) => void | Promise<void>} body
 * @param {any[]} [args] what JSON can carry
 * @param {object} [options] as of `spawn`, and
 * @param {string[]} [options.flags] for Node
 * @param {number} [options.openFiles] its limit of open descriptors (RLIMIT_NOFILE)
 */
function startScript(t, body, args = [], { flags, openFiles, ...options } = {}) {
  const nodeArguments = scriptArguments(body, args, flags);
  if (openFiles === undefined) return startProgram(t, process.execPath, nodeArguments, options);
  const command = `ulimit -n ${openFiles} && exec "$0" "$@"`;
  return startProgram(t, 'sh', ['-c', command, process.execPath, ...nodeArguments], options);
}

/**
 * Runs a function as `startScript` to its end, which has to be a good one. Returns what it printed
 * as JSON in its last line; undefined if it printed nothing. `limit`: milliseconds it may take.
 */
async function runScript(t, body, args, { limit, ...options } = {}) {
  const { code, signal, stdout, stderr } = await startScript(t, body, args, options).ended(limit);
  if (code !== 0) throw new Error(`the script ended with ${signal ?? `code ${code}`}\n${stderr}`);
  const last = stdout.trimEnd().split('\n').at(-1);
  return last === '' ? undefined : JSON.parse(last);
}

/**
 * Runs a function of `(afunix, data, port)` in a worker thread. It sees nothing of this file; `port`
 * leads to `messages`. `exited()` is its exit code, `failure()` the Error that ended it, if any, and
 * `stderr()` what it printed there.
 */
function startWorker(t, body, data) {
  const source = `const { parentPort, workerData: [lib, data] } = require('node:worker_threads');
    (${body})(require(lib), data, parentPort);`;
  const worker = new Worker(source, { eval: true, workerData: [LIB, data], stderr: true });
  let stderr = '';
  worker.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const messages = new Queue();
  let failed;
  worker.on('message', (message) => messages.put(message));
  worker.on('error', (error) => {
    failed = error;
    messages.fail(error);
  });
  const exit = new Promise((resolve) => {
    worker.on('exit', (code) => {
      messages.fail(new Error(`the worker ended with code ${code}`));
      resolve(code);
    });
  });
  t.after(() => worker.terminate());
  return {
    worker,
    messages,
    exited: () => within(exit, 'the end of a worker'),
    failure: () => failed,
    stderr: () => stderr,
  };
}

/** Options for scripts that change their user: Node refuses that while libuv may use io_uring. */
const WITHOUT_IO_URING = { env: { ...process.env, UV_USE_IO_URING: '0' } };

/** Binds, says so, and prints every message. With an address to connect to, does that first. */
function receive({ DgramSocket }, name, peer) {
  const { createHash } = require('node:crypto');
  const { closeSync, readFileSync } = require('node:fs');
  const socket = new DgramSocket({ receiveFds: true });
  socket.on('data', (data, from, { fds }) => {
    const text = data.length <= 100 ? String(data) : undefined;
    const digest = createHash('sha256').update(data).digest('hex');
    const files = fds.map((fd) => readFileSync(fd, 'utf8'));
    for (const fd of fds) closeSync(fd);
    console.log(JSON.stringify({ size: data.length, text, digest, from, files }));
  });
  socket.on('error', (error) => console.log(JSON.stringify({ error: error.code })));
  socket.bind(name);
  if (peer !== null) socket.connect(peer);
  console.log('"bound"');
}

/** A process with a bound socket that reads and prints what comes, unless it is stopped. */
class Receiver {
  constructor(program, name) {
    this.program = program;
    this.name = name;
  }

  /** Stalls it: it reads nothing any more. */
  async stop() {
    this.program.kill('SIGSTOP');
    const stat = `/proc/${this.program.pid}/stat`;
    // The state follows the name, which is in brackets. All of its threads are stopped then.
    await until(() => /\) T /.test(fs.readFileSync(stat, 'utf8')), 'the receiver to stop');
  }

  /** Lets it read again. */
  resume() {
    this.program.kill('SIGCONT');
  }

  /** Ends it without giving it time for anything, and waits until it is gone. */
  async kill() {
    this.program.kill('SIGKILL');
    await this.program.ended();
  }

  /** The next message it received: `{ size, text, digest, from, files }`. */
  async next() {
    return JSON.parse(await this.program.lines.next('a message in the receiver'));
  }

  /** The next `count` messages. */
  async take(count) {
    const messages = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }

  /** The texts of the next `count` messages. */
  async texts(count) {
    return (await this.take(count)).map(({ text }) => text);
  }
}

/**
 * Starts a process that is bound to `name`, and connected to `peer` if that is given.
 * @returns {Promise<Receiver>}
 */
async function startReceiver(t, name, peer = null) {
  const receiver = new Receiver(startScript(t, receive, [name, peer]), name);
  await receiver.program.lines.next('the receiver to bind');
  return receiver;
}

/** A receiver that reads nothing until it is resumed. */
async function startStalled(t, name, peer) {
  const receiver = await startReceiver(t, name, peer);
  await receiver.stop();
  return receiver;
}

module.exports = {
  LIB,
  WITHOUT_IO_URING,
  runScript,
  scriptArguments,
  startReceiver,
  startScript,
  startStalled,
  startWorker,
};
