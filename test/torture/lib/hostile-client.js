'use strict';

// Owns the well-behaved client of cases/hostile.js: asks a victim again and again while others attack
// it, and notes how long the answers take. Imports lib/ of the project and hostile-process.js.

const { SeqpacketSocket, USocket } = require('../../../lib');
const { pause, until } = require('./hostile-process.js');

const CLASSES = { stream: USocket, seqpacket: SeqpacketSocket };
/** Milliseconds that an answer may take: it is in time on a busy machine too. */
const IN_TIME = 60_000;

class Client {
  #socket;
  #answer = null;
  #isStopped = false;
  #loop;
  /** Answers so far. */
  count = 0;
  /** Milliseconds of the slowest. */
  worst = 0;
  problems = [];

  constructor(kind, path) {
    this.#socket = new CLASSES[kind]();
    this.#socket.on('error', (error) => this.problems.push(`a client got ${error.message}`));
    this.#socket.on('close', () => {
      if (!this.#isStopped) this.problems.push('a client was closed');
    });
    this.#socket.on('data', (data) => (this.#answer = String(data)));
    this.#socket.connect(path);
    this.#loop = this.#run();
  }

  async #run() {
    while (!this.#isStopped && this.problems.length === 0) {
      const question = `ping ${this.count}`;
      const start = performance.now();
      this.#socket.write(question);
      const came = await until(() => this.#answer !== null || this.problems.length > 0, IN_TIME);
      this.worst = Math.max(this.worst, performance.now() - start);
      if (this.problems.length > 0) return;
      if (!came) this.problems.push(`a client got no answer within ${IN_TIME} ms`);
      else if (this.#answer !== question) this.problems.push(`a client got ${this.#answer}`);
      this.#answer = null;
      this.count++;
      await pause(10);
    }
  }

  /** Resolves to whether it has been served since. */
  served() {
    const before = this.count;
    return until(() => this.count > before + 1 || this.problems.length > 0);
  }

  /** Ends it; resolves to what was not as it should be. */
  async stop() {
    if (this.count === 0) await this.served();
    this.#isStopped = true;
    await this.#loop;
    this.#socket.destroy();
    return this.problems;
  }
}

module.exports = { Client };
