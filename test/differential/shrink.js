'use strict';

// Owns making a program short that shows a difference: steps are left out as long as the same difference stays,
// then sizes and options become small.

/** All places of a program where a list of steps is. */
function* lists(program) {
  const visit = function* (steps) {
    yield steps;
    for (const step of steps) {
      if (step.run) yield* visit(step.run);
      if (step.then) yield* visit(step.then);
    }
  };
  yield* visit(program.steps);
  for (const steps of program.connections ?? []) yield* visit(steps);
}

const copy = (value) => JSON.parse(JSON.stringify(value));

const countSteps = (program) => [...lists(program)].reduce((sum, list) => sum + list.length, 0);

/** Leaves out parts of one list, halves first: delta debugging. */
async function shorten(program, index, shows) {
  let best = program;
  const at = (candidate) => [...lists(candidate)][index];
  for (let size = at(best)?.length ?? 0; size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < (at(best)?.length ?? 0);) {
      const candidate = copy(best);
      at(candidate).splice(start, size);
      if (await shows(candidate)) best = candidate;
      else start += size;
    }
  }
  return best;
}

/** Simpler values for the members of a step or of options. */
function* simpler(program) {
  for (const list of [...lists(program)]) {
    for (const step of list) {
      for (const [name, value] of Object.entries(step)) {
        const set = function* (...values) {
          for (const one of values) {
            if (one === value) continue;
            if (one === undefined) delete step[name];
            else step[name] = one;
            yield;
            step[name] = value;
          }
        };
        if (name === 'size' && value > 1) yield* set(0, 1, 10, 100, 1000, 10_000, 100_000);
        else if (name === 'kind') yield* set('buffer');
        else if (name === 'parts') yield* set(1);
        else if (name === 'sink') yield* set('fast', 'stuck');
        else if (['callback', 'then', 'how', 'error', 'sinkMark', 'listener'].includes(name)) {
          yield* set(undefined);
        } else if (name === 'options') {
          yield* set({}, { highWaterMark: 16384 }, { highWaterMark: 16384, allowHalfOpen: true });
        }
      }
    }
  }
  for (const name of Object.keys(program.server ?? {})) {
    const value = program.server[name];
    if (name === 'highWaterMark' && value === 16384) continue;
    if (name === 'highWaterMark') program.server[name] = 16384;
    else delete program.server[name];
    yield;
    program.server[name] = value;
  }
  for (const mode of ['client', 'server']) {
    if (program.mode !== 'both') continue;
    program.mode = mode;
    yield;
    program.mode = 'both';
  }
}

/**
 * The shortest program found that shows the difference with this key.
 * @param {Worker} worker
 */
async function shrink(worker, program, key, limit = 400) {
  let tries = 0;
  const shows = async (candidate) => {
    if (++tries > limit) return false;
    const { status, differences } = await worker.judge(candidate);
    return status === 'different' && differences.some((each) => each.key === key);
  };
  let best = copy(program);
  for (let before = Infinity; countSteps(best) < before;) {
    before = countSteps(best);
    for (let index = 0; index < [...lists(best)].length; index++) {
      best = await shorten(best, index, shows);
    }
  }
  for (let changed = true; changed && tries <= limit;) {
    changed = false;
    const candidate = copy(best);
    const variants = simpler(candidate);
    // Each step of it changes the candidate.
    while (!variants.next().done) {
      if (JSON.stringify(candidate).length > JSON.stringify(best).length + 8) continue;
      if (await shows(candidate)) {
        best = copy(candidate);
        changed = true;
        break;
      }
    }
  }
  return best;
}

module.exports = { shrink };
