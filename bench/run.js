#!/usr/bin/env node
'use strict';

/**
 * The bench: `node bench/run.js [CASE …] [--rounds N] [--duration s] [--only NAME,…] [--against FOLDER] [--json]
 * [--no-write]`.
 *
 * Progress goes to stderr; tables, or with --json everything that was measured, to stdout. Results
 * are merged into results.json, from which results.md is written, so that a run of some cases
 * renews only these. A run of some implementations, or one against another checkout, writes nothing.
 */

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { commit, machine } = require('./lib/machine');
const { BEFORE, LIMIT } = require('./lib/names');
const { canPin } = require('./lib/processes');
const { draw } = require('./lib/chart');
const { brief, comparison, render, table } = require('./lib/report');
const { runCase } = require('./lib/rounds');
const setup = require('./lib/setup');

const { BenchError, probe } = setup;

const RESULTS = path.join(__dirname, 'results.json');
const REPORT = path.join(__dirname, 'results.md');
const CHART = path.join(__dirname, 'results.svg');

/** Every case, in the order to run and show them. */
const CASES = [
  'dgram-oneway',
  'dgram-sendto',
  'dgram-rtt',
  'dgram-rtt-connected',
  'send-cost',
  'dgram-fanout',
  'dgram-stalled-cpu',
  'dgram-idle-memory',
  'dgram-flood-timer',
  'seq-oneway',
  'seq-oneway-8k',
  'seq-rtt',
  'seq-accept',
  'seq-idle-memory',
  'seq-idle-throughput',
  'stream-rtt',
  'stream-oneway',
  'stream-accept',
  'connection-cost',
  'connect-storm',
  'fds',
  'fds-bytes',
  'http',
  'http-short',
  'http-body',
  'tls',
  'http2',
  'reuseport',
  'posix-rtt',
];

const IMPLEMENTATIONS = fs
  .readdirSync(path.join(__dirname, 'impl'))
  .map((name) => path.basename(name, '.js'))
  .filter((name) => name !== BEFORE);

const USAGE = `usage: node bench/run.js [CASE …] [options]

  --rounds N     trials of each implementation (default 5)
  --duration S   seconds that a trial measures (default 1.2), where the case does not say
  --only NAMES   the implementations to run, as afunix,net,c, if not all; nothing is written
  --against DIR  runs another built checkout of this package, too, as \`before\`, in the same rounds;
                 nothing is written
  --json         print all results as JSON
  --no-write     leave results.json and results.md alone

cases: ${CASES.join(', ')}
`;

const log = (text) => process.stderr.write(`${text}\n`);

function readArguments() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '5' },
        duration: { type: 'string', default: '1.2' },
        only: { type: 'string' },
        against: { type: 'string' },
        json: { type: 'boolean', default: false },
        'no-write': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new BenchError(error.message);
  }
  const { values, positionals } = parsed;
  const unknown = positionals.filter((name) => !CASES.includes(name));
  if (unknown.length > 0) {
    throw new BenchError(`no such case: ${unknown.join(', ')} (--help lists them)`);
  }
  const only = values.only?.split(',');
  const missing = only?.filter((name) => name !== LIMIT && !IMPLEMENTATIONS.includes(name)) ?? [];
  if (missing.length > 0) {
    const all = [...IMPLEMENTATIONS, LIMIT].join(', ');
    throw new BenchError(
      `--only: no such implementation: ${missing.join(', ')} (there are ${all})`,
    );
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new BenchError('--rounds: at least 1');
  const duration = Number(values.duration);
  if (!(duration > 0)) throw new BenchError('--duration: more than 0 seconds');
  const names = positionals.length > 0 ? CASES.filter((name) => positionals.includes(name)) : CASES;
  return {
    names,
    rounds,
    duration,
    only,
    against: values.against,
    json: values.json,
    write: !values['no-write'] && !only && !values.against,
    help: values.help,
  };
}

/** Merges fresh results into results.json; writes results.md and results.svg from all of them. */
function write(fresh) {
  const kept = fs.existsSync(RESULTS) ? JSON.parse(fs.readFileSync(RESULTS, 'utf8')) : {};
  const results = { ...kept, ...fresh };
  fs.writeFileSync(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
  const cases = CASES.map((name) => require(`./cases/${name}`));
  fs.writeFileSync(REPORT, render(cases, results));
  fs.writeFileSync(CHART, draw(cases, results));
}

async function main() {
  const { names, rounds, duration, only, against, json, write: toWrite, help } = readArguments();
  if (help) return process.stdout.write(USAGE);
  setup.installRivals(log);
  setup.compileBare(log);
  if (against) setup.useBefore(against);
  const limit = [setup.compileLimit()];
  const origin = { commit: commit(), machine: machine() };

  const fresh = {};
  for (const name of names) {
    const bench = require(`./cases/${name}`);
    log(`\n${name}: ${bench.about}`);
    if (bench.pinned && !canPin()) log('not pinned: taskset (util-linux) was not found');
    const onTrial = (round, who, measures) => log(`  ${round + 1} ${brief(bench, who, measures)}`);
    const measured = { rounds, duration: bench.duration ?? duration };
    const options = { ...measured, limit, only, against: Boolean(against), probe, onTrial };
    const implementations = await runCase(bench, options);
    const date = new Date().toISOString();
    fresh[name] = { date, ...origin, ...measured, implementations };
    if (!json) process.stdout.write(`\n${table(bench, implementations)}\n`);
  }
  if (against && !json) {
    const cases = names.map((name) => require(`./cases/${name}`));
    process.stdout.write(`\n${comparison(cases, fresh)}\n`);
  }
  if (toWrite) write(fresh);
  if (json) process.stdout.write(`${JSON.stringify(fresh, null, 2)}\n`);
}

// An exit by signal would leave processes and directories: 'exit' ends them (lib/processes.js).
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

main().catch((error) => {
  log(error instanceof BenchError ? `bench: ${error.message}` : error.stack);
  process.exitCode = 1;
});
