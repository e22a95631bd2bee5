'use strict';

/**
 * Owns the picture of results: results.svg, a bar for each implementation of each case that has a
 * ratio, as long as its share of what it is measured against. Readable on light and dark pages.
 */

const { LIMIT, OURS, titleOf } = require('./names');
const { summarize } = require('./statistics');

const WIDTH = 900;
const LEFT = 250;
const RIGHT = 160;
const TOP = 64;
const BAR = 14;
const GAP = 4;
const BETWEEN = 22;
const FULL = WIDTH - LEFT - RIGHT;
/** The longest bar, as a ratio: the few that are beyond it end in a mark. */
const MOST = 1.25;

const STYLE = `
  .page { fill: #ffffff } text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 } .case { font-weight: 600 }
  .quiet, .value { fill: #57606a } .ours { fill: #0969da } .other { fill: #afb8c1 }
  .limit { stroke: #24292f; stroke-dasharray: 3 3 } .grid { stroke: #d8dee4 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .quiet, .value { fill: #9198a1 }
    .ours { fill: #4493f8 } .other { fill: #545d68 } .limit { stroke: #e6edf3 } .grid { stroke: #30363d }
  }`;

const escape = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

const at = (ratio) => LEFT + (FULL * Math.min(ratio, MOST)) / MOST;

/** User and system CPU of an implementation in the first role of a case, as `1.2 + 3.4`. */
function cpuOf(bench, implementations, name) {
  const role = bench.costs?.[0];
  const [user, system] = ['user', 'system'].map(
    (part) => summarize({ key: `${role}.${part}` }, implementations).of[name]?.median,
  );
  const digits = Math.min(bench.costDigits ?? 1, 1);
  return user === undefined ? '' : `${user.toFixed(digits)} + ${system.toFixed(digits)}`;
}

/**
 * The bars of one case: `{ name, against, bars: [{ name, ratio, cpu }] }`, or null if it has none. Where an operation
 * is measured by its cost, a bar is as long as the share turned round; what is no operation has no bars.
 */
function barsOf(bench, { implementations }) {
  const metric = bench.metrics.find(({ better }) => better);
  if (!metric || (metric.better === 'less' && !bench.costs)) return null;
  const { bases, of } = summarize(metric, implementations);
  const base = (bases.find(({ name }) => name === LIMIT) ?? bases.find(({ isBest }) => isBest))
    ?.name;
  const bars = bench.implementations
    .map((name) => ({ name, ratio: of[name]?.ratios[base]?.median }))
    .map(({ name, ratio }) => ({
      name,
      ratio: metric.better === 'less' ? 1 / ratio : ratio,
      cpu: cpuOf(bench, implementations, name),
    }))
    .filter(({ name, ratio }) => Number.isFinite(ratio) && (name !== base || bench.costs));
  const against = base === LIMIT ? 'the C loop' : titleOf(base);
  return bars.length > 0 ? { name: bench.name, against, bars } : null;
}

function text(x, y, content, classes, anchor = 'start') {
  return `<text x="${x}" y="${y}" class="${classes}" text-anchor="${anchor}">${escape(content)}</text>`;
}

function group({ name, against, bars }, top) {
  const lines = [text(16, top + BAR - 2, name, 'case')];
  if (against !== 'the C loop') lines.push(text(16, top + 2 * BAR + 2, `1 = ${against}`, 'quiet'));
  bars.forEach((bar, index) => {
    const y = top + index * (BAR + GAP);
    const classes = bar.name === OURS ? 'ours' : 'other';
    lines.push(
      text(LEFT - 10, y + BAR - 2, bar.name, bar.name === OURS ? '' : 'quiet', 'end'),
      `<rect x="${LEFT}" y="${y}" width="${(at(bar.ratio) - LEFT).toFixed(1)}" height="${BAR}" rx="2" class="${classes}"/>`,
      text(at(bar.ratio) + 6, y + BAR - 2, bar.ratio.toFixed(2), 'value'),
      text(WIDTH - 16, y + BAR - 2, bar.cpu, 'value', 'end'),
    );
  });
  return lines;
}

/**
 * @param {object[]} cases in the order to show them
 * @param {object} results what results.json holds: an entry a case
 * @returns {string} results.svg
 */
function draw(cases, results) {
  const groups = cases
    .filter(({ name }) => results[name])
    .map((bench) => barsOf(bench, results[bench.name]))
    .filter(Boolean);
  const lines = [];
  let top = TOP;
  for (const each of groups) {
    lines.push(...group(each, top));
    const rows = Math.max(each.bars.length, each.against === 'the C loop' ? 1 : 2);
    top += rows * (BAR + GAP) + BETWEEN;
  }
  const bottom = top - BETWEEN + 6;
  const height = bottom + 16;
  const grid = [0.25, 0.5, 0.75].map(
    (ratio) =>
      `<line x1="${at(ratio)}" x2="${at(ratio)}" y1="${TOP - 8}" y2="${bottom}" class="grid"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    '<title>Throughput of afunix and other packages as a share of a plain C loop</title>',
    `<style>${STYLE}\n</style>`,
    `<rect width="${WIDTH}" height="${height}" class="page"/>`,
    text(16, 26, 'Share of what a plain C loop does', 'title'),
    text(16, 46, 'longer is better; medians, each ratio within one round', 'quiet'),
    text(WIDTH - 16, 26, 'CPU an operation, µs: user + system', 'quiet', 'end'),
    ...grid,
    ...lines,
    `<line x1="${at(1)}" x2="${at(1)}" y1="${TOP - 8}" y2="${bottom}" class="limit"/>`,
    text(at(1), TOP - 14, 'C loop', 'quiet', 'middle'),
    '</svg>',
    '',
  ].join('\n');
}

module.exports = { draw };
