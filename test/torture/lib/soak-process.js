'use strict';

// Owns starting the processes of soak cases, and judging by their reports whether they stayed as
// they were: whether the last tenth had more memory and descriptors than the second. In the first one
// memory comes to what it will be, in steps: whether the median is before or behind them is chance.

const { fork } = require('node:child_process');
const path = require('node:path');

const ROLE = path.join(__dirname, 'soak-role.js');
const MIB = 2 ** 20;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** What there was in the second tenth, and how much more in the last. */
function compareTenths(notes) {
  // What is not there would compare as no growth.
  if (notes.length < 2) throw new Error(`${notes.length} notes say nothing`);
  const tenth = Math.max(1, Math.floor(notes.length / 10));
  const start = median(notes.slice(tenth, 2 * tenth));
  return { start, growth: median(notes.slice(-tenth)) - start };
}

/**
 * Starts a role of a case in a process of its own.
 *
 * `send(text)` sends it something if it still listens, `ready` resolves when it has said so, `report` to what it
 * returned; both reject if it ends before that.
 */
function startRole(file, role, argument) {
  // The collector's young generation stays small: its growth is not what is asked for here.
  const execArgv = ['--expose-gc', '--max-semi-space-size=1'];
  const child = fork(ROLE, [file, role, JSON.stringify(argument)], {
    execArgv,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  // Not left behind, however this process ends.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const [ready, report] = [deferred(), deferred()];
  child.on('message', (message) => {
    if (message === 'ready') ready.resolve();
    else report.resolve({ role, ...message });
  });
  child.on('exit', (code, signal) => {
    process.off('exit', kill);
    const error = new Error(`${role} ended with ${signal ?? `code ${code}`}`);
    ready.reject(error);
    report.reject(error);
  });
  ready.promise.catch(() => {});
  report.promise.catch(() => {});
  return {
    ready: ready.promise,
    report: report.promise,
    // Who has ended meanwhile is heard of by 'exit'.
    send: (text) => child.connected && child.send(text, () => {}),
  };
}

function deferred() {
  const result = {};
  result.promise = new Promise((resolve, reject) => Object.assign(result, { resolve, reject }));
  return result;
}

/**
 * The rows about memory and descriptors.
 *
 * @param {object[]} reports - with `role`, `memory`, `fds`
 * @param {number} allowed - MiB that a process may have more of in the last tenth
 * @param {number} helpers - descriptors that it may have more of: sockets that wait for room
 */
function flatness(reports, allowed, helpers = 0) {
  const rows = reports.map(({ role, memory: notes, fds }) => {
    const { start, growth } = compareTenths(notes);
    const descriptors = compareTenths(fds).growth;
    return { role, memory: growth / MIB, descriptors, start: (start / MIB).toFixed(0) };
  });
  const worst = (key) => Math.max(...rows.map((row) => row[key]));
  const each = rows.map(({ role, memory, start }) => {
    return `${role} ${start} ${memory < 0 ? '−' : '+'} ${Math.abs(memory).toFixed(1)}`;
  });
  return [
    {
      what: `resident memory, last tenth against second, at most ${allowed} MiB more`,
      tried: `${rows.length} processes`,
      lost: rows.filter(({ memory }) => memory > allowed).length,
      note: `MiB: ${each.join(', ')}`,
    },
    {
      what: 'descriptors, last tenth against second',
      tried: `${rows.length} processes`,
      lost: Math.max(0, worst('descriptors') - helpers),
      note: helpers > 0 ? `up to ${helpers} more may be helpers that wait for a full receiver` : '',
    },
  ];
}

module.exports = { flatness, startRole };
