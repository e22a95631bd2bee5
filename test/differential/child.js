'use strict';

// The process that runs programs, one after the other, and compares: it gets `{ id, program, subject }` and answers
// `{ id, status, differences }`. `status`: 'same', 'different', 'adapted' where net does the same with the timing that
// this package has, 'shifted' where one of both does it if a step comes a moment earlier or later, 'unsteady' where
// the difference does not come again, 'flaky' where net does not do the same twice, 'endless' where it never stops.
// With arguments it is the process of one solo program, whose trace it writes to a file.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { compare } = require('./compare.js');
const { ADAPTED, Run } = require('./interpret.js');
const { shifts } = require('./shifted.js');
const { codeOf } = require('./trace.js');

/** Milliseconds that a solo program may take; longer, and it is alive. */
const SOLO_LIMIT = 1200;
/** Milliseconds in which a difference may turn out to be one of moments. */
const SHIFT_LIMIT = 20_000;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-diff-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

let current = null;
const noteError = (of, error) => {
  const isOurs = error?.stack?.includes('test/differential') && !error.code;
  const code = isOurs ? error.stack.split('\n').slice(0, 2).join(' ') : codeOf(error);
  current?.trace.add('process', of, { code });
};
process.on('unhandledRejection', (error) => noteError('unhandled', error));
process.on('uncaughtException', (error) => {
  noteError('uncaught', error);
  // Node does what is left of the tick in a later one; in which turn that is depends on the phase of its loop.
  for (let isLeft = true; isLeft;) {
    try {
      process._tickCallback();
      isLeft = false;
    } catch (another) {
      noteError('uncaught', another);
    }
  }
});

/** Descriptors that the last run with each left open. */
const leaks = { net: 0 };
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
  const result = Object.fromEntries(lists);
  // Not a loss where net has not closed it yet, either.
  leaks[subject] = openFds() - before;
  const isOurs = subject.startsWith('afunix');
  if (isOurs && leaks[subject] > Math.max(leaks.net, 0)) {
    const entry = { event: 'descriptors left', lane: 'l', value: leaks[subject] };
    result.process = [...(result.process ?? []), entry];
  }
  return result;
}

let files = 0;

function soloTrace(program, subject) {
  const file = path.join(folder, `trace-${files++}`);
  const args = [__filename, subject, file, JSON.stringify(program)];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      // A process that crashed has written nothing.
      const { lists } = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file)) : { lists: {} };
      fs.rmSync(file, { force: true });
      const end = { event: 'exit', lane: 'l', code: signal ?? code };
      resolve({ ...lists, process: [...(lists.process ?? []), end] });
    });
  });
}

async function solo(subject, file, program) {
  const run = new Run(program, subject, folder);
  current = run;
  process.on('exit', () => {
    run.recordLeft();
    fs.writeFileSync(file, JSON.stringify(run.trace));
  });
  setTimeout(() => {
    run.trace.add('process', 'alive');
    process.exit(0);
  }, SOLO_LIMIT).unref();
  await run.run({ solo: true });
  run.trace.add('process', 'all steps done');
}

/** Whether one of both does what the other does, if a step comes a moment earlier or later. */
async function isShifted(program, subject, { expected, found }) {
  const since = performance.now();
  for (const shifted of shifts(program)) {
    if (performance.now() - since > SHIFT_LIMIT) return false;
    if (compare(program, await trace(shifted, 'net'), found, subject).length === 0) return true;
    const other = await trace(shifted, subject);
    if (compare(program, expected, other, subject).length === 0) return true;
  }
  return false;
}

async function judge(program, subject) {
  const expected = await trace(program, 'net');
  const isEndless = expected.process?.some(({ event }) => event === 'never silent');
  if (isEndless) return { status: 'endless', differences: [] };
  const found = await trace(program, subject);
  const differences = compare(program, expected, found, subject);
  if (differences.length === 0) return { status: 'same', differences };
  for (let time = 0; time < 2; time++) {
    const again = compare(program, expected, await trace(program, 'net'), 'net');
    if (again.length > 0) return { status: 'flaky', differences: [], reason: again[0].key };
  }
  // What does not come again is of the machine's mood: reported, but not a class.
  const second = await trace(program, subject);
  const again = compare(program, expected, second, subject);
  const steady = differences.filter(({ key }) => again.some((each) => each.key === key));
  if (steady.length === 0) return { status: 'unsteady', differences };
  for (const other of ADAPTED) {
    const adapted = await trace(program, other);
    const isSame = (each) => compare(program, adapted, each, subject).length === 0;
    if ([found, second].some(isSame)) return { status: 'adapted', differences: [] };
  }
  if (await isShifted(program, subject, { expected, found })) {
    return { status: 'shifted', differences: [] };
  }
  // On a busy machine two runs may be late in the same way: once more, with net of the same moment.
  const third = compare(
    program,
    await trace(program, 'net'),
    await trace(program, subject),
    subject,
  );
  const lasting = steady.filter(({ key }) => third.some((each) => each.key === key));
  if (lasting.length === 0) return { status: 'unsteady', differences };
  return { status: 'different', differences: lasting };
}

if (process.argv.length > 2) {
  solo(process.argv[2], process.argv[3], JSON.parse(process.argv[4]));
} else {
  process.on('message', async ({ id, program, subject, whole }) => {
    try {
      const result = await judge(program, subject);
      if (whole) {
        result.traces = {
          net: JSON.parse(JSON.stringify(await printable(program, 'net'))),
          [subject]: JSON.parse(JSON.stringify(await printable(program, subject))),
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
