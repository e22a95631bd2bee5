'use strict';

// `npm start`: sets up, builds and runs the tour; arguments go to it, its exit code is ours.

const { build } = require('./build.js');
const { setup } = require('./setup.js');
const { main, run } = require('./tools.js');

main(() => {
  setup();
  build();
  return run(process.execPath, ['examples/tour.js', ...process.argv.slice(2)]);
});
