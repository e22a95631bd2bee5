'use strict';

/** Owns the order of trials: rounds of one trial for each implementation, in rotating order. */

const path = require('node:path');
const { Trial } = require('./processes');
const { summarize } = require('./statistics');

const ROLE = path.join(__dirname, '..', 'role.js');

/** The name of the plain C loop among the implementations. */
const LIMIT = 'c';

/** Seconds that a role may take beside the time it measures. */
const PATIENCE = 15;

/** The measures of one trial, or `{ error }`. */
async function runTrial(bench, command, { limit, duration }) {
  const timeout = duration + PATIENCE;
  const trial = new Trial({ command, limit, caseName: bench.name, duration, timeout });
  try {
    return await bench.measure(trial);
  } catch (error) {
    return { error: error.message };
  } finally {
    await trial.close();
  }
}

/**
 * Runs a case.
 *
 * @param {object} bench the case
 * @param {object} options
 * @param {number} options.rounds
 * @param {number} options.duration seconds to measure in a trial
 * @param {string[]} options.limit what runs a role of limit*.c
 * @param {(name: string, kind: string) => { version?: string, unavailable?: string }} options.probe
 * @param {(round: number, name: string, measures: object) => void} options.onTrial
 * @returns {Promise<object>} for each implementation `{ version, unavailable, rounds, summary }`
 */
async function runCase(bench, { rounds, duration, limit, probe, onTrial }) {
  const results = bench.limit === false ? {} : { [LIMIT]: { rounds: [] } };
  for (const name of bench.implementations) {
    results[name] = { ...probe(name, bench.kind), rounds: [] };
  }
  const names = Object.keys(results).filter((name) => !results[name].unavailable);
  const commandOf = (name) =>
    name === LIMIT ? limit : [process.execPath, ...(bench.nodeFlags ?? []), ROLE, name];

  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length];
      const measures = await runTrial(bench, commandOf(name), { limit, duration });
      results[name].rounds.push(measures);
      onTrial(round, name, measures);
    }
  }
  for (const result of Object.values(results)) {
    result.summary = summarize(bench.metrics, result.rounds, (name) => results[name]?.rounds);
  }
  return results;
}

module.exports = { runCase, LIMIT };
