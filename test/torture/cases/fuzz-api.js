'use strict';

// Calls every exported function and method with random arguments, in batches, each in a process of
// its own: see ../lib/fuzz-child.js. A batch is made again from the seed and its number.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const CHILD = path.join(__dirname, '..', 'lib', 'fuzz-child.js');
const LONG = { seconds: 600, calls: 3000 };
const QUICK = { seconds: 9, calls: 800 };
/** A batch takes seconds; one that is not done after this hangs. */
const HANG = 200_000;
const AT_ONCE = 2;
/** The kernel's limits for a batch, so that one that runs wild takes nothing from others, even if this
 * process is killed: seconds of processor time, and kB of memory. */
const LIMITS = 'ulimit -t 200; ulimit -d 2000000; exec "$@"';

/** Runs one batch: `{ calls, thrown, emitted, faults }`, or `{ death }`. */
function runBatch(seed, batch, calls) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-fuzz-'));
  const args = ['--expose-gc', '--no-warnings', CHILD, seed, batch, calls, folder].map(String);
  const child = spawn('sh', ['-c', LIMITS, 'sh', process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_V8_COVERAGE: undefined },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr = (stderr + chunk).slice(-4000)));
  const timer = setTimeout(() => child.kill('SIGKILL'), HANG);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      fs.rmSync(folder, { recursive: true, force: true });
      if (code === 0 && stdout !== '') return resolve(JSON.parse(stdout));
      const how =
        signal === 'SIGKILL' ? `not done after ${HANG} ms` : (signal ?? `exit code ${code}`);
      resolve({ death: `${how}\n${stderr}` });
    });
  });
}

/** Where a fault comes from: faults from one place are reported once. */
const placeOf = ({ stack }) => stack.split('\n').slice(0, 2).join(' ');

module.exports = {
  about:
    'Every exported function and method, and native code without lib/, gets random arguments: no signal, ' +
    'no hang, and every error has a code.',
  limit: LONG.seconds + 120,
  quickLimit: 600,
  async run({ quick, seed, say }) {
    const { seconds, calls } = quick ? QUICK : LONG;
    const end = performance.now() + seconds * 1000;
    const total = { batches: 0, deaths: 0, calls: 0, thrown: 0, emitted: 0, faults: 0 };
    const places = new Set();
    let next = 0;
    const worker = async () => {
      while (performance.now() < end) {
        const batch = next++;
        const outcome = await runBatch(seed, batch, calls);
        total.batches++;
        if (outcome.death !== undefined) {
          total.deaths++;
          say(`seed ${seed} batch ${batch} of ${calls} calls: ${outcome.death}`);
          continue;
        }
        for (const name of ['calls', 'thrown', 'emitted']) total[name] += outcome[name];
        for (const fault of outcome.faults) {
          total.faults++;
          if (places.has(placeOf(fault))) continue;
          places.add(placeOf(fault));
          say(`seed ${seed} batch ${batch} of ${calls} calls: ${fault.how} by ${fault.call}`);
          say(fault.stack);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const again = `node --expose-gc test/torture/lib/fuzz-child.js ${seed} BATCH ${calls} FOLDER`;
    return [
      {
        what: 'batches of calls: signals and hangs',
        tried: total.batches,
        lost: total.deaths,
        note: `again: \`${again}\``,
      },
      {
        what: 'calls: errors without a code',
        tried: total.calls,
        lost: total.faults,
        note: `${total.thrown} errors thrown, ${total.emitted} emitted`,
      },
    ];
  },
};
