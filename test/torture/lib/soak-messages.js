'use strict';

// Owns what soak cases send: sizes and bytes that sender and receiver each work out from a seed, so
// that the receiver knows of every message, also of an empty one, what it has to be.

const { Buffer } = require('node:buffer');
const { randomFrom } = require('./random.js');

/** The largest message, in bytes. */
const LARGEST = 200_000;
/** Bytes in front of every message that has room for them: its number. */
const NUMBER = 4;

/**
 * The sizes: how likely a class is, and the bytes its messages have, evenly from one to the other.
 * Nine of ten are as small as most messages are; the mean is about 380 bytes.
 */
const SIZES = [
  { upTo: 0.9, from: 0, to: 64 },
  { upTo: 0.99, from: 65, to: 1024 },
  { upTo: 0.999, from: 1025, to: 16_384 },
  { upTo: 1, from: 16_385, to: LARGEST },
];
const DISTRIBUTION = '90 % 0–64 B, 9 % –1 KiB, 0.9 % –16 KiB, 0.1 % –200 kB';

/** A seed for one of several uses of a seed. */
const derive = (seed, use) =>
  (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(use, 7919)) >>> 0;

/** Bytes from which all messages of a seed are cut. */
function makePool(seed) {
  const random = randomFrom(derive(seed, 1));
  const pool = Buffer.allocUnsafe(LARGEST + 65_536);
  for (let at = 0; at < pool.length; at++) pool[at] = random() * 256;
  return pool;
}

/** The messages of one sender to one receiver, one after the other: `next()` moves `number` on. */
class Messages {
  #random;
  #pool;
  /** Of the current message: its number, bytes, and where in the pool its bytes are. */
  number = -1;
  size = 0;
  start = 0;

  constructor(seed, pool) {
    this.#random = randomFrom(seed);
    this.#pool = pool;
  }

  next() {
    const random = this.#random;
    const kind = random();
    let index = 0;
    while (kind >= SIZES[index].upTo) index++;
    const { from, to } = SIZES[index];
    this.size = from + Math.floor(random() * (to - from + 1));
    this.start = Math.floor(random() * 65_536);
    this.number++;
  }

  /** Writes the current message to `target` at `at`. */
  write(target, at) {
    const { size, start } = this;
    this.#pool.copy(target, at, start, start + size);
    if (size >= NUMBER) target.writeUInt32LE(this.number, at);
  }

  /** Whether these bytes are the current message, every one of them. */
  isIn(data, from = 0, to = data.length) {
    const { size, start } = this;
    if (to - from !== size) return false;
    if (size < NUMBER) return data.compare(this.#pool, start, start + size, from, to) === 0;
    if (data.readUInt32LE(from) !== this.number) return false;
    return data.compare(this.#pool, start + NUMBER, start + size, from + NUMBER, to) === 0;
  }
}

/** What a receiver expects of one sender, and how it came. */
class Expected {
  #messages;
  #isCurrent = false;
  /** Messages that came whole and in their turn. */
  good = 0;
  /** Messages that did not, and what the first of them was. */
  bad = 0;
  first = null;

  constructor(seed, pool) {
    this.#messages = new Messages(seed, pool);
  }

  /** Takes the bytes of a message. */
  take(data, from = 0, to = data.length) {
    const messages = this.#messages;
    // A wrong message leaves the expected one in its turn.
    if (!this.#isCurrent) messages.next();
    this.#isCurrent = !messages.isIn(data, from, to);
    if (!this.#isCurrent) {
      this.good++;
      return;
    }
    this.bad++;
    const found = to - from >= NUMBER ? data.readUInt32LE(from) : '?';
    this.first ??= `${messages.size} bytes of number ${messages.number} expected, ${to - from} bytes of number ${found} came`;
    // Goes on behind a gap, which counts as lost because nothing was good there.
    if (found > messages.number && found - messages.number < 1e6) {
      while (messages.number < found) messages.next();
      if (messages.isIn(data, from, to)) {
        this.#isCurrent = false;
        this.good++;
      }
    }
  }
}

module.exports = { DISTRIBUTION, Expected, LARGEST, Messages, derive, makePool, randomFrom };
