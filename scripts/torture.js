'use strict';

// `npm run torture [-- NAME …] [--quick] [--seed N]`: sets up, builds and runs test/torture/run.js.

const { build } = require('./build.js');
const { setup } = require('./setup.js');
const { main, run } = require('./tools.js');

main(() => {
  setup();
  build();
  return run(process.execPath, ['test/torture/run.js', ...process.argv.slice(2)]);
});
