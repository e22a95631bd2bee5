'use strict';

// Owns the question whether a script has anything left to wait for: for `node --require`. Prints
// 'beforeExit' when the event loop is empty, 'alive' when it still is not after several turns.

const { writeSync } = require('node:fs');

const TURNS = 5;
const PAUSE = 10; // milliseconds; none of these timers keeps the loop alive

function look(turns) {
  if (turns === TURNS) writeSync(1, 'alive\n');
  else setTimeout(look, PAUSE, turns + 1).unref();
}

process.once('beforeExit', () => writeSync(1, 'beforeExit\n'));
look(0);
