'use strict';

// Runs test files one after the other, each in a process of its own, and ends with 1 at the first test that fails,
// whose name it prints: a fault is seen then, and what else it breaks costs only time. `FILE:MS` limits one file's time.

const { spawn } = require('node:child_process');

/** Milliseconds for one file, unless another limit is given. */
const LIMIT = 100_000;
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'];

/** The end of a test file with all that it started. */
function kill({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** The first failure of a file, or null. */
function run(file, limit) {
  return new Promise((resolve) => {
    const options = { detached: true, stdio: ['ignore', 'pipe', 'ignore'] };
    const args = ['--expose-gc', '--test-reporter=tap', file];
    const child = spawn(process.execPath, args, options);
    const abandon = () => {
      kill(child);
      process.exit(1);
    };
    for (const signal of SIGNALS) process.once(signal, abandon);
    const timer = setTimeout(() => done('not done in time'), limit);
    const done = (failure) => {
      clearTimeout(timer);
      kill(child);
      for (const signal of SIGNALS) process.off(signal, abandon);
      resolve(failure);
    };
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (data) => {
      text += data;
      const lines = text.split('\n');
      text = lines.pop();
      const failed = lines.find((line) => /^ *not ok /.test(line));
      if (failed !== undefined) done(failed.trim());
    });
    child.on('close', (code, signal) => done(code === 0 ? null : `ended with ${signal ?? code}`));
  });
}

async function main() {
  for (const argument of process.argv.slice(2)) {
    const [file, limit = LIMIT] = argument.split(':');
    const failure = await run(file, Number(limit));
    if (failure === null) continue;
    console.log(`${file}: ${failure}`);
    process.exit(1);
  }
}

main();
