'use strict';

// `npm run bench [-- CASE …]`: sets up, builds and runs bench/run.js, which brings the rivals' packages.

const { build } = require('./build.js');
const { setup } = require('./setup.js');
const { main, run } = require('./tools.js');

main(() => {
  setup();
  build();
  return run(process.execPath, ['bench/run.js', ...process.argv.slice(2)]);
});
