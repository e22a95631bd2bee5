'use strict';

// Owns: StrykerJS over one file of lib/ with the tests of its room. It is installed into .cache/ by the first run.

const fs = require('node:fs');
const path = require('node:path');
const { installPackages } = require('../../../helpers/packages.js');
const { runIn } = require('./copy.js');
const { reportOf, rowOf } = require('./reports.js');
const rooms = require('./rooms.js');

const VERSION = '9.6.1';
/** Milliseconds to install it: 166 packages. */
const INSTALL_LIMIT = 120_000;
/** Milliseconds for the mutants of one file. */
const LIMIT = 3_600_000;
/** Texts of errors are left out: most are for people. */
const EXCLUDED = ['StringLiteral'];

/** Where it is, or why not: `{ program, instrumenter }` or `{ skip }`. */
function install() {
  const { folder, skip } = installPackages(
    { '@stryker-mutator/core': VERSION },
    undefined,
    INSTALL_LIMIT,
  );
  if (skip !== undefined) return { skip };
  const tool = path.join(folder, 'node_modules/@stryker-mutator');
  return {
    program: path.join(tool, 'core/bin/stryker.js'),
    instrumenter: path.join(tool, 'instrumenter/dist/src/index.js'),
  };
}

function configure(folder, file, report) {
  const tests = ['test/torture/lib/mutants/first-failure.js', ...rooms[file]];
  const config = {
    testRunner: 'command',
    commandRunner: { command: [process.execPath, ...tests].join(' ') },
    mutate: [file],
    mutator: { excludedMutations: EXCLUDED },
    ignorePatterns: ['**', '!lib/**/*.js'],
    inPlace: true,
    concurrency: 1,
    reporters: ['json'],
    jsonReporter: { fileName: report },
    plugins: [],
    timeoutMS: 10_000,
    timeoutFactor: 2,
    dryRunTimeoutMinutes: 10,
    allowConsoleColors: false,
  };
  const place = path.join(folder, 'stryker.config.json');
  fs.writeFileSync(place, JSON.stringify(config));
  return place;
}

/** Code in one line, and not all of it. */
const shorten = (code) => code.replace(/\s+/g, ' ').slice(0, 100);

/** What is mutated, in the words of the source. */
function describe(source, { location: { start, end }, replacement }) {
  const lines = source.split('\n').slice(start.line - 1, end.line);
  const line = lines[0].trim();
  // From its end on, which may be in the first line.
  lines.push(lines.pop().slice(0, end.column - 1));
  lines[0] = lines[0].slice(start.column - 1);
  return { line, at: start.line, from: shorten(lines.join(' ')), becomes: shorten(replacement) };
}

/** Mutates one file: a report. */
function mutate(program, folder, file) {
  const source = fs.readFileSync(path.join(folder, file), 'utf8');
  const report = path.join(folder, 'stryker-report.json');
  fs.rmSync(report, { force: true });
  const config = configure(folder, file, report);
  const options = { limit: LIMIT, variables: { NODE_ENV: 'test' } };
  const { stdout, stderr } = runIn(folder, process.execPath, [program, 'run', config], options);
  // Where it was ended it has not put the file back.
  fs.writeFileSync(path.join(folder, file), source);
  if (!fs.existsSync(report)) {
    return { failure: `no report: ${`${stdout}${stderr}`.trim().slice(-300)}` };
  }
  const { mutants } = Object.values(JSON.parse(fs.readFileSync(report, 'utf8')).files)[0];
  const count = (status) => mutants.filter((one) => one.status === status).length;
  const survivors = mutants.filter(({ status }) => status === 'Survived');
  return {
    killed: count('Killed'),
    late: count('Timeout'),
    survivors: survivors.map((one) => describe(source, one)),
  };
}

/** Rows for these files of lib/. */
function runStryker(folder, files, say) {
  if (files.length === 0) return [];
  const { program, skip } = install();
  if (skip !== undefined) {
    return [{ what: 'Stryker', tried: 0, lost: 0, note: `not tried: ${skip}` }];
  }
  return files.map((file) => {
    const tool = `stryker ${VERSION} without ${EXCLUDED}`;
    const report = reportOf(tool, file, rooms[file], () => mutate(program, folder, file));
    const row = rowOf('Stryker', file, report);
    say(`${file}: ${row.note}`);
    return row;
  });
}

module.exports = { EXCLUDED, describe, install, runStryker };
