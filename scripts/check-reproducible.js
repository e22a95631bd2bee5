'use strict';

// `node scripts/check-reproducible.js [NAME]`: builds a prebuilt addon from copies of the sources in two
// folders, and fails unless both have the same bytes.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { platformName } = require('../lib/native/platform.js');
const { inputs } = require('./build.js');
const { ROOT, Stop, main, run } = require('./tools.js');

/** Builds in a new folder, and returns the addon's digest. */
function digestOf(name, folder) {
  const script = path.join('lib', 'native', 'platform.js');
  for (const file of [...inputs(), 'scripts', script]) {
    fs.cpSync(path.join(ROOT, file), path.join(folder, file), { recursive: true });
  }
  // What was fetched once.
  const cache = path.join(ROOT, '.cache');
  fs.mkdirSync(cache, { recursive: true });
  fs.symlinkSync(cache, path.join(folder, '.cache'));
  const status = run(process.execPath, ['scripts/prebuild.js', name], { cwd: folder });
  if (status !== 0) throw new Stop(`the build in ${folder} failed.`);
  const addon = fs.readFileSync(path.join(folder, 'prebuilds', name, 'afunix.node'));
  return createHash('sha256').update(addon).digest('hex');
}

main(() => {
  const [name = platformName()] = process.argv.slice(2);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'afunix-reproducible-'));
  try {
    const names = ['one', path.join('another', 'and longer')];
    const digests = names.map((each) => digestOf(name, path.join(folder, each)));
    console.log(digests.map((digest) => `${name}: sha256 ${digest}`).join('\n'));
    if (digests[0] !== digests[1]) throw new Stop(`two builds of ${name} differ.`);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
