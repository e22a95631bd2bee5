'use strict';

/** Owns the readable form of results: results.md, and the figures that are shown on the way. */

const { LIMIT } = require('./rounds');

const HEAD = `# Benchmarks

Written by \`npm run bench\` from results.json; see README.md for how it measures.
Figures are medians over rounds with (least–most); a ratio is taken within each round.`;

const titleOf = (name) => (name === LIMIT ? 'C loop' : name);

function figure(value, digits = 0) {
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString('en-US', format);
}

function withSpread({ median, min, max }, digits) {
  return `${figure(median, digits)} (${figure(min, digits)}–${figure(max, digits)})`;
}

/** What a target asks for, and whether the summary of a metric has it. */
function judge({ of, atLeast, atMost, aim, always }, summary) {
  const bound = atLeast ?? atMost;
  const shown = Number.isInteger(bound) ? figure(bound) : figure(bound, 2);
  const wanted = [`${atLeast === undefined ? '≤' : '≥'} ${shown}`];
  if (aim !== undefined) wanted.push(`aim ${figure(aim, 2)}`);
  if (always) wanted.push('in every round');
  const reached = summary && (of === 'ratio' ? summary.ratio : summary);
  let verdict = 'no figure';
  if (reached && atLeast !== undefined) {
    const value = always ? reached.min : reached.median;
    if (value < bound) verdict = 'missed';
    else verdict = aim !== undefined && value < aim ? 'reached, aim not' : 'reached';
  } else if (reached) {
    verdict = (always ? reached.max : reached.median) <= bound ? 'reached' : 'missed';
  }
  return `${wanted.join(', ')}: **${verdict}**`;
}

/** Failed rounds, lost messages and the like. */
function remarksOn({ faults = {} }, rounds) {
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

const row = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

function table(bench, implementations) {
  const header = ['implementation'];
  for (const { label, ratioTo } of bench.metrics) {
    header.push(label);
    if (ratioTo) header.push(`÷ ${titleOf(ratioTo)}`);
  }
  header.push('target', 'remarks');

  const figures = header.length - 3;
  const rule = ['---', ...Array(figures).fill('---:'), '---', '---'];
  const lines = [row(header), row(rule)];
  for (const name of [...bench.implementations, LIMIT]) {
    const result = implementations[name];
    if (!result) continue;
    const title = result.version ? `${name} ${result.version}` : titleOf(name);
    const cells = [title];
    const targets = [];
    for (const { key, digits, ratioTo, target } of bench.metrics) {
      const summary = result.summary[key];
      cells.push(summary ? withSpread(summary, digits) : '–');
      if (ratioTo) cells.push(summary?.ratio ? withSpread(summary.ratio, 2) : '–');
      if (target && name === 'afunix') targets.push(judge(target, summary));
    }
    cells.push(targets.join('; '));
    cells.push(
      result.unavailable ? `not measured: ${result.unavailable}` : remarksOn(bench, result.rounds),
    );
    lines.push(row(cells));
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
  const figures = bench.metrics
    .filter(({ key }) => Number.isFinite(measures[key]))
    .map(({ key, label, digits }) => `${figure(measures[key], digits)} ${label}`);
  if (measures.error) figures.push(measures.error);
  return `${titleOf(name)}: ${figures.join(', ')}`;
}

module.exports = { render, table, brief };
