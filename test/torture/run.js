'use strict';

// Runs the torture cases: `npm run torture [-- NAME …] [--quick] [--seed N]`. Each case of cases/ runs in
// a process of its own, so that a crash or a hang is a result and not the end; a table says what was
// tried and what was lost. Without --quick it is written to results.md: a section a case, which keeps what
// the last run of that case showed.
//
// The short form always has the same seed: it guards what was reached, and a pull request is not to fail
// by a fault that a random number finds. Finding those is what the long form is for.
//
// A case exports
//   about    what it tries, one sentence
//   limit    seconds it may take, and `quickLimit` for the short form
//   run({ quick, seed, random, say })   resolves to rows: { what, tried, lost, note }
//            `tried`, `lost`: numbers, or a string with a unit; a row with `lost` other than 0 fails
//            `quick`: the short form, for `npm test`; `random()`: numbers from 0 to 1 from the seed
// A case whose means are missing returns { skipped: reason }; one that was asked for a part of itself only,
// { rows, isPart: true }, which is not written.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { commit } = require('../../bench/lib/machine.js');
const { row } = require('../../bench/lib/report.js');
const { randomFrom } = require('./lib/random.js');

const CASES = path.join(__dirname, 'cases');
const RESULTS = path.join(__dirname, 'results.md');
/** Seconds, where a case says nothing. */
const LIMIT = 900;
const QUICK_LIMIT = 600;
const QUICK_SEED = 20261121;
const HEAD = `# What torture showed

Written by \`npm run torture\`; CONTRIBUTING.md says what the cases are. A row that lost nothing has a 0.`;

const caseNames = () =>
  fs
    .readdirSync(CASES)
    .filter((file) => file.endsWith('.js'))
    .map((file) => path.basename(file, '.js'))
    .sort();

/** The process of one case: prints its rows as the last line. */
async function runHere(name, quick, seed) {
  const { run } = require(path.join(CASES, `${name}.js`));
  const say = (text) => process.stderr.write(`  ${name}: ${text}\n`);
  const outcome = await run({ quick, seed, random: randomFrom(seed), say });
  fs.writeSync(1, `\n${JSON.stringify(outcome)}\n`);
}

/** Runs one case in its own process: `{ name, about, seconds, rows | skipped | failure }`. */
function runApart(name, quick, seed) {
  const { about, limit = LIMIT, quickLimit = QUICK_LIMIT } = require(
    path.join(CASES, `${name}.js`),
  );
  const started = performance.now();
  const args = ['--expose-gc', __filename, '--here', name, '--seed', String(seed)];
  if (quick) args.push('--quick');
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  const seconds = quick ? quickLimit : limit;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, seconds * 1000);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const result = { name, about, seconds: (performance.now() - started) / 1000 };
      const how = isLate ? `not done after ${seconds} s` : (signal ?? `exit code ${code}`);
      if (code !== 0) return resolve({ ...result, failure: how });
      if (stdout === '') return resolve({ ...result, failure: 'ended without an outcome' });
      const outcome = JSON.parse(stdout.trimEnd().split('\n').at(-1));
      resolve(Array.isArray(outcome) ? { ...result, rows: outcome } : { ...result, ...outcome });
    });
  });
}

const failed = ({ failure, rows = [] }) => failure !== undefined || rows.some(isLoss);
const isLoss = ({ lost }) => parseFloat(lost) !== 0;

function table(result) {
  const head = `\n## ${result.name}\n\n${result.about}\n`;
  if (result.failure) return `${head}\n**Failed: ${result.failure}**\n`;
  if (result.skipped) return `${head}\nSkipped: ${result.skipped}\n`;
  const rows = result.rows.map(({ what, tried, lost, note = '' }) =>
    row([what, tried, lost, note].map((cell) => String(cell).replaceAll('\n', ' '))),
  );
  return [head, '| what | tried | lost | |', '| --- | ---: | ---: | --- |', ...rows, ''].join('\n');
}

/** When, where and of what a section's figures are. */
function stampOf({ seconds }, seed, origin) {
  const date = new Date().toISOString().slice(0, 16).replace('T', ' ');
  return [
    `${date} UTC; commit ${origin ?? 'unknown'}, seed ${seed}, ${seconds.toFixed(0)} s`,
    `Node.js ${process.version}, ${os.type()} ${os.release()}, ${os.cpus().length} processors.`,
  ].join('; ');
}

/** Puts a case's section into results.md, in place of an older one. */
function write(result, seed, origin) {
  const old = fs.existsSync(RESULTS) ? fs.readFileSync(RESULTS, 'utf8') : '';
  const sections = new Map();
  for (const section of old.split(/^(?=## )/m).slice(1)) {
    sections.set(section.slice(3, section.indexOf('\n')), section.trimEnd());
  }
  sections.set(result.name, `${table(result).trim()}\n\n${stampOf(result, seed, origin)}`);
  const known = caseNames().filter((name) => sections.has(name));
  const parts = [HEAD, ...known.map((name) => sections.get(name))];
  fs.writeFileSync(RESULTS, `${parts.join('\n\n')}\n`);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string' },
      here: { type: 'string' },
    },
  });
  const seed = Number(values.seed ?? (values.quick ? QUICK_SEED : Date.now() % 2 ** 31));
  if (values.here !== undefined) return runHere(values.here, values.quick, seed);
  const known = caseNames();
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no case ${unknown}; there are ${known.join(', ')}`);
  const origin = commit();
  const results = [];
  for (const name of positionals.length > 0 ? positionals : known) {
    const result = await runApart(name, values.quick, seed);
    console.log(table(result));
    if (!values.quick && !result.isPart) write(result, seed, origin);
    results.push(result);
  }
  const lost = results.filter(failed).map(({ name }) => name);
  const summary = `${results.length} cases, seed ${seed}.`;
  console.log(
    `${summary} ${lost.length === 0 ? 'Nothing was lost.' : `Failed: ${lost.join(', ')}.`}`,
  );
  if (lost.length > 0) process.exitCode = 1;
}

main();
