'use strict';

// Owns: reports of mutations of one file, kept for as long as the file and what tests it are the same: a tool needs
// minutes for each.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { CACHE, ROOT } = require('./copy.js');
const equivalents = require('./equivalents.js');

/** The place of the report of `file`, which depends on the content of `files` as well. */
function placeOf(tool, file, files) {
  const digest = createHash('sha256').update(tool);
  for (const name of [file, ...files]) digest.update(fs.readFileSync(path.join(ROOT, name)));
  const name = `${file.replaceAll('/', '-')}-${digest.digest('hex').slice(0, 12)}.json`;
  return path.join(CACHE, 'mutants', name);
}

/** The kept report, or the one that `make` makes: `{ killed, late, survivors }`, or `{ failure }`, which is not kept. */
function reportOf(tool, file, files, make) {
  const place = placeOf(tool, file, files);
  if (fs.existsSync(place)) return JSON.parse(fs.readFileSync(place, 'utf8'));
  const report = make();
  if (report.failure === undefined) {
    fs.mkdirSync(path.dirname(place), { recursive: true });
    fs.writeFileSync(place, JSON.stringify(report, null, 2));
  }
  return report;
}

const isSame = (known, survivor) =>
  known.line === survivor.line &&
  known.becomes.includes(survivor.becomes) &&
  (known.from === undefined || known.from === survivor.from);

/** Whether a reason is known why no test sees this mutant of a file. */
const isExplained = (file, survivor) =>
  (equivalents[file] ?? []).some((known) => isSame(known, survivor));

/** A report as a row of the torture: what survives and is not explained is lost. */
function rowOf(tool, file, { killed, late, survivors, failure }) {
  const what = `${tool}: ${file}`;
  if (failure !== undefined) {
    return { what, tried: 0, lost: 1, note: failure };
  }
  const tried = killed + late + survivors.length;
  const known = equivalents[file] ?? [];
  const found = survivors.map((survivor) => known.find((one) => isSame(one, survivor)));
  const open = survivors.filter((_, index) => found[index] === undefined);
  const reasons = [...new Set(found.filter((one) => one !== undefined).map(({ why }) => why))];
  const score = tried === 0 ? 100 : (100 * (tried - survivors.length)) / tried;
  const parts = [
    `killed ${killed + late} (${late} by time), survived ${survivors.length}: ${score.toFixed(1)} %`,
    ...reasons.map((why) => `equivalent: ${why}`),
    ...open.map(({ line, becomes }) => `open: \`${line}\` → \`${becomes}\``),
  ];
  return { what, tried, lost: open.length, note: parts.join('; ') };
}

module.exports = { isExplained, reportOf, rowOf };
