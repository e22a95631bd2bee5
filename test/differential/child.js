'use strict';

// The process that runs programs, one after the other, and compares: it gets `{ id, program }` and answers
// `{ id, status, differences }`. `status` is 'same', 'different', or 'flaky' where net does not do the same twice.
// With an argument it is the process of one solo program, which it prints the trace of.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { compare } = require('./compare.js');
const { Run } = require('./interpret.js');
const { codeOf } = require('./trace.js');

/** Milliseconds that a solo program may take; longer, and it is alive. */
const SOLO_LIMIT = 700;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-diff-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

let current = null;
const uncaught = (of) => (error) => {
  const isOurs = error?.stack?.includes('test/differential') && !error.code;
  const code = isOurs ? error.stack.split('\n').slice(0, 2).join(' ') : codeOf(error);
  current?.trace.add('process', of, { code });
};
process.on('uncaughtException', uncaught('uncaught'));
process.on('unhandledRejection', uncaught('unhandled'));

const openFds = () => fs.readdirSync('/proc/self/fd').length;

/** The lists of a trace of one run. */
async function trace(program, subject) {
  if (program.solo) return soloTrace(program, subject);
  const before = openFds();
  const run = new Run(program, subject, folder);
  current = run;
  await run.run();
  const { lists } = await run.finish();
  current = null;
  const leaked = openFds() - before;
  const left = leaked > 0 ? { process: [...(lists.get('process') ?? []), leak(leaked)] } : {};
  return { ...Object.fromEntries(lists), ...left };
}

const leak = (value) => ({ event: 'descriptors left', lane: 'l', value });

function soloTrace(program, subject) {
  const args = [__filename, subject, JSON.stringify(program)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      const lists = stdout === '' ? {} : JSON.parse(stdout).lists;
      const end = { event: 'exit', lane: 'l', code: signal ?? code };
      resolve({ ...lists, process: [...(lists.process ?? []), end] });
    });
  });
}

async function solo(subject, program) {
  const run = new Run(program, subject, folder);
  current = run;
  const print = () => fs.writeSync(1, JSON.stringify(run.trace));
  process.on('exit', print);
  setTimeout(() => {
    run.trace.add('process', 'alive');
    process.exit(0);
  }, SOLO_LIMIT).unref();
  await run.run({ solo: true });
  run.trace.add('process', 'all steps done');
  for (const [who, socket] of run.sockets) {
    run.trace.add(who, 'left', { flowing: socket.readableFlowing }, socket);
  }
}

async function judge(program) {
  const expected = await trace(program, 'net');
  const found = await trace(program, 'afunix');
  const differences = compare(program, expected, found);
  if (differences.length === 0) return { status: 'same', differences };
  for (let time = 0; time < 2; time++) {
    const again = await trace(program, 'net');
    if (compare(program, expected, again).length > 0) return { status: 'flaky', differences: [] };
  }
  // What does not come again is of the machine's mood: told, but not a class.
  const again = compare(program, expected, await trace(program, 'afunix')).map(({ key }) => key);
  const steady = differences.filter(({ key }) => again.includes(key));
  if (steady.length === 0) return { status: 'unsteady', differences };
  return { status: 'different', differences: steady };
}

if (process.argv.length > 2) {
  solo(process.argv[2], JSON.parse(process.argv[3]));
} else {
  process.on('message', async ({ id, program, whole }) => {
    try {
      const result = await judge(program);
      if (whole) {
        result.traces = {
          net: JSON.parse(JSON.stringify(await printable(program, 'net'))),
          afunix: JSON.parse(JSON.stringify(await printable(program, 'afunix'))),
        };
      }
      process.send({ id, ...result });
    } catch (error) {
      process.send({ id, status: 'broken', differences: [], reason: error.stack });
    }
  });
  process.on('disconnect', () => process.exit());
}

async function printable(program, subject) {
  const lists = await trace(program, subject);
  for (const list of Object.values(lists)) {
    for (const entry of list) if (entry.bytes instanceof Buffer) entry.bytes = entry.bytes.length;
  }
  return lists;
}
