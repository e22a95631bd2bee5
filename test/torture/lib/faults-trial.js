'use strict';

// The process of the faults case's trials: node faults-trial.js HOW FOLDER TRIALS. HOW: `library` has
// faults-inject.c make the faults, and there may be many trials; with `strace` there is one, and the case
// attaches strace(1), says so by SIGUSR2, and takes it off again at the result.
//
// Prints a line for each trial as it begins, and one with its result. Nothing but writes to
// descriptor 1: no stream of Node's own is open that could be struck.

const fs = require('node:fs');
const path = require('node:path');
const { constants } = require('node:os');
const afunix = require('../../../lib');
const { Ledger } = require('./faults-ledger.js');
const { SCENARIOS, deadFile } = require('./faults-traffic.js');

const [how, folder, trials] = process.argv.slice(2);
const log = process.env.AFUNIX_FAULTS_LOG;
const print = (value) => fs.writeSync(1, `${JSON.stringify(value)}\n`);

/** Descriptors and where they lead, but for the one that lists them. */
function openDescriptors() {
  const found = new Map();
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      found.set(fd, fs.readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The list's own.
    }
  }
  return found;
}

const struck = () => (how === 'library' ? fs.readFileSync(log, 'utf8').split('\n').length - 1 : 0);

function command(text) {
  fs.accessSync(`/afunix-faults/${text}`);
}

const nextTurn = () => new Promise((resolve) => setTimeout(resolve, 1));

/** Runs one: `arm` and `disarm` begin and end the faults. */
async function runTrial(scenario, number, arm, disarm) {
  const ledger = new Ledger();
  const place = path.join(folder, `${process.pid}-${number}`);
  // The case removes it; here strace may still make each call fail.
  fs.mkdirSync(place);
  const dead = deadFile(afunix, place, 'dead');
  const passed = fs.openSync('/dev/null');
  const caught = (error) => {
    ledger.wrong(`nobody could catch ${error?.stack ?? error}`);
    // What would have followed will not.
    ledger.due.clear();
    ledger.wake();
  };
  process.on('uncaughtException', caught);
  await nextTurn();
  const before = openDescriptors();
  const faults = struck();
  await arm();
  try {
    await SCENARIOS[scenario](afunix, ledger, { folder: place, dead, passed });
  } finally {
    await nextTurn();
    disarm();
  }
  const leaked = () =>
    [...openDescriptors()]
      .filter(([fd, to]) => before.get(fd) !== to)
      .map(([fd, to]) => `${fd} ${to}`);
  // Objects that nobody refers to may wait for the collector.
  for (let turn = 0; turn < 5 && leaked().length > 0; turn++) {
    globalThis.gc();
    await nextTurn();
  }
  process.off('uncaughtException', caught);
  const { problems, errors } = ledger;
  return { problems, errors, leaked: leaked(), faults: struck() - faults };
}

/** Nothing is left behind where the case itself is ended. */
function endWithParent() {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.exit(1);
  }, 500).unref();
}

async function main() {
  endWithParent();
  // pipe() would open them, to compare.
  for (const name of ['stdout', 'stderr']) Object.defineProperty(process, name, { value: {} });
  const list = JSON.parse(trials);
  // Once without faults: what Node opens once is open, and the traffic itself is known to be right.
  for (const scenario of new Set(list.map(({ scenario }) => scenario))) {
    const { problems, errors, leaked } = await runTrial(
      scenario,
      `clean-${list[0].index}`,
      () => {},
      () => {},
    );
    const clean = problems.length + errors.length + leaked.length === 0;
    if (!clean) print({ dirty: scenario, problems, errors, leaked });
  }
  for (const { index, scenario, call, errno, pattern, seed } of list) {
    print({ begins: index });
    let arm = () => command(`on/${call}/${constants.errno[errno] ?? 109}/${pattern}/${seed}`);
    let disarm = () => command('off');
    if (how === 'strace') {
      arm = () =>
        new Promise((resolve) => {
          const wait = setInterval(() => {}, 1000);
          process.once('SIGUSR2', () => {
            clearInterval(wait);
            resolve();
          });
          print({ waits: index });
        });
      disarm = () => {};
    }
    print({ index, ...(await runTrial(scenario, index, arm, disarm)) });
  }
}

main();
