'use strict';

// Owns the book that is kept of a run of the faults case: what is due, what came, what was wrong.
//
// What may be wrong: a message out of order, twice, or lost after its callback said that it was sent; a
// callback that does not run, or runs twice; a failure that is no Error with a code, or is reported twice; a
// socket that does not close; an exception nobody could catch; a descriptor left open.

const { setTimeout: sleep } = require('node:timers/promises');

/** Longest silence of a run, in milliseconds: pauses between attempts are 32 at most. */
const PATIENCE = 60_000;

/** The book of one run. */
class Ledger {
  constructor() {
    this.problems = [];
    /** Codes of the errors that were reported. */
    this.errors = [];
    /** What has to happen yet: name → how often. */
    this.due = new Map();
    this.wake = () => {};
    this.sockets = [];
    this.moved = 0;
  }

  wrong(what) {
    if (this.problems.length < 5) this.problems.push(what);
  }

  expect(name, count = 1) {
    this.due.set(name, (this.due.get(name) ?? 0) + count);
  }

  done(name) {
    const left = this.due.get(name) ?? 0;
    if (left === 0) this.wrong(`${name}: more often than it should`);
    else if (left === 1) this.due.delete(name);
    else this.due.set(name, left - 1);
    this.moved++;
    this.wake();
  }

  /** An error was reported. `numeric`: as the package unix-dgram has them. */
  report(where, error, numeric = false) {
    this.moved++;
    const kind = numeric ? 'number' : 'string';
    if (!(error instanceof Error) || typeof error.code !== kind || error.message === '') {
      this.wrong(`${where}: no error with a code: ${error?.stack ?? error}`);
      return;
    }
    this.errors.push({ where, code: error.code, syscall: error.syscall });
    this.wake();
  }

  /** Does something that may throw. */
  attempt(where, body) {
    try {
      return body();
    } catch (error) {
      if (error.syscall === undefined) this.wrong(`${where} threw ${error.stack}`);
      this.report(where, error);
      return undefined;
    }
  }

  /** Until nothing is due, or `over()`; or nothing has happened for long. */
  async settled(over = () => false) {
    let moved = this.moved;
    let quiet = performance.now();
    while (this.due.size > 0 && !over()) {
      await Promise.race([
        sleep(20),
        new Promise((resolve) => {
          this.wake = resolve;
        }),
      ]);
      // One more turn for each: what is awaited must not starve what does the work.
      await new Promise(setImmediate);
      if (this.moved !== moved) [moved, quiet] = [this.moved, performance.now()];
      if (performance.now() - quiet > PATIENCE) {
        this.wrong(`hangs: waits for ${JSON.stringify([...this.due])}`);
        this.due.clear();
      }
    }
  }
}

/** Checks a sequence: each number once, in order; those in `failed` never. */
class Sequence {
  constructor(ledger, name) {
    this.ledger = ledger;
    this.name = name;
    this.last = -1;
    this.seen = new Set();
    this.failed = new Set();
  }

  take(number) {
    if (number <= this.last) this.ledger.wrong(`${this.name}: ${number} after ${this.last}`);
    this.last = number;
    this.seen.add(number);
    if (this.failed.has(number)) this.ledger.wrong(`${this.name}: ${number} failed and came`);
    this.ledger.moved++;
    this.ledger.wake();
  }

  fail(number) {
    this.failed.add(number);
    if (this.seen.has(number)) this.ledger.wrong(`${this.name}: ${number} came and failed`);
  }
}

module.exports = { Ledger, Sequence };
