'use strict';

// System calls that fail: every class moves its numbered messages while chosen calls return errors. Made
// twice, by strace(1) and by a preloaded library, so that one of them runs wherever this does.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { compileLibrary } = require('../lib/faults-library.js');
const { SCENARIOS } = require('../lib/faults-traffic.js');

const LIB = path.join(__dirname, '..', 'lib');
const TRIAL = path.join(LIB, 'faults-trial.js');

const ERRNOS = [
  'EINTR',
  'EAGAIN',
  'ENOBUFS',
  'ENOMEM',
  'EMFILE',
  'ECONNRESET',
  'ETOOMANYREFS',
  'EPIPE',
];
const PATTERNS = ['first', 'third', 'random'];
const CALLS = [
  'recvmsg',
  'recvmmsg',
  'recvfrom',
  'sendmsg',
  'sendmmsg',
  'sendto',
  'accept4',
  'connect',
  'socket',
  'socketpair',
  'bind',
  'epoll_ctl',
  'close',
  'listen',
  'shutdown',
  'getsockname',
  'getpeername',
  'getsockopt',
  'setsockopt',
  'fcntl',
];
/** What strace cannot distinguish (a duplicate is made by fcntl(2)), or what Node itself cannot do without. */
const LIBRARY_CALLS = [
  ...['dup', 'poll', 'ioctl', 'netlink', 'openat', 'fstatat', 'renameat', 'linkat', 'unlinkat'],
  ...['mknodat', 'fchownat', 'fchmod', 'chmod', 'flock', 'memfd_create', 'pidfd_open'],
];
/** A close(2) that strace makes fail does not close, which no kernel does: the peer would wait for ever. */
const STRACE_CALLS = CALLS.filter((call) => call !== 'close');

/** Trials that run at the same time. */
const AT_ONCE = 2;
/** Trials of one process, with the library. */
const PER_PROCESS = 24;
/** Milliseconds a process may be silent. */
const SILENCE = 150_000;

const cut = (text) => (text.length > 300 ? `${text.slice(0, 300)} …` : text);

/** Compiles the library. Undefined where there is no compiler, with the reason said. */
function compile(folder, say) {
  try {
    return compileLibrary(folder);
  } catch (error) {
    say(`no library: ${cut(String(error.stderr ?? error.message))}`);
    return undefined;
  }
}

/** A trial's process: `onLine(value)`; resolves to how it ended. */
function startTrials(how, folder, trials, env, onLine) {
  const args = ['--expose-gc', TRIAL, how, folder, JSON.stringify(trials)];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [isLate, stderr, rest] = [false, '', ''];
  const kill = () => {
    isLate = true;
    child.kill('SIGKILL');
  };
  let timer = setTimeout(kill, SILENCE);
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text) => {
    clearTimeout(timer);
    timer = setTimeout(kill, SILENCE);
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) onLine(JSON.parse(line), child);
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const how = isLate ? 'hangs' : (signal ?? `exit code ${code}`);
      resolve({ good: code === 0 && !isLate, how, stderr });
    });
  });
}

/** Runs trials of the library in one process, and in another what is left if that one dies. */
async function runInLibrary({ library, folder, report }, trials) {
  let left = trials;
  while (left.length > 0) {
    let current;
    const results = new Set();
    const log = path.join(folder, `log-${left[0].index}`);
    fs.writeFileSync(log, '');
    const env = { LD_PRELOAD: library, AFUNIX_FAULTS_LOG: log };
    const ended = await startTrials('library', folder, left, env, (line) => {
      if (line.dirty) report.dirty(line);
      else if (line.begins !== undefined) current = line.begins;
      else {
        results.add(line.index);
        report.result(
          left.find(({ index }) => index === line.index),
          line,
        );
      }
    });
    const rest = left.filter(({ index }) => !results.has(index));
    if (!ended.good) {
      const victim = left.find(({ index }) => index === current) ?? left[0];
      const problems = [`the process: ${ended.how} ${cut(ended.stderr)}`];
      report.result(victim, { problems, errors: [], leaked: [], faults: 1 });
      left = rest.filter((trial) => trial !== victim);
    } else left = [];
  }
}

/** When to strike, as strace(1) has it. */
function whenOf({ pattern, seed }) {
  if (pattern === 'first') return '1';
  if (pattern === 'third') return '3+3';
  return `${1 + (seed % 7)}+${2 + ((seed >>> 4) % 4)}`;
}

/**
 * Faults in the log: all, and those after which libuv itself gives up. It bears only that epoll_ctl(2)
 * fails where it asks whether a descriptor can be watched at all, which it does with -1 as data.
 */
function readLog(file) {
  const injected = fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.includes('(INJECTED)'));
  const isProbe = (line) => /EPOLL_CTL_ADD.*(u32=4294967295|data=-1|fd=-1)/.test(line);
  const fatal = injected.filter((line) => line.includes('epoll_ctl') && !isProbe(line));
  return { count: injected.length, isFatal: fatal.length > 0 };
}

/** Milliseconds after which a strace is ended that should let go: of a process that is just dying it may never do so. */
const LET_GO_TIME = 10_000;

/** Runs one trial under strace. Resolves to false where strace may not attach. */
async function runUnderStrace({ folder, report, say }, trial) {
  const log = path.join(folder, `strace-${trial.index}`);
  const { call, errno } = trial;
  let [strace, result, reason] = [undefined, undefined, ''];
  const attach = (child) => {
    const inject = `inject=${call}:error=${errno}:when=${whenOf(trial)}`;
    const args = ['-f', '-o', log, '-e', `trace=${call}`, '-e', inject, '-p', String(child.pid)];
    strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    strace.gone = new Promise((resolve) => {
      strace.on('error', resolve);
      strace.on('close', resolve);
    });
    let [attached, text] = [false, ''];
    strace.stderr.setEncoding('utf8').on('data', (some) => {
      text += some;
      if (attached || !/attached/.test(text)) return;
      attached = true;
      child.kill('SIGUSR2');
    });
    strace.gone.then(() => {
      if (attached) return;
      reason = text || 'it cannot be started';
      child.kill('SIGKILL');
    });
  };
  const ended = await startTrials('strace', folder, [trial], {}, (line, child) => {
    if (line.waits !== undefined) attach(child);
    else if (line.index !== undefined) {
      result = line;
      strace.kill('SIGTERM');
      const timer = setTimeout(() => strace.kill('SIGKILL'), LET_GO_TIME);
      strace.gone.then(() => clearTimeout(timer));
    } else if (line.dirty) report.dirty(line);
  });
  await strace?.gone;
  if (reason !== '') {
    say(`strace: ${cut(reason.trim())}`);
    return false;
  }
  const { count, isFatal } = fs.existsSync(log) ? readLog(log) : { count: 0, isFatal: false };
  // Node asks for the state of its standard streams when it ends, and must be answered.
  const isHosts = isFatal || ended.stderr.includes('node::ResetStdio()');
  if (isHosts && ended.how === 'SIGABRT') {
    report.host(trial);
    return true;
  }
  result ??= { problems: [], errors: [], leaked: [] };
  if (!ended.good) result.problems.push(`the process: ${ended.how} ${cut(ended.stderr)}`);
  report.result(trial, { ...result, faults: count });
  return true;
}

/** Collects what came of the trials: rows for the table, one for each call. */
class Report {
  constructor(how, calls, say) {
    this.how = how;
    this.say = say;
    const row = () => ({ tried: 0, faults: 0, lost: 0, errors: 0, host: 0, first: '' });
    this.rows = new Map(calls.map((call) => [call, row()]));
    this.struck = new Set();
    this.dirtyCount = 0;
  }

  result({ scenario, call, errno, pattern, seed }, { problems, errors, leaked, faults }) {
    const row = this.rows.get(call);
    const wrong = [...problems];
    if (leaked.length > 0) wrong.push(`leaked ${leaked.join(', ')}`);
    // Reported once, to one of them: the callback or 'error'. Connected sockets, as in node:stream, report to both;
    // what breaks one end reaches the other.
    if (scenario.startsWith('Dgram') && errors.length > faults) {
      wrong.push(
        `${faults} faults, ${errors.length} errors: ${JSON.stringify(errors.slice(0, 4))}`,
      );
    }
    if (faults === 0 && wrong.length + errors.length === 0) return;
    this.struck.add(`${scenario} ${call}`);
    row.tried++;
    row.faults += faults;
    if (errors.length > 0) row.errors++;
    if (wrong.length === 0) return;
    row.lost++;
    const text = `${this.how}: ${scenario}, ${call} ${errno} ${pattern} (${seed}): ${cut(wrong.join('; '))}`;
    row.first ||= text;
    this.say(text);
  }

  host({ call }) {
    this.rows.get(call).host++;
  }

  dirty(line) {
    this.dirtyCount++;
    this.say(`without faults: ${JSON.stringify(line)}`);
  }

  table() {
    const rows = [];
    for (const [call, { tried, faults, lost, errors, host, first }] of this.rows) {
      if (tried + host === 0) continue;
      const notes = [`${faults} faults, ${tried - errors} completed, ${errors} ended in an error`];
      if (host > 0) notes.push(`${host} more times libuv or Node itself aborted`);
      if (first !== '') notes.push(first);
      const what = `${call}, by ${this.how}`;
      rows.push({ what, tried, lost, note: notes.join('; ') });
    }
    if (this.dirtyCount > 0) {
      rows.push({
        what: `no fault, by ${this.how}`,
        tried: this.dirtyCount,
        lost: this.dirtyCount,
      });
    }
    return rows;
  }
}

/** Runs `work(item)` for all, some at once, until `isOver()`. */
async function each(items, work, isOver = () => false) {
  const queue = [...items];
  const worker = async () => {
    while (queue.length > 0 && !isOver()) await work(queue.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** All of the matrix, in random order; each trial has a seed of its own. */
function matrix(calls, random) {
  const trials = [];
  for (const scenario of Object.keys(SCENARIOS)) {
    for (const call of calls) {
      for (const errno of ERRNOS) {
        for (const pattern of PATTERNS) {
          trials.push({ scenario, call, errno, pattern, at: random() });
        }
      }
    }
  }
  trials.sort((left, right) => left.at - right.at);
  return trials.map(({ at, ...trial }, index) => {
    return { ...trial, index, seed: Math.floor(at * 2 ** 31) };
  });
}

/** Trials of a class together: its traffic without faults is run once a process. */
function inProcesses(trials) {
  const groups = [];
  for (const scenario of Object.keys(SCENARIOS)) {
    const mine = trials.filter((trial) => trial.scenario === scenario);
    while (mine.length > 0) groups.push(mine.splice(0, PER_PROCESS));
  }
  return groups;
}

async function run({ quick, random, say }) {
  if (process.platform !== 'linux') return { skipped: 'faults are made on Linux only' };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-faults-'));
  try {
    return await runIn(folder, quick, random, say);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function runIn(folder, quick, random, say) {
  const rows = [];
  const library = compile(folder, say);
  const all = matrix([...CALLS, ...LIBRARY_CALLS], random);
  const seen = new Report('library', [...CALLS, ...LIBRARY_CALLS], say);
  if (library !== undefined) {
    const chosen = quick ? all.slice(0, 600) : all;
    const tools = { library, folder, report: seen };
    await each(inProcesses(chosen), (trials) => runInLibrary(tools, trials));
    rows.push(...seen.table());
  }
  const report = new Report('strace', STRACE_CALLS, say);
  // What a class never calls cannot fail for it. Each pair of call and error, in one of the patterns.
  const isMade = ({ scenario, call }) =>
    STRACE_CALLS.includes(call) &&
    (library === undefined || seen.struck.has(`${scenario} ${call}`));
  const pairs = new Map();
  for (const trial of all.filter(isMade)) {
    pairs.set(`${trial.scenario} ${trial.call} ${trial.errno}`, trial);
  }
  const chosen = [...pairs.values()].slice(0, quick ? 16 : Infinity);
  say(`${chosen.length} trials under strace`);
  let isForbidden = false;
  await each(
    chosen,
    async (trial) => {
      isForbidden ||= !(await runUnderStrace({ folder, report, say }, trial));
    },
    () => isForbidden,
  );
  rows.push(...report.table());
  if (rows.length === 0) return { skipped: 'neither a C compiler nor a strace that may attach' };
  return rows;
}

module.exports = {
  about:
    'System calls fail (EINTR, EAGAIN, ENOBUFS, ENOMEM, EMFILE, ECONNRESET, ETOOMANYREFS, EPIPE; the first, every third, random ones) while numbered messages and descriptors move, names are taken with permissions and owners, and questions are asked: all is done, or one clear error is attached.',
  limit: 1200,
  quickLimit: 600,
  run,
};
