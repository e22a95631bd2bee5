'use strict';

// The one that dies, for cases/death.js: plays one side of a scene, and at a moment of it dies in a
// way, both given as JSON in the first argument. Right before, it writes to descriptor 3 how many of
// its records the kernel had confirmed, and how many it had received.

const fs = require('node:fs');
const { Side } = require('./death-scene.js');

const { side: name, scene, moment, nth, way } = JSON.parse(process.argv[2]);
let left = nth;

const side = new Side(name, scene, (now) => {
  if (now !== `${name}:${moment}` || --left !== 0) return;
  fs.writeSync(3, `${JSON.stringify({ confirmed: side.confirmed, received: side.received })}\n`);
  if (way === 'kill') process.kill(process.pid, 'SIGKILL');
  if (way === 'exit') process.exit(0);
  throw new Error('on purpose');
});
process.on('exit', () => {
  if (left > 0) fs.writeSync(3, '{}\n');
});
if (name === 'answerer') side.listen();
else side.call();
fs.writeSync(3, '"started"\n');
