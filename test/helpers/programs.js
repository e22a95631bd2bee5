'use strict';

// Owns other programs in tests: finding them, skipping without them, running them with their lines
// read, and ending them. Nothing started here outlives its test.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { LIMIT, Queue, within } = require('./wait.js');

/** The path of a program on the PATH; null if there is none. */
function findProgram(name) {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  const executable = (file) => {
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return folders.map((folder) => path.join(folder, name)).find(executable) ?? null;
}

/**
 * Options for `test` or `describe`: skip, with a printed reason, where a program is missing.
 * @param {...string} names
 */
function skipUnless(...names) {
  const missing = names.filter((name) => findProgram(name) === null);
  return { skip: missing.length > 0 && `not installed: ${missing.join(', ')}` };
}

/** The options, or a skip elsewhere than on Linux: for tests with abstract names or /proc. */
const onLinux = (options) =>
  process.platform === 'linux' ? options : { skip: 'needs abstract names and /proc: Linux only' };

/** A running program. */
class Program {
  #child;
  #stdout = '';
  #stderr = '';

  /** Lines of its standard output, as they come; `next()` throws once there can be no more. */
  lines = new Queue();

  constructor(command, args, options) {
    this.name = path.basename(command);
    this.#child = spawn(command, args, { stdio: 'pipe', ...options });
    this.#child.stdin.on('error', () => {}); // It ended without reading: seen by what it did.
    this.#child.stdout.setEncoding('utf8').on('data', (text) => (this.#stdout += text));
    this.#child.stderr.setEncoding('utf8').on('data', (text) => (this.#stderr += text));
    readline.createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.lines.put(line);
    });
    /** @type {Promise<{ code: number | null, signal: string | null, stdout: string, stderr: string }>} */
    this.closed = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.lines.fail(error);
        resolve({ code: null, signal: null, stdout: '', stderr: error.message });
      });
      this.#child.on('close', (code, signal) => {
        const how = `${this.name} ended (${signal ?? `code ${code}`})`;
        this.lines.fail(new Error(`${how}\n${this.#stderr}`));
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Writes to its standard input. */
  write(text) {
    this.#child.stdin.write(text);
  }

  /** Writes the last of its standard input and closes it. */
  end(text) {
    this.#child.stdin.end(text);
  }

  kill(signal = 'SIGTERM') {
    this.#child.kill(signal);
  }

  /** Waits for its end: `{ code, signal, stdout, stderr }`. */
  ended(limit = LIMIT) {
    return within(this.closed, `the end of ${this.name}`, limit);
  }
}

/**
 * Starts a program and, when the test ends, ends it if it still runs.
 * @param {import('node:test').TestContext} t
 * @param {string} command
 * @param {string[]} [args]
 * @param {import('node:child_process').SpawnOptions} [options] as of `spawn`; standard input and
 *   output are pipes
 */
function startProgram(t, command, args = [], options = {}) {
  const program = new Program(command, args, options);
  t.after(async () => {
    program.kill('SIGKILL');
    await program.ended();
  });
  return program;
}

module.exports = { findProgram, onLinux, skipUnless, startProgram };
