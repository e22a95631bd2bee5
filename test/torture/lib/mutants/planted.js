'use strict';

// Owns: trying planted faults, one at a time, in a copy of the project.

const equivalents = require('./equivalents.js');
const { build, firstFailure, plant, restoreAddon } = require('./copy.js');
const { judge, profiled } = require('./judge.js');

const SURVIVED = 'survived';
const UNBUILT = 'does not build';

const isNative = ({ edits }) => edits.some(({ file }) => file.startsWith('native/'));

/** What `run` returns while a fault is in place; `'does not build: …'` without its tests. */
function withFault(folder, fault, run) {
  const restore = plant(folder, fault.edits);
  try {
    const problem = isNative(fault) ? build(folder) : '';
    return problem === '' ? run() : `${UNBUILT}: ${problem}`;
  } finally {
    restore();
    // The next fault begins with the addon of the checkout again.
    if (isNative(fault)) restoreAddon(folder);
  }
}

/** Tries one fault: `{ why }`, `''` if the tests saw it, and then `by`: the first that failed. */
function tryFault(folder, fault) {
  const tests = fault.tests.map((test) => profiled(folder, test));
  const broken = tests.find(({ failure }) => failure !== null);
  if (broken !== undefined) return { why: `fails without it: ${broken.failure}` };
  let by;
  try {
    by = judge(folder, tests, (run) => withFault(folder, fault, run));
  } catch ({ message }) {
    return { why: `does not apply: ${message}` };
  }
  if (by === null) return { why: SURVIVED };
  return by.startsWith(UNBUILT) ? { why: by } : { why: '', by };
}

/** Rows for these faults, one for each part of the project. */
function runPlanted(folder, faults, say) {
  const rows = new Map();
  for (const fault of faults) {
    const place = fault.edits[0].file.split('/').slice(0, 2).join('/');
    const row = rows.get(place) ?? {
      what: `planted in ${place}/`,
      tried: 0,
      seen: 0,
      lost: 0,
      notes: [],
    };
    rows.set(place, row);
    row.tried++;
    const { why, by } = tryFault(folder, fault);
    say(`${fault.name}: ${why || `seen by ${by}`}`);
    const reason = equivalents.planted[fault.name];
    if (why === '') row.seen++;
    else if (why !== SURVIVED || reason === undefined) row.lost++;
    if (why === '') continue;
    const known = reason === undefined ? '' : `, ${reason}`;
    row.notes.push(`${fault.name} (${fault.breaks}): ${why}${known}`);
  }
  return [...rows.values()].map(({ what, tried, seen, lost, notes }) => {
    return { what, tried, lost, note: [`killed ${seen} of ${tried}`, ...notes].join('; ') };
  });
}

/** The same tests without a fault, all of which have to pass. */
function runClean(folder, faults, say) {
  const files = [...new Set(faults.flatMap(({ tests }) => tests))];
  const failures = files.map((file) => firstFailure(folder, [file])).filter((it) => it !== null);
  failures.forEach(say);
  const note = failures.join('; ');
  return [{ what: 'test files without a fault', tried: files.length, lost: failures.length, note }];
}

module.exports = { runClean, runPlanted };
