'use strict';

// `npm run format`: rewrites Rust, JavaScript, JSON and YAML files in the house's format.

const { cargo } = require('./cargo.js');
const { setup } = require('./setup.js');
const { main, run } = require('./tools.js');

main(() => {
  setup();
  return (
    cargo(['fmt']) ||
    run(process.execPath, [require.resolve('prettier/bin/prettier.cjs'), '--write', '.'])
  );
});
