'use strict';

// Owns: JavaScript tests, and ends of processes and workers with live sockets, under valgrind's
// memcheck, with the addon as it is shipped. What counts is what valgrind reports of our code: under it
// all is many times slower, so that a test may fail for time.

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { hasProgram, installCommand } = require('../../../scripts/tools.js');
const { readReports } = require('../lib/valgrind-reports.js');

const ROOT = path.join(__dirname, '..', '..', '..');
const LIFE = path.join(__dirname, '..', 'lib', 'valgrind-life.js');

/**
 * Every class and every function of the addon. Left out are files that take minutes: valgrind looks at
 * all of the receive memory at each recvmmsg, and workers are among the ends below.
 */
const FILES = [
  ...['usocket', 'traffic', 'life', 'onread', 'server'].map((name) => `usocket/${name}`),
  ...['fds', 'fds-receiving', 'fds-waiting'].map((name) => `usocket/${name}`),
  'sockets/detach-unread',
  ...['server', 'end', 'empty'].map((name) => `seqpacket/${name}`),
  ...['bind', 'connect', 'fds', 'stall'].map((name) => `dgram/${name}`),
  ...['compat/unix-dgram', 'posix/posix', 'posix/messages'],
  ...['reuseport', 'activation', 'socketpair'].map((name) => `descriptors/${name}`),
  ...['memfd', 'from-fd', 'fd-type'].map((name) => `descriptors/${name}`),
].map((name) => path.join('test', `${name}.test.js`));
/** How a process ends with live sockets, and with which code. */
const ENDS = { threads: 0, unref: 0, exit: 0, throw: 1 };

const AT_ONCE = 2;
/** Seconds for all of it. */
const LIMIT = 1500;
/** Milliseconds for one process, and from the start of this one until all are ended. */
const PROCESS_LIMIT = 400_000;
const END = LIMIT * 1000 - 20_000;

const VALGRIND = [
  ...['--tool=memcheck', '--error-limit=no', '--num-callers=40', '--xml=yes'],
  ...['--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite'],
  // A worker's end may unload the addon; programs that tests start are not looked at.
  ...['--keep-debuginfo=yes', '--child-silent-after-fork=yes'],
];

/**
 * Runs Node with the arguments under valgrind. Resolves to `{ name, end, stdout, reports, seconds }`:
 * `end` is the exit code or how else it ended, `reports` null where valgrind has not said all.
 */
function runUnder(folder, name, args) {
  const started = performance.now();
  const limit = Math.min(PROCESS_LIMIT, END - started);
  const file = path.join(folder, `${name.replaceAll(path.sep, '-')}.xml`);
  const child = spawn('valgrind', [...VALGRIND, `--xml-file=${file}`, process.execPath, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'ignore'],
    // A group of its own: programs that a test has started end with it.
    detached: true,
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    process.kill(-child.pid, 'SIGKILL');
  }, limit);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const end = isLate ? `not done after ${Math.round(limit / 1000)} s` : (signal ?? code);
      const reports = readReports(fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '');
      const seconds = Math.round((performance.now() - started) / 1000);
      resolve({ name, end, stdout, reports, seconds });
    });
  });
}

/** What is wrong with an end: it is no code, or not the one expected, or valgrind was cut short. */
function faultOf({ name, end, reports }, codes) {
  if (!codes.includes(end)) return `${name} ended with ${end}`;
  return reports === null ? `${name}: valgrind did not finish` : undefined;
}

/** The lists of both kinds of faults, and how many reports are of others. */
function judge(runs, codesOf, say) {
  const faults = runs.map((run) => faultOf(run, codesOf(run))).filter(Boolean);
  const reports = runs.flatMap(({ name, reports }) =>
    (reports ?? []).map((report) => ({ ...report, name })),
  );
  const ours = reports.filter(({ isOurs }) => isOurs);
  for (const fault of faults) say(fault);
  for (const { name, text, stack } of ours) say(`${name}: ${text}\n    ${stack.join('\n    ')}`);
  return { faults, ours, others: reports.length - ours.length };
}

const numberIn = (text, pattern) => Number(pattern.exec(text)?.[1] ?? 0);
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** A row's number of faults, and the first of them with what else there is to say. */
function lossOf({ faults, ours, others }, ...more) {
  const all = [...faults, ...ours.map(({ name, text }) => `${name}: ${text}`)];
  const note = [...all.slice(0, 3), ...more, `${others} reports of Node itself`].join('; ');
  return { lost: all.length, note };
}

function fileRow(runs, say) {
  // 1: a test failed.
  const found = judge(runs, () => [0, 1], say);
  const passed = runs.map(({ stdout }) => numberIn(stdout, /^# pass (\d+)$/m));
  const failed = runs.map(({ stdout }) => numberIn(stdout, /^# fail (\d+)$/m));
  runs.forEach(({ name }, index) => {
    if (passed[index] === 0) found.faults.push(`${name}: no test has passed`);
    if (failed[index] > 0) say(`${name}: ${failed[index]} tests failed, perhaps for time`);
  });
  return {
    what: 'test files under memcheck',
    tried: `${runs.length} files, ${sum(passed)} tests`,
    ...lossOf(found, `${sum(failed)} more tests failed, as they may for time`),
  };
}

function endRow(runs, say) {
  return {
    what: 'processes and workers that end with live sockets',
    tried: `${runs.length} processes`,
    ...lossOf(judge(runs, ({ name }) => [ENDS[name]], say)),
  };
}

async function run({ quick, say }) {
  if (quick) return { skipped: 'the long form only: it takes minutes' };
  if (!hasProgram('valgrind')) {
    const names = Object.fromEntries(
      ['apt-get', 'dnf', 'apk', 'pacman', 'zypper'].map((manager) => [manager, 'valgrind']),
    );
    return { skipped: `valgrind is missing: install it with ${installCommand(names)}` };
  }
  const probe = spawnSync('valgrind', ['--tool=none', process.execPath, '--eval', '0']);
  if (probe.status !== 0) return { skipped: 'this valgrind cannot run this Node' };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-valgrind-'));
  const jobs = [
    ...Object.keys(ENDS).map((name) => ({ name, args: [LIFE, folder, name] })),
    ...FILES.map((name) => ({ name, args: ['--expose-gc', '--test-reporter=tap', name] })),
  ];
  const runs = [];
  try {
    const queue = [...jobs];
    const lane = async () => {
      for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
        const done = await runUnder(folder, job.name, job.args);
        say(`${done.name}: ${done.seconds} s`);
        runs.push(done);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  const isEnd = ({ name }) => name in ENDS;
  const files = runs.filter((done) => !isEnd(done));
  return [fileRow(files, say), endRow(runs.filter(isEnd), say)];
}

module.exports = {
  files: FILES,
  about:
    "Test files, and processes that end with live sockets, under valgrind's memcheck: no invalid " +
    'access, no use of what was never written, and no block definitely lost by our code.',
  limit: LIMIT,
  run,
};
