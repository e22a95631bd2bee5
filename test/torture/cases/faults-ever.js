'use strict';

// System calls that fail for ever, each with each error, by the preloaded library: no loss without an error, no storm
// of events, no spinning, and everything works once the call does.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { everyTrial } = require('../lib/faults-ever.js');
const { compileLibrary, environment } = require('../lib/faults-library.js');

const SCENES = path.join(__dirname, '..', 'lib', 'faults-ever.js');
/** Trials of one process. */
const PER_PROCESS = 60;
/** Milliseconds a process may be silent. */
const SILENCE = 150_000;

const cut = (text) => (text.length > 300 ? `${text.slice(0, 300)} …` : text);

/** Runs trials in a process: `onResult(result)` for each. Resolves to what it died of, if it did, and in which. */
function runTrials(env, trials, onResult) {
  const child = spawn(process.execPath, [SCENES, JSON.stringify(trials)], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [current, rest, stderr, isLate] = [null, '', '', false];
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, SILENCE);
  };
  wait();
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  child.stdout.setEncoding('utf8').on('data', (text) => {
    wait();
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const value = JSON.parse(line);
      if (value.begins) current = value.begins;
      else {
        current = null;
        onResult(value);
      }
    }
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(undefined);
      const how = isLate ? 'hangs' : (signal ?? `exit code ${code}`);
      resolve({ current, problem: `the process: ${how} ${cut(stderr)}` });
    });
  });
}

/** Runs all trials; one that ends its process is a result, and the others go on. */
async function runAll(env, trials, onResult) {
  const left = [...trials];
  while (left.length > 0) {
    const some = left.splice(0, PER_PROCESS);
    let done = 0;
    const died = await runTrials(env, some, (result) => {
      done++;
      onResult(result);
    });
    if (died === undefined) continue;
    onResult({ ...(died.current ?? some[done] ?? {}), problems: [died.problem], reported: [] });
    left.unshift(...some.slice(done + 1));
  }
}

async function run({ quick, random, say }) {
  if (process.platform !== 'linux') return { skipped: 'faults are made on Linux only' };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-ever-'));
  try {
    const env = environment(compileLibrary(folder), path.join(folder, 'log'));
    const all = everyTrial().sort(() => random() - 0.5);
    const rows = new Map();
    await runAll(
      env,
      quick ? all.slice(0, 120) : all,
      ({ scene, call, errno, problems, reported }) => {
        const row = rows.get(call) ?? { what: `${call}, for ever`, tried: 0, lost: 0, note: '' };
        rows.set(call, row);
        row.tried++;
        if (problems.length === 0) return;
        row.lost++;
        const text = `${scene}, ${errno}: ${cut(problems.join('; '))} (${cut(reported.join('; '))})`;
        row.note ||= text;
        say(`${call}: ${text}`);
      },
    );
    return [...rows.values()].sort((left, right) => (left.what < right.what ? -1 : 1));
  } catch (error) {
    if (error.syscall !== 'spawnSync cc' && error.stderr === undefined) throw error;
    return { skipped: `no C compiler: ${cut(String(error.stderr ?? error.message))}` };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = {
  about:
    'A system call fails for ever, with each of 18 errors, in each kind of traffic: what is lost without an error, events that repeat, processor time, and whether everything works once the call does.',
  limit: 1200,
  quickLimit: 600,
  run,
};
