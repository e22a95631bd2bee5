'use strict';

// Owns what the collector does to sockets that nobody refers to any more, in every state: those that
// docs/ calls held stay and work, the others go with their descriptors; and what messages that are
// kept hold back. Runs with --expose-gc.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { collectedStates, heldStates } = require('../lib/garbage-states.js');
const { keptRows } = require('../lib/garbage-kept.js');
const { countFds, settle, sleep } = require('../lib/garbage-turns.js');

/** Objects of each state at once. */
const COUNT = 20;
const QUICK_COUNT = 6;

/** What a state is made with: names of its own, and what has to live as long as the trial. */
class Trial {
  #folder;
  #names = 0;
  #kept = [];
  /** Descriptors that were open before. */
  before = countFds();

  constructor(folder) {
    this.#folder = folder;
  }

  /** A name that nobody is bound to. */
  name() {
    return path.join(this.#folder, `${process.pid}-${this.#names++}`);
  }

  /** Keeps a socket or server until the trial is over. */
  keep(socket) {
    this.#kept.push(socket);
    return socket;
  }

  /** Closes what was kept. */
  end() {
    for (const socket of this.#kept.splice(0)) {
      if (socket.destroy) socket.destroy();
      else socket.close();
    }
  }
}

/** Makes objects and gives them up: what is left are weak references, and a count of the gone. */
async function abandon(trial, make, count) {
  const reported = { count: 0 };
  const registry = new FinalizationRegistry(() => reported.count++);
  const references = [];
  // An `await` in here would keep the objects in its frame, so each is made in a call of its own.
  const makeOne = async () => {
    for (const object of [await make(trial)].flat()) {
      object.on('error', () => {});
      references.push(new WeakRef(object));
      registry.register(object, 0);
    }
  };
  for (let made = 0; made < count; made++) await makeOne();
  const alive = () => references.filter((reference) => reference.deref() !== undefined).length;
  return { registry, references, reported, alive };
}

/** A state whose objects have to go, with all their descriptors. */
async function tryCollected(folder, { what, make, then }, count) {
  const trial = new Trial(folder);
  const { before } = trial;
  const { registry, references, reported, alive } = await abandon(trial, make, count);
  await settle(() => alive() === 0 && reported.count === references.length);
  const left = alive();
  const unreported = references.length - reported.count;
  const faults = [];
  if (left > 0) faults.push(`${left} were not collected`);
  if (unreported > left) faults.push(`${unreported} reported to no registry`);
  const complaint = await then?.(trial);
  if (complaint) faults.push(complaint);
  trial.end();
  await settle(() => countFds() <= before);
  const leaked = countFds() - before;
  if (leaked !== 0) faults.push(`${leaked} descriptors more`);
  void registry;
  return { what: `${what}: collected`, tried: references.length, faults };
}

/** A state whose objects have to stay and work, until they are closed. */
async function tryHeld(folder, { what, make, works, release }, count) {
  const trial = new Trial(folder);
  const { before } = trial;
  const { registry, references, reported, alive } = await abandon(trial, make, count);
  await settle(() => alive() < references.length, 12);
  const faults = [];
  if (alive() < references.length) faults.push(`${references.length - alive()} were collected`);
  const complaint = await works?.(trial, references);
  if (complaint) faults.push(complaint);
  if (release) {
    // What held them ends: they go by themselves.
    await release(trial, references);
  } else {
    for (const reference of references) (reference.deref() ?? { close() {} }).close();
  }
  await sleep(5);
  trial.end();
  await settle(() => alive() === 0 && reported.count === references.length && countFds() <= before);
  if (alive() > 0) faults.push(`${alive()} were not collected when it was over`);
  const leaked = countFds() - before;
  if (leaked !== 0) faults.push(`${leaked} descriptors more`);
  void registry;
  return { what: `${what}: held`, tried: references.length, faults };
}

function row({ what, tried, faults }) {
  return { what, tried, lost: faults.length, note: faults.join('; ') };
}

async function run({ quick, say }) {
  // When the collector comes is its own affair: rows that depend on it fail now and then on a busy machine.
  if (quick) return { skipped: 'the long form only' };
  if (process.platform !== 'linux') return { skipped: 'needs /proc' };
  const count = quick ? QUICK_COUNT : COUNT;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-garbage-'));
  const rows = [];
  try {
    for (const [states, attempt] of [
      [collectedStates, tryCollected],
      [heldStates, tryHeld],
    ]) {
      for (const state of states) {
        const result = await attempt(folder, state, count).catch((error) => {
          return { what: state.what, tried: count, faults: [error.stack] };
        });
        for (const fault of result.faults) say(`${result.what}: ${fault}`);
        rows.push(row(result));
      }
    }
    rows.push(...(await keptRows(quick)).map(row));
    return rows;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = {
  about:
    'Sockets dropped in every state are collected with their descriptors, or held, as documented.',
  limit: 300,
  quickLimit: 600,
  run,
};
