'use strict';

/** Owns the readable form of results: results.md, and the figures that are shown on the way. */

const { BEFORE, LIMIT, OURS, hasTargets, titleOf } = require('./names');
const { costMetricsOf, summarize } = require('./statistics');

const HEAD = `# Benchmarks

Written by \`npm run bench\` from results.json; see README.md for how it measures.
Figures are medians over rounds with (least–most); a ratio is taken within each round. CPU is that of a process in µs an
operation: a message, a round trip, a connection, a request.`;

/** Beyond this, a case of --against has become better or worse. */
const NOTABLE = 0.97;

function figure(value, digits = 0) {
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString('en-US', format);
}

function withSpread({ median, min, max }, digits) {
  return `${figure(median, digits)} (${figure(min, digits)}–${figure(max, digits)})`;
}

const titleOfBase = ({ name, isBest }) => `÷ ${titleOf(name)}${isBest ? ' (best rival)' : ''}`;

/**
 * What a target asks for, and whether a figure has it.
 *
 * @param {object} target
 * @param {string} name whose figure
 * @param {{ bases: object[], of: object }} summary of its metric
 */
function judge({ to, atLeast, atMost, aim, always }, name, { bases, of }) {
  const bound = atLeast ?? atMost;
  const isLeast = atLeast !== undefined;
  const best = bases.find(({ isBest }) => isBest)?.name;
  const base = to === 'rival' ? best : to;
  const value = of[name];
  const reached = to === undefined ? value : value?.ratios[base];
  const shown = Number.isInteger(bound) ? figure(bound) : figure(bound, 2);
  const ofWhat = to === undefined ? '' : ` of ${to === 'rival' ? 'the best rival' : titleOf(to)}`;
  const wanted = [`${isLeast ? '≥' : '≤'} ${shown}${ofWhat}`];
  if (aim !== undefined) wanted.push(`aim ${figure(aim, 2)}`);
  if (always) wanted.push('in every round');
  const good = (number, limit) => (isLeast ? number >= limit : number <= limit);
  let verdict = 'no figure';
  if (reached) {
    const worst = isLeast ? reached.min : reached.max;
    const number = always ? worst : reached.median;
    if (!good(number, bound)) verdict = 'missed';
    else verdict = aim !== undefined && !good(number, aim) ? 'reached, aim not' : 'reached';
  }
  return `${wanted.join(', ')}: **${verdict}**`;
}

/** Failed rounds, lost messages and the like. */
function remarksOn({ faults = {} }, { unavailable, rounds }) {
  if (unavailable) return `not measured: ${unavailable}`;
  const remarks = [];
  for (const [key, label] of Object.entries(faults)) {
    const sum = rounds.reduce((total, round) => total + (round[key] ?? 0), 0);
    if (sum > 0) remarks.push(`${figure(sum)} ${label}`);
  }
  const errors = rounds.map(({ error }) => error).filter(Boolean);
  if (errors.length > 0) {
    remarks.push(`failed in ${errors.length} of ${rounds.length} rounds: ${errors[0]}`);
  }
  return remarks.join('; ');
}

/** A line of a table. */
const row = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/** The implementations in the order to show them. */
function shown(bench, implementations) {
  return [OURS, BEFORE, ...bench.implementations, LIMIT]
    .filter((name, index, all) => implementations[name] && all.indexOf(name) === index)
    .map((name) => ({ name, ...implementations[name] }));
}

/** A table of some metrics, a row for each implementation; `more(name)` gives further cells. */
function tableOf(metrics, bench, implementations, moreHeader, more) {
  const summaries = metrics.map((metric) => ({ metric, ...summarize(metric, implementations) }));
  const header = ['implementation'];
  for (const { metric, bases } of summaries) {
    header.push(metric.label, ...bases.map(titleOfBase));
  }
  const rule = ['---', ...Array(header.length - 1).fill('---:'), ...moreHeader.map(() => '---')];
  const lines = [row([...header, ...moreHeader]), row(rule)];
  for (const implementation of shown(bench, implementations)) {
    const { name, version } = implementation;
    const cells = [version ? `${titleOf(name)} ${version}` : titleOf(name)];
    for (const { metric, bases, of } of summaries) {
      cells.push(of[name] ? withSpread(of[name], metric.digits) : '–');
      for (const base of bases) {
        const ratio = of[name]?.ratios[base.name];
        cells.push(ratio ? withSpread(ratio, 2) : '–');
      }
    }
    lines.push(row([...cells, ...more(implementation, summaries)]));
  }
  return lines.join('\n');
}

/** The tables of a case: its metrics, and the CPU of its roles. */
function table(bench, implementations) {
  const judged = (name, summaries) =>
    summaries.flatMap((summary) => {
      const targets = hasTargets(name) ? (summary.metric.targets ?? []) : [];
      return targets.map((target) => judge(target, name, summary));
    });
  const main = tableOf(
    bench.metrics,
    bench,
    implementations,
    ['target', 'remarks'],
    (implementation, summaries) => [
      judged(implementation.name, summaries).join('; '),
      remarksOn(bench, implementation),
    ],
  );
  const costs = costMetricsOf(bench);
  const isMeasured = (metric) => Object.keys(summarize(metric, implementations).of).length > 0;
  if (!costs.some(isMeasured)) return main;
  const cpu = tableOf(costs, bench, implementations, [], () => []);
  return `${main}\n\nCPU, µs ${bench.per ?? 'an operation'}:\n\n${cpu}`;
}

/**
 * The table of --against: every figure of this checkout divided by that of the other.
 *
 * @param {object[]} cases
 * @param {object} results an entry a case
 * @returns {string}
 */
function comparison(cases, results) {
  const lines = [
    row(['case', 'figure', 'now ÷ before', 'verdict']),
    row(['---', '---', '---:', '---']),
  ];
  for (const bench of cases) {
    const { implementations } = results[bench.name];
    for (const metric of [...bench.metrics, ...costMetricsOf(bench)]) {
      if (metric.better === undefined) continue;
      const ratio = summarize(metric, implementations).of[OURS]?.ratios[BEFORE];
      if (!ratio) continue;
      const gain = metric.better === 'less' ? 1 / ratio.median : ratio.median;
      const worse = gain < NOTABLE ? '**worse**' : '';
      const verdict = gain > 1 / NOTABLE ? 'better' : worse;
      const isCost = !bench.metrics.includes(metric);
      const label = isCost ? `CPU, ${metric.key.split('.')[0]}` : metric.label;
      lines.push(row([bench.name, label, withSpread(ratio, 2), verdict]));
    }
  }
  return lines.join('\n');
}

function describe(machine) {
  const { cpu, cores, memoryGiB, kernel, maxDgramQlen, node, rustc, cc } = machine;
  return [
    `${cpu}, ${cores} processors, ${memoryGiB} GiB`,
    `${kernel}, net.unix.max_dgram_qlen ${maxDgramQlen}`,
    `Node ${node}, ${rustc ?? 'rustc unknown'}, ${cc ?? 'cc unknown'}`,
  ].join('; ');
}

function section(bench, { date, commit, machine, rounds, duration, implementations }) {
  const of = commit ? `commit ${commit}` : 'no commit yet';
  const trials = `${rounds} rounds${duration ? ` of ${duration} s` : ''}`;
  return [
    `## ${bench.name}`,
    `${bench.about}`,
    table(bench, implementations),
    `${date.slice(0, 16).replace('T', ' ')} UTC, ${of}, ${trials}. ${describe(machine)}.`,
  ].join('\n\n');
}

/**
 * @param {object[]} cases in the order to show them
 * @param {object} results what results.json holds: an entry a case
 * @returns {string} results.md
 */
function render(cases, results) {
  const sections = cases.filter(({ name }) => results[name]);
  return `${[HEAD, ...sections.map((bench) => section(bench, results[bench.name]))].join('\n\n')}\n`;
}

/** One trial in a few words. */
function brief(bench, name, measures) {
  const costs = costMetricsOf(bench)
    .filter(({ better }) => better)
    .map(({ key, digits }) => ({ key, label: `µs CPU, ${key.slice(0, -4)}`, digits }));
  const isNew = ({ key }) => bench.metrics.every((metric) => metric.key !== key);
  const figures = [...bench.metrics, ...costs.filter(isNew)]
    .filter(({ key }) => Number.isFinite(measures[key]))
    .map(({ key, label, digits }) => `${figure(measures[key], digits)} ${label}`);
  if (measures.error) figures.push(measures.error);
  return `${titleOf(name)}: ${figures.join(', ')}`;
}

module.exports = { render, table, comparison, brief, row };
