'use strict';

/** Owns the order of trials: rounds of one trial for each implementation, in changing order. */

const path = require('node:path');
const { BEFORE, LIMIT, OURS } = require('./names');
const { Trial } = require('./processes');

const ROLE = path.join(__dirname, '..', 'role.js');

/** Seconds that a role may take in addition to the time it measures. */
const PATIENCE = 15;

/** The measures of one trial, or `{ error }`. */
async function runTrial(bench, options) {
  const timeout = options.duration + (bench.patience ?? PATIENCE);
  const trial = new Trial({ ...options, caseName: bench.name, timeout });
  try {
    return await bench.measure(trial);
  } catch (error) {
    return { error: error.message };
  } finally {
    await trial.close();
  }
}

/** The implementations of a case in this run: all or some, with the other checkout next to this one. */
function namesOf(bench, { against, only }) {
  const all = bench.limit === false ? bench.implementations : [LIMIT, ...bench.implementations];
  const names = only ? all.filter((name) => only.includes(name)) : all;
  return names.flatMap((name) => (name === OURS && against ? [OURS, BEFORE] : [name]));
}

/** Another one first in each round, and in every second round the other way round: nobody always follows the same. */
function orderOf(names, round) {
  const order = names.map((_, i) => names[(i + round) % names.length]);
  return round % 2 ? order.reverse() : order;
}

/**
 * Runs a case.
 *
 * @param {object} bench the case
 * @param {object} options
 * @param {number} options.rounds
 * @param {number} options.duration seconds to measure in a trial
 * @param {string[]} options.limit what runs a role of limit*.c
 * @param {boolean} options.against whether another checkout is measured, too
 * @param {string[]} [options.only] the implementations to run, if not all
 * @param {(name: string, kinds: string[]) => { version?: string, kinds?: string[], unavailable?: string }}
 *   options.probe
 * @param {(round: number, name: string, measures: object) => void} options.onTrial
 * @returns {Promise<object>} for each implementation `{ version, unavailable, rounds }`
 */
async function runCase(bench, options) {
  const { rounds, duration, limit, probe, onTrial } = options;
  const kinds = [bench.kind].flat();
  const results = {};
  const kindsOf = { [LIMIT]: kinds };
  for (const name of namesOf(bench, options)) {
    if (name === LIMIT) {
      results[name] = { rounds: [] };
      continue;
    }
    const { kinds: found, ...about } = probe(name, kinds);
    kindsOf[name] = found;
    results[name] = { ...about, rounds: [] };
  }
  const names = Object.keys(results).filter((name) => !results[name].unavailable);
  const commandOf = (name) =>
    name === LIMIT ? limit : [process.execPath, ...(bench.nodeFlags ?? []), ROLE, name];

  for (let round = 0; round < rounds; round++) {
    for (const name of orderOf(names, round)) {
      const measures = await runTrial(bench, { name, kinds: kindsOf[name], commandOf, duration });
      results[name].rounds.push(measures);
      onTrial(round, name, measures);
    }
  }
  return results;
}

module.exports = { runCase };
