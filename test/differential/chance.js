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

/** What becomes of something that was made from a seed: its error says which. */
async function ofSeed(seed, promise) {
  try {
    return await promise;
  } catch (error) {
    error.message = `SEED=${seed}: ${error.message}`;
    throw error;
  }
}

/** Runs for so many seeds, one after the other. */
async function eachSeed(count, run) {
  const first = Chance.seed();
  for (let seed = first; seed < first + count; seed++) await ofSeed(seed, run(new Chance(seed)));
}

module.exports = { Chance, eachSeed, ofSeed };
