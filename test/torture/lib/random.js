'use strict';

// Owns the numbers by which a run of the torture cases can be made again.

/** mulberry32: the same numbers, from 0 to 1, for the same seed. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** As many of these at random. */
function draw(all, size, random) {
  const drawn = all.map((one) => ({ one, order: random() }));
  drawn.sort((some, other) => some.order - other.order);
  return drawn.slice(0, size).map(({ one }) => one);
}

module.exports = { draw, randomFrom };
