'use strict';

// `npm run bench [-- CASE …]`: sets up, builds, brings the rivals' packages and runs bench/run.js.

const path = require('node:path');
const { build } = require('./build.js');
const { setup, installPackages } = require('./setup.js');
const { ROOT, main, run } = require('./tools.js');

main(() => {
  setup();
  build();
  installPackages(path.join(ROOT, 'bench'));
  return run(process.execPath, ['bench/run.js', ...process.argv.slice(2)]);
});
