'use strict';

// Owns the same program with one of its steps a moment earlier or later. Where net does with it what USocket does
// without, a difference is one of moments: between a step and what the loop brings from outside. What is inside of
// handlers is not moved: in which order that comes is what a user relies on.

const WAITS = new Set(['tick', 'turn']);

/** All programs that differ from this one in one wait between its steps: it is there, or is not. */
function* shifts(program) {
  const { steps } = program;
  const spliced = (...change) => ({ ...program, steps: steps.toSpliced(...change) });
  for (let at = 0; at < steps.length; at++) {
    if (WAITS.has(steps[at].do)) yield spliced(at, 1);
    for (const wait of WAITS) yield spliced(at, 0, { do: wait });
  }
}

module.exports = { shifts };
