'use strict';

/** Owns the arithmetic over rounds: medians, spreads and ratios taken within a round. */

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

/**
 * Sums up one implementation's rounds of a case.
 *
 * @param {object[]} metrics the case's
 * @param {object[]} rounds its measures, or `{ error }`, a round
 * @param {(name: string) => object[] | undefined} roundsOf the rounds of another implementation
 */
function summarize(metrics, rounds, roundsOf) {
  const summary = {};
  for (const { key, ratioTo } of metrics) {
    const value = spread(valuesOf(rounds, key));
    if (!value) continue;
    summary[key] = value;
    const base = ratioTo && roundsOf(ratioTo);
    const ratio = base && spread(ratiosOf(rounds, base, key));
    if (ratio) value.ratio = ratio;
  }
  return summary;
}

module.exports = { median, spread, summarize };
