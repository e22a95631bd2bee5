'use strict';

/**
 * Owns the processes of a trial: starting them (pinned, with enough descriptors), their lines on
 * stdout, their time limit and their end. Nothing started here outlives the trial.
 */

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { LIMIT } = require('./names');

/** Jiffies a second in /proc; 100 on every Linux that Node runs on. */
const CLOCK_TICKS = 100;

const openTrials = new Set();

/** The line that says why, out of what a failed program printed; undefined if it printed nothing. */
function reasonIn(output) {
  const lines = output.split('\n').map((line) => line.trim());
  const first = (pattern) => lines.find((line) => pattern.test(line));
  return first(/^\w*Error\b.*:/) ?? first(/\berror:|^limit:/i) ?? first(/./);
}

/** CPU seconds that a process has used so far, or null where /proc does not say. */
function cpuSeconds(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  } catch {
    return null;
  }
}

/**
 * The processor to pin to: the last one we may use, as the first often serves interrupts. 'apart': the
 * first, for what is to run next to that.
 */
function cpuFor(pin) {
  const status = fs.readFileSync('/proc/self/status', 'latin1');
  const [, first, last] = /^Cpus_allowed_list:\s*(\d+)(?:.*?(\d+))?$/m.exec(status);
  return pin === 'apart' ? first : (last ?? first);
}

/** Whether taskset (util-linux) is there; without it nothing is pinned. */
let taskset;
function canPin() {
  taskset ??= spawnSync('taskset', ['--version']).status === 0;
  return taskset;
}

/** One child process: two promises, `ready` and `result`, and its end. */
class Role {
  /**
   * @param {string} label for messages
   * @param {string[]} command
   * @param {number} timeout seconds until it is ended
   */
  constructor(label, [file, ...args], timeout) {
    this.label = label;
    this.errors = '';
    this.started = performance.now();
    this.child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const settle = { ready: {}, result: {} };
    for (const name of ['ready', 'result']) {
      this[name] = new Promise((resolve, reject) =>
        Object.assign(settle[name], { resolve, reject }),
      );
      this[name].catch(() => {}); // whoever awaits it still sees it
    }
    const fail = (reason) => {
      const error = new Error(`${label}: ${reason}`);
      settle.ready.reject(error);
      settle.result.reject(error);
    };
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => {
      let message;
      try {
        message = JSON.parse(line);
      } catch {
        return; // what a rival prints is not for us
      }
      settle[message.ready ? 'ready' : 'result'].resolve(message);
    });
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.errors = (this.errors + text).slice(-4000);
    });
    const timer = setTimeout(() => fail(this.timedOut(timeout)), timeout * 1e3);
    this.exited = new Promise((resolve) => {
      const end = (reason) => {
        clearTimeout(timer);
        fail(reasonIn(this.errors) ?? reason);
        resolve();
      };
      this.child.once('error', (error) => end(error.message));
      this.child.once('close', (code, signal) => end(`ended early (${signal ?? `code ${code}`})`));
    });
  }

  timedOut(timeout) {
    const cpu = cpuSeconds(this.child.pid);
    const elapsed = (performance.now() - this.started) / 1e3;
    const share = cpu === null ? '' : `, using ${Math.round((cpu / elapsed) * 100)} % CPU`;
    return `no result in ${timeout} s${share}`;
  }

  /** Asks for the result of what there is so far. */
  stop() {
    this.child.kill('SIGTERM');
  }

  kill() {
    this.child.kill('SIGKILL');
  }
}

/** The processes and the directory of one trial. */
class Trial {
  /**
   * @param {object} options
   * @param {string} options.name the implementation under test
   * @param {string[]} options.kinds which of the case's kinds of socket it has
   * @param {(name: string) => string[]} options.commandOf what runs a role of an implementation
   * @param {string} options.caseName
   * @param {number} options.duration seconds to measure
   * @param {number} options.timeout seconds until a role is ended
   */
  constructor(options) {
    this.options = options;
    this.name = options.name;
    this.kinds = options.kinds;
    this.caseName = options.caseName;
    this.duration = options.duration;
    this.roles = [];
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-bench-'));
    openTrials.add(this);
  }

  /** A path in the directory of this trial. */
  path(name) {
    return path.join(this.dir, name);
  }

  /**
   * Starts a role of the implementation under test.
   *
   * @param {string} role
   * @param {object} [params] passed on as name=value
   * @param {object} [how]
   * @param {boolean | 'apart'} [how.pin] run on one processor, the same for all that are pinned;
   *   'apart': on another
   * @param {number} [how.files] descriptors that it must be able to open
   */
  start(role, params, how) {
    return this.startOf(this.name, role, params, how);
  }

  /** Starts a role of another implementation. */
  startOf(name, role, params, how) {
    return this.#run(name, this.caseName, role, params, how);
  }

  /** Starts a role of limit*.c, whatever is under test. */
  startLimit(caseName, role, params, how) {
    return this.#run(LIMIT, caseName, role, params, how);
  }

  #run(name, caseName, role, params = {}, { pin = false, files = 0 } = {}) {
    const { timeout, commandOf } = this.options;
    const command = commandOf(name);
    const pairs = Object.entries({ ...params, timeout: timeout + 5 });
    let line = [...command, caseName, role, ...pairs.map(([name, value]) => `${name}=${value}`)];
    if (pin && canPin()) line = ['taskset', '-c', cpuFor(pin), ...line];
    if (files) line = ['sh', '-c', 'ulimit -n "$0" && exec "$@"', String(files), ...line];
    const child = new Role(role, line, timeout);
    this.roles.push(child);
    return child;
  }

  /** Runs one of several parts of this trial, with processes and a directory of its own. */
  async part(run) {
    const part = new Trial(this.options);
    try {
      return await run(part);
    } finally {
      await part.close();
    }
  }

  /** Ends every process of the trial and removes its directory. */
  async close() {
    this.abandon();
    await Promise.all(this.roles.map((role) => role.exited));
  }

  /** The same without waiting, for the last moment of the bench itself. */
  abandon() {
    openTrials.delete(this);
    for (const role of this.roles) role.kill();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

process.on('exit', () => {
  for (const trial of openTrials) trial.abandon();
});

module.exports = { Trial, canPin, reasonIn };
