'use strict';

// Owns waiting in tests: every wait ends, at the latest with an Error that says what did not come.

/** Milliseconds: far more than anything here takes, even on a slow machine that is busy with something else. */
const LIMIT = 100_000;

/**
 * The promise's result, or an Error after the time limit.
 * @template T
 * @param {Promise<T>} promise
 * @param {string} what names the awaited thing in that Error
 * @returns {Promise<T>}
 */
async function within(promise, what, limit = LIMIT) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    const error = new Error(`waited ${limit} ms in vain for ${what}`);
    timer = setTimeout(reject, limit, error);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until the check holds, for what announces itself by no event (another process's doings). */
async function until(check, what, limit = LIMIT) {
  const end = performance.now() + limit;
  while (!check()) {
    if (performance.now() > end) throw new Error(`waited ${limit} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Turns of the event loop in which everything that is under way in one process comes to its end. */
const TURNS = 20;

/**
 * A pause for what is not to happen meanwhile, or happens without an event. After the time the event loop has its
 * turns: on a busy machine the time may pass before it has looked at any socket.
 */
async function delay(milliseconds) {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  for (let turn = 0; turn < TURNS; turn++) await new Promise(setImmediate);
}

/** A queue with a waiting end: what is put in comes out of `next()`, in order. */
class Queue {
  #items = [];
  #waiting = [];
  #failure = null;

  get length() {
    return this.#items.length;
  }

  put(item) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve(item);
    else this.#items.push(item);
  }

  /** From now on `next()` throws the error, once the items are used up. */
  fail(error) {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }

  /** @param {string} what names the awaited item, should it not come in time */
  next(what = 'the next item') {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    if (this.#failure) return Promise.reject(this.#failure);
    const coming = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    return within(coming, what);
  }

  /** The next `count` items. */
  async take(count, what) {
    const items = [];
    while (items.length < count) items.push(await this.next(what));
    return items;
  }
}

module.exports = { LIMIT, Queue, delay, until, within };
