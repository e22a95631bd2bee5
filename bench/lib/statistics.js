'use strict';

/** Owns the arithmetic over rounds: medians, spreads and ratios taken within a round. */

const { BARE, BEFORE, LIMIT, isRival } = require('./names');

/** @param {number[]} values at least one */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * @param {number[]} values
 * @returns {{ median: number, min: number, max: number } | null} null without values
 */
function spread(values) {
  if (values.length === 0) return null;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** The finite numbers that `key` has in these rounds; failed rounds have none. */
function valuesOf(rounds, key) {
  return rounds.map((round) => round?.[key]).filter(Number.isFinite);
}

/** `key` of each round divided by `key` of the same round of `base`, where both have one. */
function ratiosOf(rounds, base, key) {
  return rounds
    .map((round, i) => round?.[key] / base[i]?.[key])
    .filter((ratio) => Number.isFinite(ratio));
}

/** The metrics of the CPU of a case's roles, from the measures of costOf() in marks.js. */
function costMetricsOf({ costs = [], costDigits: digits = 2 }) {
  return costs.flatMap((role) => [
    { key: `${role}.user`, label: `${role}: user`, digits },
    { key: `${role}.system`, label: 'system', digits },
    { key: `${role}.cpu`, label: 'both', digits, better: 'less' },
  ]);
}

/** The rival whose median is the best; undefined if none has a figure. */
function bestRival({ key, better }, implementations) {
  const sign = better === 'less' ? 1 : -1;
  const figures = Object.keys(implementations)
    .filter(isRival)
    .map((name) => ({ name, value: spread(valuesOf(implementations[name].rounds, key))?.median }))
    .filter(({ value }) => value !== undefined);
  return figures.sort((a, b) => sign * (a.value - b.value))[0]?.name;
}

/**
 * What the figures of a metric are divided by: the C loop, the minimal addon, the best rival, those that a
 * target names, and the other checkout, as far as they have been measured. Nothing for a metric that does not say which
 * way is better.
 *
 * @returns {{ name: string, isBest: boolean }[]}
 */
function basesOf(metric, implementations) {
  if (metric.better === undefined) return [];
  const best = bestRival(metric, implementations);
  const named = (metric.targets ?? []).map(({ to }) => to);
  const wanted = [LIMIT, BARE, best, ...named, BEFORE];
  return [...new Set(wanted)]
    .filter((name) => valuesOf(implementations[name]?.rounds ?? [], metric.key).length > 0)
    .map((name) => ({ name, isBest: name === best }));
}

/**
 * Sums up a metric over all implementations of a case.
 *
 * @param {object} metric
 * @param {Record<string, { rounds: object[] }>} implementations with their measures, or `{ error }`, a round
 * @returns {{ bases: { name: string, isBest: boolean }[], of: Record<string, object> }} `of` has a spread for
 *   each implementation with figures, and in its `ratios` one for each base
 */
function summarize(metric, implementations) {
  const bases = basesOf(metric, implementations);
  const of = {};
  for (const [name, { rounds }] of Object.entries(implementations)) {
    const value = spread(valuesOf(rounds, metric.key));
    if (!value) continue;
    value.ratios = {};
    for (const base of bases) {
      const ratio = spread(ratiosOf(rounds, implementations[base.name].rounds, metric.key));
      if (ratio) value.ratios[base.name] = ratio;
    }
    of[name] = value;
  }
  return { bases, of };
}

module.exports = { summarize, costMetricsOf };
