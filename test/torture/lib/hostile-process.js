'use strict';

// Owns the processes of cases/hostile.js: starting victims and peers, asking them by name for what
// they can do, and what the system says of them. Imports nothing of the project.

const { fork, spawn } = require('node:child_process');
const fs = require('node:fs');

/** Milliseconds: far more than anything here takes, even on a busy machine. */
const LIMIT = 100_000;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Whether the check came true in time. */
async function until(check, limit = LIMIT) {
  const end = performance.now() + limit;
  while (!(await check())) {
    if (performance.now() > end) return false;
    await pause(5);
  }
  return true;
}

/**
 * Starts a file of answers. `files`: how many descriptors the process may have.
 *
 * `ask(what, argument)` resolves to what the other side returned, and rejects if that threw or the
 * process ended; `died` resolves when it has.
 */
function start(file, { files } = {}) {
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'];
  const command = [process.execPath, '--expose-gc', file];
  const child =
    files === undefined
      ? fork(file, { execArgv: ['--expose-gc'], stdio })
      : spawn('sh', ['-c', `ulimit -n ${files} && exec "$@"`, 'sh', ...command], { stdio });
  const kill = () => child.kill('SIGKILL');
  // Not left behind, however this process ends.
  process.once('exit', kill);
  const waiting = new Map();
  let number = 0;
  let end;
  child.on('message', ({ id, value, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  });
  const died = new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      process.off('exit', kill);
      end = signal ?? `code ${code}`;
      for (const { reject } of waiting.values()) reject(new Error(`ended with ${end}`));
      resolve(end);
    });
  });
  const ask = (what, argument) =>
    new Promise((resolve, reject) => {
      if (end !== undefined) return reject(new Error(`${what}: ended with ${end}`));
      const id = number++;
      waiting.set(id, { resolve, reject });
      child.send({ id, what, argument }, (error) => error && reject(error));
    });
  return { ask, died, kill, pid: child.pid };
}

/** The other side of it: answers as long as the parent lives. */
function answer(handlers) {
  process.on('disconnect', () => process.exit(1));
  process.on('message', async ({ id, what, argument }) => {
    try {
      process.send({ id, value: await handlers[what](argument) });
    } catch (error) {
      process.send({ id, error: `${what}: ${error.stack}` });
    }
  });
}

/** How many descriptors a process has. */
const countFds = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;

/** Resident bytes that belong to a process alone. */
function memory(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)[1]) * 1024;
}

/** Notes the most descriptors and memory that a process has, until stop(). */
class Watch {
  #timer;
  worstFds = 0;
  worstMemory = 0;

  constructor(pid) {
    this.pid = pid;
    this.fds = countFds(pid);
    this.memory = memory(pid);
    this.#timer = setInterval(() => this.look(), 20);
  }

  look() {
    try {
      this.worstFds = Math.max(this.worstFds, countFds(this.pid) - this.fds);
      this.worstMemory = Math.max(this.worstMemory, memory(this.pid) - this.memory);
    } catch {
      // It has ended, which its last answer says.
      this.stop();
    }
  }

  stop() {
    clearInterval(this.#timer);
  }
}

module.exports = { Watch, answer, countFds, pause, start, until };
