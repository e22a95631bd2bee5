'use strict';

// A peer in a process of its own, to be killed: it connects to the path of its argument and does what lines on its
// standard input say, `send N`, `receive N`, `shutdown HOW`. A line answers each.

const readline = require('node:readline');
const { bytesFor } = require('./payload.js');
const raw = require('./raw.js');

const fd = raw.connect(process.argv[2]);
process.stdout.write('connected\n');
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [what, value] = line.split(' ');
  if (what === 'send') raw.send(fd, bytesFor(1, Number(value)));
  if (what === 'receive') raw.receive(fd, Number(value));
  if (what === 'shutdown') raw.shutdown(fd, value);
  process.stdout.write('done\n');
});
