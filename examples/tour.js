'use strict';

// The tour of afunix, which `npm start` runs. Its sections are the files in tour/, shown in order;
// each exports its `title` and an async `run({ folder, say })`. Exit code 0 if all went well.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const SECTIONS = [
  require('./tour/datagrams.js'),
  require('./tour/seqpacket.js'),
  require('./tour/streams.js'),
  require('./handoff.js'),
  require('./tour/other-programs.js'),
];

/** Milliseconds for one section; it needs a few hundred. */
const TIME_LIMIT = 60_000;

/** A folder for socket files, removed however this process ends. */
function makeFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-tour-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => process.exit(128 + os.constants.signals[signal]));
  }
  return folder;
}

/** Runs a section; fails if it takes too long, for then something it waits for does not come. */
async function show({ title, run }, folder) {
  console.log(`\n${title}\n${'-'.repeat(title.length)}`);
  const say = (line = '') => console.log(line && `  ${line}`);
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${TIME_LIMIT} ms`)), TIME_LIMIT);
  });
  try {
    await Promise.race([run({ folder, say }), late]);
  } catch (error) {
    throw new Error(`The tour failed in "${title}": ${error.message}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function main() {
  const started = performance.now();
  console.log(`A tour of afunix on Node.js ${process.version}, ${process.platform}`);
  const folder = makeFolder();
  for (const section of SECTIONS) await show(section, folder);
  const seconds = (performance.now() - started) / 1000;
  console.log(`\nThat was the tour: ${seconds.toFixed(1)} s, and nothing is left behind.`);
}

main().catch((error) => {
  console.error(`\n${error.message}`);
  if (error.cause) console.error(error.cause);
  process.exit(1);
});
