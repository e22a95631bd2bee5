'use strict';

// Owns the processes that run programs: so many at once, each program with a limit. A process that crashes or
// hangs is a result, and another one goes on.

const os = require('node:os');
const path = require('node:path');
const { fork } = require('node:child_process');

const CHILD = path.join(__dirname, 'child.js');
/** Milliseconds for all runs of one program. */
const LIMIT = 100_000;

/** One process, one program at a time. */
class Worker {
  /** @param {string} [subject] - 'afunix', or 'afunix/net' */
  constructor(subject = 'afunix') {
    this.subject = subject;
    this.child = null;
    this.ids = 0;
  }

  start() {
    this.child = fork(CHILD, [], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'json',
    });
    this.stderr = '';
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.stderr = (this.stderr + text).slice(-2000);
    });
  }

  /** Resolves to `{ status, differences }`; a crash and a hang are differences, too. */
  judge(program, { whole = false } = {}) {
    if (this.child === null) this.start();
    const { child } = this;
    const id = ++this.ids;
    return new Promise((resolve) => {
      const done = (result) => {
        clearTimeout(timer);
        child.off('message', onMessage).off('exit', onExit);
        resolve(result);
      };
      const lost = (key) => {
        this.child = null;
        const differences = [{ key, kind: 'event', who: 'process', detail: this.stderr }];
        done({ status: 'different', differences });
      };
      const onMessage = (message) => {
        if (message.id === id) done(message);
      };
      const onExit = (code, signal) => lost(`process crashed: ${signal ?? code}`);
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        lost('process hangs');
      }, LIMIT);
      child.on('message', onMessage).on('exit', onExit);
      child.send({ id, program, subject: this.subject, whole });
    });
  }

  close() {
    this.child?.disconnect();
    this.child = null;
  }
}

/** Programs after which a process has done enough. */
const SHIFT = 5000;
/** Programs sleep, and wait for other processes: more than there are processors to run them. */
const PROCESSES = 3 * os.availableParallelism();

/**
 * Runs `count` programs, the one with the number n being `make(n)`, in `processes` processes.
 * @param {{ subject?: string, processes?: number }} options
 * @param {(number: number, program: object, result: object) => void} report - of each
 */
async function runAll(make, count, { subject, processes = PROCESSES }, report) {
  let next = 0;
  const work = async () => {
    const worker = new Worker(subject);
    for (let done = 1; next < count; done++) {
      const number = next++;
      const program = make(number);
      report(number, program, await worker.judge(program));
      if (done % SHIFT === 0) worker.close();
    }
    worker.close();
  };
  await Promise.all(Array.from({ length: processes }, work));
}

module.exports = { Worker, runAll };
