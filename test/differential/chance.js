'use strict';

// Owns choosing by random numbers, the same for the same seed.

const { randomFrom } = require('../torture/lib/random.js');

/** Chooses. */
class Chance {
  constructor(seed) {
    this.next = randomFrom(seed);
    this.next();
  }

  /** The seed that the environment names, or one of its own. */
  static seed() {
    return Number(process.env.SEED ?? Math.trunc(Math.random() * 2 ** 31));
  }

  below(limit) {
    return Math.floor(this.next() * limit);
  }

  one(values) {
    return values[this.below(values.length)];
  }

  maybe(share) {
    return this.next() < share;
  }

  /** A key of an object whose values are weights. */
  weighted(weights) {
    const entries = Object.entries(weights);
    let at = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      at -= weight;
      if (at < 0) return name;
    }
    return entries[0][0];
  }
}

module.exports = { Chance };
